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

    /// The second line that a new user tries.
    @Test func rawFramesBetweenTwoFFmpegs() throws {
      try bench.succeed(
        """
        frames 25 9 | ffmpeg -v error -i - -c:v libx264 -pix_fmt yuv420p in.mp4
        ffmpeg -v error -i in.mp4 -f rawvideo -pix_fmt rgb24 - \
          | edit - - --input-format rawvideo --video-size 96x64 --pixel-format rgb24 --framerate 25 \
            --output-format rawvideo \
          | ffmpeg -v error -f rawvideo -pixel_format rgb24 -video_size 96x64 -framerate 25 -i - out.mp4
        """)
      let after = try bench.probe("out.mp4")
      #expect(after.videoFrames == 9)
      #expect((after.video?.width, after.video?.height) == (96, 64))
      #expect(try bench.succeed("ffmpeg -v error -xerror -i out.mp4 -f null -").errors == "")
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
