import CGstCheck
import TestSupport
import Testing

extension GStreamerTests {
  /// Nothing that an application calls waits for an edit.
  struct StateTests {
    /// Steps that would take minutes.
    private static let endless = Element.line(["steps": "900"])

    private func inMidEdit(_ line: String) throws -> Pipeline {
      let pipeline = try Pipeline(line)
      pipeline.set(GST_STATE_PLAYING)
      try pipeline.wait(for: "an edit") { $0.text("phase") == "invert" }
      return pipeline
    }

    private func isDone(_ pipeline: Pipeline) -> Bool {
      pipeline.bus.messages().contains { $0.progress?.type == GST_PROGRESS_TYPE_COMPLETE }
    }

    @Test(arguments: [GST_STATE_READY, GST_STATE_NULL])
    func stop(state: GstState) throws {
      let pipeline = try inMidEdit("videotestsrc ! \(Element.caps) ! \(Self.endless) ! fakesink")
      #expect(pipeline.set(state) == GST_STATE_CHANGE_SUCCESS)
      if state == GST_STATE_READY {
        let messages = pipeline.bus.messages()
        #expect(messages.contains { $0.progress?.type == GST_PROGRESS_TYPE_CANCELED })
        #expect(!messages.contains { $0.type == GST_MESSAGE_ERROR })
      }
      // And it works again.
      Element.set(try pipeline.element("fatezero"), "steps", "1")
      pipeline.set(GST_STATE_PLAYING)
      try pipeline.wait(for: "a window") { $0.name == "fatezero/window" }
    }

    /// While the weights are read.
    @Test func stopWhileLoading() throws {
      let pipeline = try Pipeline("videotestsrc ! \(Element.caps) ! \(Element.line()) ! fakesink")
      pipeline.set(GST_STATE_PLAYING)
      try pipeline.wait(for: "loading") { $0.text("phase") == "load" }
      #expect(pipeline.set(GST_STATE_NULL) == GST_STATE_CHANGE_SUCCESS)
    }

    @Test func seek() throws {
      let pipeline = try inMidEdit("videotestsrc ! \(Element.caps) ! \(Self.endless) ! fakesink")
      for _ in 0..<3 {
        let isSought = GStreamer.bounded("a seek") {
          gst_element_seek_simple(
            pipeline.pointer, GST_FORMAT_TIME, GstSeekFlags(GST_SEEK_FLAG_FLUSH.rawValue), 1_000_000_000)
        }
        #expect(isSought != 0)
        try pipeline.wait(for: "the end of the edit") { $0.progress?.type == GST_PROGRESS_TYPE_CANCELED }
        try pipeline.wait(for: "an edit") { $0.text("phase") == "invert" }
      }
      Element.set(try pipeline.element("fatezero"), "steps", "1")
      GStreamer.bounded("a seek") {
        _ = gst_element_seek_simple(
          pipeline.pointer, GST_FORMAT_TIME, GstSeekFlags(GST_SEEK_FLAG_FLUSH.rawValue), 2_000_000_000)
      }
      let window = try pipeline.wait(for: "a window") { $0.name == "fatezero/window" }
      #expect(window.integer("first-pts") == 2_000_000_000)
      #expect(pipeline.messages.allSatisfy { $0.type != GST_MESSAGE_ERROR })
    }

    @Test func everythingElse() throws {
      let pipeline = try inMidEdit("videotestsrc ! \(Element.caps) ! \(Self.endless) ! fakesink name=sink")
      let element = try pipeline.element("fatezero")
      GStreamer.bounded("a call") {
        var position: gint64 = 0
        gst_element_query_position(pipeline.pointer, GST_FORMAT_TIME, &position)
        let latency = gst_query_new_latency()
        gst_element_query(pipeline.pointer, latency)
        gst_query_unref(latency)
        for name in ["steps", "edit", "model", "memory-limit"] { _ = Element.get(element, name) }
        Element.set(element, "edit", "a dog")
        let pad = gst_element_get_static_pad(element, "src")
        if let caps = gst_pad_query_caps(pad, nil) { gst_caps_unref(caps) }
        gst_object_unref(pad)
        gst_element_send_event(pipeline.pointer, gst_event_new_latency(0))
        gst_element_set_state(pipeline.pointer, GST_STATE_PAUSED)
        gst_element_set_state(pipeline.pointer, GST_STATE_PLAYING)
      }
      #expect(!isDone(pipeline), "the calls waited for the edit")
    }

