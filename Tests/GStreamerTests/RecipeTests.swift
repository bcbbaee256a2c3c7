import FoundationEssentials
import Glibc
import TestSupport
import Testing

extension GStreamerTests {
  /// The launch lines of docs/gstreamer.md, as they stand there, with the model that is shipped and the example's clip.
  struct RecipeTests {
    private let launch: Launch
    private var bench: Workbench { launch.bench }

    init() throws {
      launch = try Launch()
      try launch.succeed("cp '\(Workbench.root)/Examples/cat.mp4' in.mp4")
    }

    private func recipe(with words: String) throws -> String {
      try Document.block(of: "docs/gstreamer.md", with: words)
    }

    /// The least share of the cat that is orange, of all frames.
    private func tiger(_ name: String, from source: String = "in.mp4") throws -> Double {
      let (source, edited) = ([UInt8](try bench.pixels(source)), [UInt8](try bench.pixels(name)))
      try #require(source.count == edited.count)
      let example = ExampleCat(source)
      let shares = example.frames.indices.map { example.share(\.cat, $0, of: edited, where: \.isOrange) }
      print("\(name): orange in \(shares.min() ?? 0) to \(shares.max() ?? 0) of the cat")
      return shares.min() ?? 0
    }

    @Test func fileWithItsSound() throws {
      try launch.succeed(recipe(with: "decodebin name=d"))
      let (before, after) = (try bench.probe("in.mp4"), try bench.probe("out.mp4"))
      #expect(after.videoFrames == before.videoFrames)
      #expect(after.audio != nil)
      #expect(try tiger("out.mp4") > 0.35)
    }

    /// Without a source prompt the cat becomes a tiger all the same, and one message says what is missing.
    @Test func noSourcePrompt() throws {
      let line = try recipe(with: "decodebin name=d")
      let bracketed = #"edit="a [cat -> tiger] on the grass""#
      try #require(line.contains(bracketed))
      let outcome = try launch.succeed(line.replacing(bracketed, with: #"edit="a tiger""#))
      #expect(try tiger("out.mp4") > 0.35)
      #expect((outcome.text + outcome.errors).ranges(of: "source prompt").count == 1, "\(outcome.text)")
    }

    @Test func picture() throws {
      try launch.succeed("ffmpeg -v error -i in.mp4 -frames:v 1 in.png\n" + recipe(with: "pngdec"))
      #expect(try tiger("out.png", from: "in.png") > 0.35)
    }

    @Test func preset() throws {
      try launch.succeed(recipe(with: "@preset=style"))
      #expect(try bench.probe("out.mp4").videoFrames == bench.probe("in.mp4").videoFrames)
      #expect(try bench.pixels("out.mp4") != bench.pixels("in.mp4"))
    }

    @Test func camera() throws {
      try record(recipe(with: "videotestsrc is-live=true"))
      try editRecord()
    }

    @Test func networkCamera() throws {
      let address = "rtsp://camera/stream"
      let line = try recipe(with: address)
      try launch.succeed(
        """
        cat > server.py <<'END'
        import gi
        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import GLib, Gst, GstRtspServer

        Gst.init(None)
        server = GstRtspServer.RTSPServer()
        server.set_service("0")
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(
            "( videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=10/1 ! x264enc tune=zerolatency "
            "key-int-max=5 ! rtph264pay name=pay0 )")
        server.get_mount_points().add_factory("/stream", factory)
        server.attach(None)
        print(server.get_bound_port(), flush=True)
        GLib.MainLoop().run()
        END
        """)
      let server = try launch.start("exec timeout 120 /usr/bin/python3 server.py")
      defer { server.signal(SIGKILL) }
      let port = try waitFor(server) { $0.firstMatch(of: /^([0-9]+)\n/).map { String($0.1) } }
      try record(line.replacing(address, with: "rtsp://127.0.0.1:\(port)/stream"))
      try editRecord()
    }

    /// Runs a recording for some frames, and ends it as Ctrl-C does.
    private func record(_ line: String) throws {
      let job = try launch.start(line.replacing("gst-launch-1.0", with: "exec gst-launch-1.0"))
      _ = try waitFor(job) { $0.contains("New clock") ? "" : nil }
      usleep(1_000_000)
      job.signal(SIGINT)
      let outcome = try job.wait(seconds: 60)
      #expect(outcome.status == 0, "\(outcome.errors)")
    }

    private func editRecord() throws {
      let recorded = try bench.probe("record.mkv").videoFrames
      print("\(recorded) frames recorded")
      #expect(recorded > 3)
      try launch.succeed("SECONDS_ALLOWED=400\n" + recipe(with: "location=record.mkv ! decodebin"))
      #expect(try bench.probe("out.mkv").videoFrames == recorded)
    }

    /// What a job has printed at last, once `find` finds something in it.
    private func waitFor(_ job: Job, _ find: (String) -> String?) throws -> String {
      for _ in 0..<600 where !job.hasEnded {
        if let found = find(job.outputSoFar) { return found }
        usleep(100_000)
      }
      return try #require(find(job.outputSoFar), "\(job.outputSoFar)")
    }

    /// On a screen that nobody sees. Which sink the machine would pick is its own affair: some need OpenGL or a toolkit.
    @Test func window() throws {
      let line = try recipe(with: "autovideosink")
      let outcome = try launch.succeed(
        """
        cat > window.sh <<'END'
        \(line) &
        for attempt in $(seq 600); do
          windows=$(xwininfo -root -tree)
          case $windows in *'"GStreamer"'*) echo "a window of ${windows##*GStreamer}"; break;; esac
          sleep 0.1
        done
        wait $!
        END
        export GST_PLUGIN_FEATURE_RANK=ximagesink:MAX
        # Without -noreset the server starts anew when xwininfo leaves, and refuses whoever comes meanwhile.
        xvfb-run --auto-servernum --server-args="-screen 0 640x480x24 -noreset" timeout --kill-after=5 240 bash window.sh
        """)
      #expect(outcome.text.contains("128x128"), "\(outcome.text)\(outcome.errors)")
      #expect(outcome.text.contains("Got EOS"))
    }

    @Test func turned() throws {
      let outcome = try launch.succeed(
        """
        ffmpeg -v error -i in.mp4 -vf crop=96:128 -frames:v 4 -an upright.mp4
        ffmpeg -v error -y -i upright.mp4 -c copy -metadata:s:v rotate=90 in.mp4
        \(recipe(with: "videoflip"))
        """)
      let video = try bench.probe("out.mp4").video
      #expect((video?.width, video?.height) == (128, 96))
      #expect(!(outcome.text + outcome.errors).contains("WARNING"))
    }
  }
}
