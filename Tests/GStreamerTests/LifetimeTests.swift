import FoundationEssentials
import TestSupport
import Testing

extension GStreamerTests {
  /// Nothing is kept that is not needed any more, and nothing is touched that is not there.
  struct LifetimeTests {
    private let launch: Launch

    init() throws {
      launch = try Launch()
    }

    /// 200 times from NULL to the end of a one-frame stream and back.
    @Test func cyclesDoNotGrow() throws {
      let outcome = try launch.succeed(
        """
        cat > cycles.py <<'END'
        import os
        import sys
        import gi
        gi.require_version("Gst", "1.0")
        from gi.repository import Gst

        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

        Gst.init(None)
        pipeline = Gst.parse_launch(sys.argv[1])
        bus = pipeline.get_bus()
        sizes = []
        for cycle in range(200):
            pipeline.set_state(Gst.State.PLAYING)
            message = bus.timed_pop_filtered(120 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
            if message is None or message.type != Gst.MessageType.EOS:
                sys.exit(f"cycle {cycle}: {message and message.get_structure().to_string()}")
            pipeline.set_state(Gst.State.NULL)
            sizes.append(resident())
            files = len(os.listdir("/proc/self/fd"))
            if cycle == 49:
                files_before = files
        print(sizes[49], sizes[199], files_before, files, len(os.listdir("/proc/self/task")))
        END
        timeout --kill-after=5 500 /usr/bin/python3 cycles.py \
          "videotestsrc num-buffers=1 ! $CAPS ! fatezero model=$MODEL size=64x64 steps=1 edit=tiger ! fakesink"
        """)
      let numbers = outcome.text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
      try #require(numbers.count == 5, "\(outcome.text)")
      print("resident set: \(numbers[0]) KiB after 50 cycles, \(numbers[1]) KiB after 200")
      print("files: \(numbers[2]) and \(numbers[3]); \(numbers[4]) threads")
      #expect(Double(numbers[1]) <= 1.02 * Double(numbers[0]))
      #expect(numbers[3] <= numbers[2])
    }

    @Test func noObjectOutlives() throws {
      let outcome = try launch.succeed(
        """
        GST_TRACERS=leaks GST_DEBUG=GST_TRACER:7 GST_DEBUG_NO_COLOR=1 gst -q videotestsrc num-buffers=6 ! $CAPS ! \
          taginject tags=title=garden ! $ELEMENT "$EDIT" ! fakesink
        """)
      let alive = outcome.errors.split(separator: "\n").filter {
        // The tracer first says what its records look like.
        $0.contains("object-alive,") && !$0.contains("gsttracerrecord.c")
      }
      #expect(alive == [], "\(alive.joined(separator: "\n"))")
    }
  }
}