    /// The end of a recording, asked for while an edit runs, comes after it. (Without the queue the source's own lock would
    /// be held by the edit.)
    @Test func endDuringAnEdit() throws {
      let pipeline = try Pipeline(
        """
        videotestsrc is-live=true ! \(Element.caps) ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! \
        \(Element.line(["steps": "4"])) ! fakesink sync=false
        """)
      pipeline.set(GST_STATE_PLAYING)
      try pipeline.wait(for: "an edit") { $0.text("phase") == "invert" }
      GStreamer.bounded("the end") { _ = gst_element_send_event(pipeline.pointer, gst_event_new_eos()) }
      try pipeline.wait(for: "the end") { $0.type == GST_MESSAGE_EOS }
    }

    @Test func reuse() throws {
      let pipeline = try Pipeline("videotestsrc num-buffers=5 ! \(Element.caps) ! \(Element.line()) ! fakesink")
      for _ in 0..<3 {
        try pipeline.play()
        pipeline.set(GST_STATE_NULL)
      }
      #expect(pipeline.messages.count { $0.name == "fatezero/window" } == 6)
    }

    /// Pause, seek back and forth, play to the end, as a player's user does.
    @Test func scenario() throws {
      let pipeline = try Pipeline(
        "videotestsrc ! \(Element.caps) ! \(Element.line()) ! fakesink name=sink sync=true")
      // To 8 s: the source's own number of buffers counts on through seeks.
      func seek(_ seconds: Double, _ flags: UInt32 = GST_SEEK_FLAG_FLUSH.rawValue) throws {
        let isSought = GStreamer.bounded("a seek") {
          gst_element_seek(
            pipeline.pointer, 1, GST_FORMAT_TIME, GstSeekFlags(flags), GST_SEEK_TYPE_SET, gint64(seconds * 1e9),
            GST_SEEK_TYPE_SET, 8_000_000_000)
        }
        try #require(isSought != 0)
        try pipeline.wait(for: "what follows a seek") { $0.type == GST_MESSAGE_ASYNC_DONE }
      }
      func position() -> Double {
        var position: gint64 = -1
        GStreamer.bounded("a position") {
          _ = gst_element_query_position(pipeline.pointer, GST_FORMAT_TIME, &position)
        }
        return Double(position) / 1e9
      }
      pipeline.set(GST_STATE_PAUSED)
      try pipeline.wait(for: "the first frame") { $0.type == GST_MESSAGE_ASYNC_DONE }
      #expect(position() == 0)
      pipeline.set(GST_STATE_PLAYING)
      try pipeline.wait(for: "a second window") { $0.name == "fatezero/window" }
      // A sink that holds no frame at the moment gets one first.
      if pipeline.set(GST_STATE_PAUSED) == GST_STATE_CHANGE_ASYNC {
        try pipeline.wait(for: "a frame") { $0.type == GST_MESSAGE_ASYNC_DONE }
      }
      try seek(4)
      #expect(abs(position() - 4) < 0.05)
      try seek(1)
      #expect(abs(position() - 1) < 0.05)
      pipeline.set(GST_STATE_PLAYING)
      try seek(7.5)
      try pipeline.wait(for: "the end") { $0.type == GST_MESSAGE_EOS }
      let last = pipeline.messages.last { $0.name == "fatezero/window" }
      #expect(last?.integer("last-pts") == 7_960_000_000)
      try seek(7.8)
      try pipeline.wait(for: "the end again") { $0.type == GST_MESSAGE_EOS }
    }
  }
}
