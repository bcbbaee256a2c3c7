import FoundationEssentials
import Glibc
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
        # The least of some: the allocator's own holdings come and go.
        print(min(sizes[25:50]), min(sizes[175:]), files_before, files, len(os.listdir("/proc/self/task")))
        END
        timeout --kill-after=5 500 /usr/bin/python3 cycles.py \
          "videotestsrc num-buffers=1 ! $CAPS ! fatezero model=$MODEL size=64x64 steps=1 edit=tiger ! fakesink"
        """)
      let numbers = outcome.text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
      try #require(numbers.count == 5, "\(outcome.text)")
      print("least resident set: \(numbers[0]) KiB in cycles 26 to 50, \(numbers[1]) KiB in 176 to 200")
      print("files: \(numbers[2]) and \(numbers[3]); \(numbers[4]) threads")
      // A model, a window or a thread that stays would be many times that; the address sanitizer finds single blocks.
      #expect(Double(numbers[1]) <= 1.1 * Double(numbers[0]))
      #expect(numbers[3] <= numbers[2])
    }

    /// The peak of a long stream is that of a short one, within a twentieth.
    @Test func memoryIsThatOfAWindow() throws {
      func peak(frames: Int) throws -> Int {
        let outcome = try launch.succeed(
          """
          cat > peak.py <<'END'
          import resource
          import subprocess
          import sys
          subprocess.run(sys.argv[1:], check=True)
          print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
          END
          timeout --kill-after=5 300 /usr/bin/python3 peak.py gst-launch-1.0 -q videotestsrc num-buffers=\(frames) ! $CAPS ! \
            fatezero model=$MODEL size=64x64 steps=1 "$EDIT" ! fakesink
          """)
        return try #require(Int(outcome.text.trimmingPrefix { $0.isWhitespace }.prefix { $0.isNumber }))
      }
      // The first run fills GStreamer's registry.
      _ = try peak(frames: 1)
      let (short, long) = (try peak(frames: 40), try peak(frames: 400))
      print("peak resident set: \(short) KiB at 40 frames, \(long) KiB at 400")
      #expect(Double(long) <= 1.05 * Double(short))
    }

    /// Two windows, the second short, under AddressSanitizer, which also looks for leaks at the end.
    @Test func nothingIsTouchedThatIsNotThere() throws {
      let library = "\(Workbench.root)/.build-address/release/libgstfatezero.so"
      try #require(access(library, R_OK) == 0, "this test needs `make sanitized` before")
      let outcome = try launch.run(
        """
        swift=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")
        mkdir plugins
        ln -s '\(library)' plugins/
        # What GLib allocates when it is loaded stays.
        echo leak:call_init > suppressions
        export GST_PLUGIN_PATH=$PWD/plugins GST_REGISTRY=$PWD/registry GST_REGISTRY_FORK=no
        export LSAN_OPTIONS=suppressions=$PWD/suppressions:print_suppressions=0
        preload=$(ls "$swift"/lib/clang/*/lib/linux/libclang_rt.asan-$(uname -m).so)
        # Filling the registry opens every plug-in there is.
        LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0 gst-inspect-1.0 fatezero > /dev/null
        LD_PRELOAD=$preload ASAN_OPTIONS=fast_unwind_on_malloc=0 timeout --kill-after=5 240 gst-launch-1.0 -q \
          videotestsrc num-buffers=6 ! $CAPS ! $ELEMENT "$EDIT" ! pngenc ! multifilesink location=%d.png
        ls *.png | wc -l
        """)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.text.hasSuffix("6\n"), "\(outcome.text)")
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
