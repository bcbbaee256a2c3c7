import FoundationEssentials
import TestSupport
import Testing

extension EndToEndTests {
  /// Frames through pipes, and frames as pictures in a folder.
  struct PipeTests {
    private let bench: Workbench

    init() throws {
      bench = try Workbench()
    }

    /// The pipes of the documents, with sound beside the picture.
    @Test(arguments: [
      ("README.md", "-f nut", 1), ("README.md", "-f rawvideo", 0), ("docs/ffmpeg.md", "-f nut", 1),
    ])
    func documentedPipe(document: String, words: String, sounds: Int) throws {
      let pipe = try Document.block(of: document, with: "ffmpeg -v error -i in.mp4 \(words)")
      try bench.succeed(
        """
        ffmpeg -v error -f lavfi -i testsrc=size=512x512:rate=25 -f lavfi -i sine -t 0.2 \
          -vf scale=out_color_matrix=bt709:out_range=tv,format=yuv420p -colorspace bt709 -color_range tv in.mp4
        fatezero() { "$FATEZERO" "$@" --model "$MODEL" --size 64x64 --steps 2; }
        \(pipe)
        """)
      let after = try bench.probe("out.mp4")
      #expect(after.videoFrames == 5)
      #expect((after.video?.width, after.video?.height) == (512, 512))
      #expect(after.streams.count { $0.codecType == "audio" } == sounds)
      #expect(try bench.succeed("ffmpeg -v error -xerror -i out.mp4 -f null -").errors == "")
      #expect(try bench.pixels("out.mp4") != bench.pixels("in.mp4"))
    }

    /// What lies around the edit keeps the colours: a clip goes through the pipe unedited. As RGB, since numbers of
    /// another matrix are other numbers.
    @Test(arguments: ["bt709", "smpte170m"], ["-f nut", "-f rawvideo"])
    func documentedPipeKeepsColours(matrix: String, words: String) throws {
      let pipe = try Document.block(of: "README.md", with: "ffmpeg -v error -i in.mp4 \(words)")
      let report = try bench.succeed(
        """
        ffmpeg -v error -f lavfi -i smptehdbars=size=512x512:rate=25 -frames:v 3 \
          -vf scale=out_color_matrix=\(matrix):out_range=tv,format=yuv420p -colorspace \(matrix) -color_range tv \
          -c:v libx264 -qp 0 in.mp4
        fatezero() { cat; }
        \(pipe)
        ffmpeg -nostats -i out.mp4 -i in.mp4 -lavfi '[0:v]format=gbrp[a];[1:v]format=gbrp[b];[a][b]psnr' -f null -
        """
      ).errors
      let decibels = try #require(report.firstMatch(of: /average:([0-9.]+|inf)/)).1
      print("\(matrix) \(words): \(decibels) dB")
      // With the other matrix it is 30.
      #expect(decibels == "inf" || (Double(decibels) ?? 0) > 36)
      #expect(try bench.probe("out.mp4").video?.colorSpace == "bt709")
    }

    @Test func yuv4mpegIsTheDefaultOnStandardOutput() throws {
      let output = try bench.succeed(
        "frames 12 3 | ffmpeg -v error -i - -pix_fmt yuv420p -f yuv4mpegpipe - | edit - - | tee out.y4m"
      ).output
      #expect(output.starts(with: Data("YUV4MPEG2 W96 H64 F12:1".utf8)))
      let after = try bench.probe("out.y4m")
      #expect(after.videoFrames == 3)
      #expect(after.video?.rFrameRate == "12/1")
    }

    @Test func nutCarriesTimestamps() throws {
      try bench.succeed(
        """
        ffmpeg -v error -f lavfi -i testsrc2=size=96x64:rate=24 -frames:v 4 \
          -vf "select='eq(n,0)+eq(n,1)+eq(n,4)+eq(n,6)'" -fps_mode vfr -c:v rawvideo -pix_fmt rgb24 in.nut
        edit - - --output-format nut < in.nut > out.nut
        """)
      let times = try bench.probe("in.nut").times
      #expect(Set(zip(times, times.dropFirst()).map { (($1 - $0) * 24).rounded() }).count > 1, "the input varies")
      #expect(try bench.probe("out.nut").times == times)
    }

    /// y4m has one rate in its header.
    @Test func variableRateCannotBecomeYUV4MPEG() throws {
      let outcome = try bench.run(
        """
        ffmpeg -v error -f lavfi -i testsrc2=size=96x64:rate=24 -frames:v 4 \
          -vf "select='eq(n,0)+eq(n,1)+eq(n,4)+eq(n,6)'" -fps_mode vfr -c:v rawvideo -pix_fmt rgb24 in.nut
        edit in.nut out.y4m
        """)
      #expect(outcome.status != 0)
      #expect(outcome.errors.uppercased().contains("NUT") && outcome.errors.contains("fps="), "\(outcome.errors)")
      #expect(!bench.exists("out.y4m"))
      try bench.succeed("edit in.nut out.y4m --input-filter fps=12")
    }

    /// What carries the frames does not matter.
    @Test func everyCarrierGivesTheSamePixels() throws {
      try bench.succeed(
        """
        frames 12 3 > in.nut
        mkdir frames
        ffmpeg -v error -i in.nut frames/%03d.png
        ffmpeg -v error -i in.nut -f rawvideo -pix_fmt rgb24 in.raw
        raw="--input-format rawvideo --video-size 96x64 --pixel-format rgb24 --framerate 12"
        edit in.nut from-nut.raw --output-format rawvideo
        edit - - $raw --output-format rawvideo < in.raw > from-pipe.raw
        edit in.raw from-file.raw $raw --output-format rawvideo
        edit frames from-pictures.raw --framerate 12 --output-format rawvideo
        edit 'frames/%03d.png' from-pattern.raw --framerate 12 --output-format rawvideo
        edit in.nut as-pictures/
        edit in.nut lossless.mkv --video-codec ffv1 --output-pixel-format bgr0
        mkfifo fifo
        edit fifo from-fifo.raw --output-format rawvideo & cat in.nut > fifo; wait $!
        """)
      let expected = try bench.contents("from-nut.raw")
      #expect(expected.count == 3 * 96 * 64 * 3)
      for name in ["pipe", "file", "pictures", "pattern", "fifo"] {
        #expect(try bench.contents("from-\(name).raw") == expected, "\(name)")
      }
      #expect(try bench.pixels("lossless.mkv") == expected)
      #expect(try bench.names(in: "as-pictures").filter { $0.hasSuffix(".png") }.count == 3)
      let pictures = try bench.succeed(
        "ffmpeg -v error -pattern_type glob -i 'as-pictures/*.png' -f rawvideo -pix_fmt rgb24 -")
      #expect(pictures.output == expected)
    }
  }
}
