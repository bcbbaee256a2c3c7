import FoundationEssentials
import TestSupport
import Testing

extension EndToEndTests {
  /// What clips carry beside their colours goes around the edit (docs/media.md), and what they name is not opened.
  struct CarriedTests {
    private let bench: Workbench

    init() throws { bench = try Workbench() }

    @Test func interlacedClipsAreWarnedOf() throws {
      try bench.succeed(
        """
        ffmpeg -v error -f lavfi -i testsrc2=s=64x64:r=50:d=0.16,tinterlace=interleave_top,setfield=tff -c:v mpeg2video \
          -flags +ildct+ilme -top 1 in.mkv
        """)
      let warned = try bench.succeed("edit in.mkv out.nut")
      #expect(warned.errors.contains("in.mkv is interlaced (top field first)"), "\(warned.errors)")
      #expect(warned.errors.contains("--input-filter yadif (or bwdif)"))
      let repaired = try bench.succeed("edit in.mkv out2.nut --input-filter bwdif")
      #expect(!repaired.errors.contains("interlaced"), "\(repaired.errors)")
      let graph = try bench.succeed(
        #""$FATEZERO" ffmpeg-filter --model "$MODEL" --size 64x64 --input in.mkv --edit "a [cat -> tiger] on the grass""#
      )
      #expect(graph.errors.contains("interlaced") && graph.errors.contains("yadif,"), "\(graph.errors)")
    }

    @Test func transparencyComesBack() throws {
      let outcome = try bench.succeed(
        """
        mkdir in
        ffmpeg -v error -f lavfi -i "testsrc2=s=64x64:r=8:d=0.5,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='3*X'" in/%d.png
        edit in out/
        edit in out.webm
        edit in out.mp4 2> lost
        alpha() { ffmpeg -v error "$@" -vf format=rgba,alphaextract -f rawvideo -; }
        alpha -i in/%d.png > wanted
        alpha -i out/%05d.png > kept
        cmp wanted kept
        alpha -c:v libvpx-vp9 -i out.webm > lossy
        [ $(stat -c %s wanted) = $(stat -c %s lossy) ]
        cat lost
        """)
      #expect(String(decoding: outcome.output, as: UTF8.self).contains("cannot be transparent"))
    }

    @Test func playlistsAreRefusedByName() throws {
      try bench.succeed(
        "frames 8 2 > other.nut; printf 'ffconcat version 1.0\\nfile other.nut\\n' > in.mp4; frames 8 2 > clip.nut")
      let clip = try bench.run("edit in.mp4 out.nut")
      #expect(clip.status == 65 && clip.errors.contains("a concat playlist"), "\(clip.errors)")
      let mask = try bench.run("edit clip.nut out.nut --mask in.mp4")
      #expect(mask.status == 65 && mask.errors.contains("a concat playlist"), "\(mask.errors)")
      #expect(!bench.exists("out.nut"))
      try bench.succeed("edit in.mp4 out.nut --input-format concat")
    }
  }
}
