import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// A mask of the user's own as a picture, a clip and a folder.
  struct MaskTests {
    private let bench: Workbench

    init() throws {
      bench = try Workbench()
      // White on the left half; of another size than the clip.
      try bench.succeed(
        """
        frames 8 4 64x64 > in.nut
        ffmpeg -v error -f lavfi -i color=black:size=32x32:rate=8 -vf drawbox=w=16:color=white:t=fill -frames:v 1 left.png
        ffmpeg -v error -loop 1 -framerate 8 -i left.png -frames:v 4 -c:v ffv1 left.nut
        mkdir pictures
        ffmpeg -v error -i left.nut pictures/%03d.png
        """)
    }

    @Test func aPictureAClipAndAFolderSayTheSame() throws {
      try bench.succeed(
        """
        for mask in left.png left.nut pictures; do
          edit in.nut ${mask%.*}-$mask.rgb --output-format rawvideo --mask $mask --mask-output shown.nut -y
        done
        edit in.nut plain.rgb --output-format rawvideo
        """)
      let picture = try bench.contents("left-left.png.rgb")
      #expect(try picture == bench.contents("left-left.nut.rgb"))
      #expect(try picture == bench.contents("pictures-pictures.rgb"))
      #expect(try picture != bench.contents("plain.rgb"))
      // What was used is shown: white on the left, black on the right.
      let shown = [UInt8](try bench.pixels("shown.nut"))
      #expect(shown.count == 4 * 64 * 64 * 3)
      for (index, value) in shown.enumerated() {
        let column = index / 3 % 64
        if column < 30 || column > 33 { #expect((value > 200) == (column < 32), "\(column)") }
      }
    }

    @Test(arguments: [
      ("--mask pictures --frames 4", "--mask-mode", 0), ("--mask pictures/000.png", "000.png", 66),
      ("--mask-mode intersect", "--mask", 64),
      ("--mask in.nut --mask-mode all", "all", 64), ("--mask left.png --blend-attention off", "blend-attention", 64),
    ])
    func whatCannotBeIsSaid(_ arguments: String, _ words: String, _ status: Int32) throws {
      let outcome = try bench.run("edit in.nut out.nut \(arguments)")
      #expect(outcome.status == status && (status == 0 || outcome.errors.contains(words)), "\(outcome.errors)")
      #expect(bench.exists("out.nut") == (status == 0))
    }

    @Test func aMaskThatEndsEarlyIsAnError() throws {
      let outcome = try bench.run(
        "ffmpeg -v error -i left.nut -frames:v 2 -c:v ffv1 short.nut; edit in.nut out.nut --mask short.nut")
      #expect(outcome.status == 65 && outcome.errors.contains("2 pictures"), "\(outcome.errors)")
      #expect(!bench.exists("out.nut"))
    }
  }
}
