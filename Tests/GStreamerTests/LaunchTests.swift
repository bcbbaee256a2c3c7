import FoundationEssentials
import Glibc
import TestSupport
import Testing

extension GStreamerTests {
  /// Launch lines as people type them.
  struct LaunchTests {
    private let launch: Launch
    private var bench: Workbench { launch.bench }

    init() throws {
      launch = try Launch()
    }

    /// A clip of 20 frames with sound.
    private func makeClip(_ name: String = "in.mp4", size: String = "64x64") throws {
      try launch.succeed(
        """
        ffmpeg -v error -f lavfi -i testsrc=size=\(size):rate=25 -f lavfi -i sine=sample_rate=48000 -t 0.8 \
          -pix_fmt yuv420p \(name)
        """)
    }

    @Test func inspect() throws {
      let text = try launch.succeed("gst-inspect-1.0 fatezero").text
      for words in [
        "Filter/Effect/Video", "Apache 2.0", "gst-launch-1.0 filesrc", "max-size-buffers=0", "Element Properties",
        "changeable in NULL, READY, PAUSED or PLAYING state", #""style""#,
      ] {
        #expect(text.contains(words), "\(words)")
      }
    }

    /// What the element says reaches the terminal.
    @Test func informationIsPrinted() throws {
      let text = try launch.succeed(#"gst videotestsrc num-buffers=1 ! $CAPS ! $ELEMENT "$EDIT" ! fakesink"#).text
      #expect(text.contains("INFO:\n") && text.contains("edited at 64x64"), "\(text)")
    }

    /// Sound and picture through decoder, element, encoders and muxer.
    @Test(arguments: [
      ("x264enc", "avenc_aac", "mp4mux", "mp4"), ("vp8enc deadline=1", "vorbisenc", "webmmux", "webm"),
    ])
    func fileToFile(video: String, audio: String, mux: String, name: String) throws {
      try makeClip()
      try launch.succeed(
        """
        gst -q filesrc location=in.mp4 ! decodebin name=d \
          d. ! queue ! $ELEMENT "$EDIT" ! \(video) ! queue ! \(mux) name=m ! filesink location=out.\(name) \
          d. ! $WINDOW ! audioconvert ! audioresample ! \(audio) ! m.
        """)
      let (before, after) = (try bench.probe("in.mp4"), try bench.probe("out.\(name)"))
      #expect(after.videoFrames == 20)
      #expect(after.times.count == before.times.count)
      #expect(zip(after.times, before.times).allSatisfy { abs($0 - $1) < 0.002 })
      #expect(after.audio != nil)
    }

    /// No videoconvert: 8 and 10 bits, 4:2:0, 4:2:2, 4:4:4; grey and RGB, which x264enc does not take.
    @Test(arguments: [
      ("I420", "x264enc"), ("NV12", "x264enc"), ("Y42B", "x264enc"), ("Y444", "x264enc"), ("I420_10LE", "x264enc"),
      ("I422_10LE", "x264enc"), ("Y444_10LE", "x264enc"), ("GRAY8", "avenc_ffv1"), ("BGRx", "avenc_ffv1"),
    ])
    func intoAnEncoder(format: String, encoder: String) throws {
      try launch.succeed(
        """
        gst -q videotestsrc num-buffers=5 ! $CAPS,format=\(format) ! $ELEMENT "$EDIT" ! \(encoder) ! \
          matroskamux ! filesink location=out.mkv
        """)
      #expect(try bench.probe("out.mkv").videoFrames == 5)
    }

    @Test func picture() throws {
      try launch.succeed(
        """
        ffmpeg -v error -f lavfi -i testsrc=size=100x60 -frames:v 1 in.png
        gst -q filesrc location=in.png ! pngdec ! $ELEMENT "$EDIT" ! pngenc ! filesink location=out.png
        """)
      let video = try bench.probe("out.png").video
      #expect(video?.width == 100 && video?.height == 60)
      #expect(try bench.pixels("out.png") != bench.pixels("in.png"))
    }

    /// The element's pixels are the command's, at the working size and at another.
    @Test(arguments: ["64x64", "96x80"])
    func pixelsAreTheCommands(size: String) throws {
      try launch.succeed(
        """
        SIZE=\(size)
        frames 25 10 $SIZE > in.nut
        ffmpeg -v error -i in.nut -f rawvideo -pix_fmt rgb24 in.raw
        edit in.nut out.nut --clip-length 4
        gst -q filesrc location=in.raw ! rawvideoparse format=rgb width=${SIZE%x*} height=${SIZE#*x} framerate=25/1 ! \
          $ELEMENT "$EDIT" ! filesink location=out.raw
        """)
      let (command, element) = (try bench.pixels("out.nut"), try bench.contents("out.raw"))
      #expect(command.count == element.count)
      let largest = zip(command, element).map { abs(Int($0) - Int($1)) }.max()
      print("\(size): largest difference of the element's pixels and the command's: \(largest ?? -1)")
      #expect(largest == 0)
    }

    @Test func branches() throws {
      try launch.succeed(
        """
        gst -q videotestsrc num-buffers=20 ! $CAPS ! tee name=t \
          t. ! $WINDOW ! x264enc tune=zerolatency ! matroskamux ! filesink location=before.mkv \
          t. ! $WINDOW ! $ELEMENT "$EDIT" ! x264enc ! matroskamux ! filesink location=after.mkv
        """)
      #expect(try bench.probe("before.mkv").videoFrames == 20)
      #expect(try bench.probe("after.mkv").videoFrames == 20)
    }

    @Test func liveSource() throws {
      let outcome = try launch.succeed(
        """
        gst videotestsrc is-live=true num-buffers=12 ! $CAPS ! $WINDOW ! $ELEMENT "$EDIT" ! fakesink sync=false
        """)
      #expect((outcome.text + outcome.errors).contains("the source is live"))
      #expect(outcome.text.contains("window 3"))
    }

    /// Ctrl-C with -e ends a recording: what was gathered is edited and written.
    @Test func interruptedRecording() throws {
      let job = try launch.start(
        """
        exec gst-launch-1.0 -e videotestsrc is-live=true ! $CAPS ! $WINDOW ! $ELEMENT clip-length=0 "$EDIT" ! \
          x264enc ! mp4mux ! filesink location=out.mp4
        """)
      var waited = 0
      while !job.outputSoFar.contains("PLAYING"), waited < 1200, !job.hasEnded {
        usleep(100_000)
        waited += 1
      }
      usleep(700_000)
      job.signal(SIGINT)
      let outcome = try job.wait(seconds: 240)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(try bench.probe("out.mp4").videoFrames > 2)
    }

    /// Ctrl-C in the middle of an edit ends it, and nothing is left behind.
    @Test func interruptedEdit() throws {
      let job = try launch.start(
        """
        exec gst-launch-1.0 videotestsrc ! $CAPS ! $ELEMENT steps=900 "$EDIT" ! fakesink
        """)
      var waited = 0
      while !job.outputSoFar.contains("invert 2/"), waited < 1200, !job.hasEnded {
        usleep(100_000)
        waited += 1
      }
      try #require(!job.hasEnded, "\(job.errorsSoFar)")
      job.signal(SIGINT)
      let outcome = try job.wait(seconds: 240)
      #expect(outcome.status < 128, "\(outcome.errors)")
      #expect(outcome.text.contains("cancelled") || outcome.text.contains("Interrupt"))
      #expect(try bench.names() == [])
      #expect(try bench.leftovers() == [])
    }

    /// However long the stream, memory is that of a window.
    @Test func memoryDoesNotGrowWithTheStream() throws {
      let peaks = try [40, 400].map { frames in
        let job = try launch.start(
          """
          exec gst-launch-1.0 -q videotestsrc num-buffers=\(frames) ! $CAPS ! \
            fatezero model=$MODEL size=64x64 steps=1 clip-length=8 "$EDIT" ! fakesink
          """)
        let outcome = try job.wait(seconds: 600)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return outcome.peakMemory
      }
      print("largest resident set: \(peaks[0]) KiB for 40 frames, \(peaks[1]) KiB for 400")
      #expect(Double(peaks[1]) <= 1.05 * Double(peaks[0]))
    }
  }
}
