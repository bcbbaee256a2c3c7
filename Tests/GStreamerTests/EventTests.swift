import CGstCheck
import TestSupport
import Testing

extension GStreamerTests {
  /// What comes between frames: boundaries of windows, and things that keep their place.
  struct EventTests {
    private static let larger = "video/x-raw,format=RGB,width=80,height=48,framerate=25/1"

    @Test func eventsKeepTheirPlace() {
      let harness = ElementHarness()
      _ = harness.order()
      harness.push()
      harness.send(gst_event_new_gap(ElementHarness.frameDuration, ElementHarness.frameDuration))
      harness.push()
      harness.send(gst_event_new_tag(gst_tag_list_new_from_string("taglist, title=(string)garden")))
      harness.send(gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM, gst_structure_new_empty("mark")))
      harness.push()
      #expect(harness.order() == "")
      harness.end()
      #expect(harness.order() == "+-b[gap]b[tag][custom-downstream]b[eos]")
    }

    /// Behind the last frame of a window nothing waits.
    @Test func eventsBehindAWindow() {
      let harness = ElementHarness()
      harness.push(frames: 4)
      _ = harness.order()
      harness.send(gst_event_new_gap(0, ElementHarness.frameDuration))
      #expect(harness.order() == "[gap]")
    }

    @Test func emptyStream() {
      let harness = ElementHarness()
      _ = harness.order()
      #expect(harness.end())
      #expect(harness.order() == "[eos]")
    }

    @Test func endDrains() {
      let harness = ElementHarness()
      _ = harness.order()
      harness.push(frames: 6)
      #expect(harness.order() == "+-bbbb")
      harness.end()
      #expect(harness.order() == "+-bb[eos]")
    }

    @Test func segmentDrains() {
      let harness = ElementHarness()
      harness.push(frames: 3)
      _ = harness.order()
      var segment = GstSegment()
      gst_segment_init(&segment, GST_FORMAT_TIME)
      segment.base = 120_000_000
      harness.send(gst_event_new_segment(&segment))
      #expect(harness.order() == "+-bbb[segment]")
    }

    @Test func discontinuityDrains() {
      let harness = ElementHarness()
      harness.push(frames: 3)
      _ = harness.order()
      harness.push(discontinuous: true)
      #expect(harness.order() == "+-bbb")
      harness.end()
      #expect(harness.order() == "+-b[eos]")
      let flags = harness.frames().map { $0.flags & UInt32(GST_BUFFER_FLAG_DISCONT.rawValue) != 0 }
      #expect(flags == [false, false, false, true])
    }

    @Test func otherCapsDrainAndRenegotiate() {
      let harness = ElementHarness()
      harness.push(frames: 3)
      _ = harness.order()
      let before = harness.format
      harness.setCaps(Self.larger)
      #expect(harness.order() == "+-bbb[caps][segment]")
      harness.push(frames: 4)
      #expect(harness.order() == "+-bbbb")
      #expect(before.width == 64 && harness.format.width == 80)
      let sizes = (0..<7).compactMap { _ -> Int? in
        guard let buffer = gst_harness_try_pull(harness.harness) else { return nil }
        defer { gst_buffer_unref(buffer) }
        return Int(gst_buffer_get_size(buffer))
      }
      #expect(sizes == [Int](repeating: 64 * 64 * 3, count: 3) + [Int](repeating: 80 * 48 * 3, count: 4))
    }

    /// A boundary between two windows is one, too.
    @Test func otherCapsBetweenWindows() {
      let harness = ElementHarness()
      harness.push(frames: 4)
      harness.setCaps(Self.larger)
      harness.push(frames: 4)
      #expect(gst_harness_buffers_received(harness.harness) == 8)
    }

    /// What follows a discontinuity is edited as a clip of its own.
    @Test func discontinuityBetweenWindows() {
      let harness = ElementHarness()
      harness.push(frames: 4)
      let first = harness.frames().map(\.pixels)
      harness.push(harness.format.pattern(0), discontinuous: true)
      for index in 1..<4 { harness.push(harness.format.pattern(index)) }
      #expect(harness.frames().map(\.pixels) == first)
    }

    @Test func sameCapsDoNot() {
      let harness = ElementHarness()
      harness.push(frames: 3)
      _ = harness.order()
      harness.send(gst_event_new_caps(gst_caps_from_string(Element.caps)))
      #expect(harness.order() == "")
      harness.push()
      #expect(harness.order() == "+-bbbb")
    }

    @Test func flushDrops() {
      let harness = ElementHarness()
      harness.push(frames: 3)
      _ = harness.order()
      harness.flush()
      #expect(harness.order() == "[flush-start][flush-stop][segment]")
      harness.push(frames: 4)
      #expect(harness.order() == "+-bbbb")
      #expect(harness.frames().map(\.offset) == [103, 104, 105, 106])
    }

    /// What is known of a stream outlives a flush of its frames.
    @Test func tagsOutliveAFlush() {
      let harness = ElementHarness()
      harness.push()
      harness.send(gst_event_new_tag(gst_tag_list_new_from_string("taglist, title=(string)garden")))
      _ = harness.order()
      harness.flush()
      harness.push(frames: 4)
      let order = harness.order()
      #expect(order.replacing("[tag]", with: "") == "[flush-start][flush-stop][segment]+-bbbb")
      #expect(order.split(separator: "b", maxSplits: 1).first?.contains("[tag]") == true, "\(order)")
      let pad = gst_element_get_static_pad(harness.element, "src")
      let tag = gst_pad_get_sticky_event(pad, GST_EVENT_TAG, 0)
      #expect(tag != nil)
      if let tag { gst_event_unref(tag) }
      gst_object_unref(pad)
    }

    /// A sink that is late because of an edit must not make the decoder drop frames.
    @Test func lateSinksAreNotReported() {
      let harness = ElementHarness()
      harness.push(frames: 4)
      let before = gst_harness_upstream_events_received(harness.harness)
      gst_harness_push_upstream_event(
        harness.harness, gst_event_new_qos(GST_QOS_TYPE_UNDERFLOW, 2, 400_000_000, 160_000_000))
      #expect(gst_harness_upstream_events_received(harness.harness) == before)
      harness.push(frames: 4)
      #expect(harness.frames().count == 8)
    }

    /// A frame waits for its window, and then for the edit: how long that takes is known once there was one.
    @Test func latencyIsAWindowAndItsEdit() throws {
      let harness = ElementHarness(["clip-length": "5"])
      gst_harness_set_upstream_latency(harness.harness, 10_000_000)
      harness.push()
      #expect(gst_harness_query_latency(harness.harness) == 210_000_000)
      #expect(harness.bus.messages().contains { $0.type == GST_MESSAGE_LATENCY })
      // It changes with the caps, and with the window.
      harness.setCaps("video/x-raw,format=RGB,width=64,height=64,framerate=50/1")
      let messages = harness.bus.messages()
      #expect(messages.contains { $0.type == GST_MESSAGE_LATENCY })
      let seconds = try #require(messages.first { $0.name == "fatezero/window" }?.number("seconds"))
      let edit = gst_harness_query_latency(harness.harness) - 110_000_000
      print("an edit of \(seconds) s: \(Double(edit) / 1e9) s of latency")
      #expect(Double(edit) >= seconds * 1e9 && edit < 60_000_000_000)
      Element.set(harness.element, "clip-length", "2")
      harness.push()
      #expect(gst_harness_query_latency(harness.harness) == 50_000_000 + edit)
      #expect(harness.bus.messages().contains { $0.type == GST_MESSAGE_LATENCY })
    }

    /// The position is that of the output.
    @Test func positionIsBehindTheInput() {
      let harness = ElementHarness()
      let pad = gst_element_get_static_pad(harness.element, "src")
      defer { gst_object_unref(pad) }
      harness.push(frames: 7)
      var position: gint64 = -1
      #expect(gst_pad_query_position(pad, GST_FORMAT_TIME, &position) != 0)
      #expect(position == 4 * gint64(ElementHarness.frameDuration))
    }

    /// Played backwards, the end of a frame is its beginning.
    @Test func positionAtReverseRate() {
      let harness = ElementHarness()
      let pad = gst_element_get_static_pad(harness.element, "src")
      defer { gst_object_unref(pad) }
      var segment = GstSegment()
      gst_segment_init(&segment, GST_FORMAT_TIME)
      segment.rate = -1
      segment.stop = 4 * ElementHarness.frameDuration
      harness.send(gst_event_new_segment(&segment))
      for index in (0..<4).reversed() {
        let buffer = harness.format.buffer(harness.format.pattern(index))
        buffer.pointee.pts = GstClockTime(index) * ElementHarness.frameDuration
        buffer.pointee.duration = ElementHarness.frameDuration
        harness.push(buffer, timed: false)
      }
      var position: gint64 = -1
      #expect(gst_pad_query_position(pad, GST_FORMAT_TIME, &position) != 0 && position == 0)
    }

    /// A query that travels among the frames comes behind those that are held.
    @Test func serializedQueriesWait() {
      let harness = ElementHarness()
      harness.push(frames: 3)
      #expect(harness.frames().isEmpty)
      let query = gst_query_new_drain()
      defer { gst_query_unref(query) }
      _ = GStreamer.bounded("a query") { gst_pad_peer_query(harness.harness.pointee.srcpad, query) }
      #expect(harness.frames().count == 3)
    }

    /// Frames come a window at a time: nobody can ask for one.
    @Test func noPulling() {
      let harness = ElementHarness()
      let pad = gst_element_get_static_pad(harness.element, "src")
      defer { gst_object_unref(pad) }
      #expect(gst_pad_activate_mode(pad, GST_PAD_MODE_PULL, 1) == 0)
    }

    /// An unconstrained source gives what needs no conversion.
    @Test func rgbComesFirst() throws {
      let pipeline = try Pipeline("videotestsrc num-buffers=1 ! \(Element.line(["edit": "NULL"])) ! fakesink name=sink")
      try pipeline.play()
      let pad = gst_element_get_static_pad(try pipeline.element("sink"), "sink")
      defer { gst_object_unref(pad) }
      let caps = try #require(gst_pad_get_current_caps(pad))
      defer { gst_caps_unref(caps) }
      let format = gst_structure_get_string(gst_caps_get_structure(caps, 0), "format").map { String(cString: $0) }
      #expect(format == "RGB")
    }

    @Test(arguments: [("bt2100-pq", "PQ"), ("bt2100-hlg", "HLG"), ("bt709", nil)])
    func highDynamicRangeIsWarnedOf(colorimetry: String, name: String?) {
      let harness = ElementHarness(
        caps: "video/x-raw,format=I420_10LE,width=64,height=64,framerate=25/1,colorimetry=\(colorimetry)")
      let warnings = harness.bus.messages().compactMap { $0.type == GST_MESSAGE_WARNING ? $0.report?.text : nil }
      #expect(warnings.filter { $0.contains("HDR") }.count == (name == nil ? 0 : 1), "\(warnings)")
      if let name { #expect(warnings.contains { $0.contains("HDR (\(name))") }) }
    }

    /// The whole clip as one window, however many frames.
    @Test func wholeClip() {
      let harness = ElementHarness(["clip-length": "0"])
      harness.push(frames: 11)
      _ = harness.order()
      harness.end()
      #expect(harness.order() == "+-" + String(repeating: "b", count: 11) + "[eos]")
      let windows = harness.bus.messages().filter { $0.name == "fatezero/window" }
      #expect(windows.map { $0.integer("frames") } == [11])
    }

    /// A state change to NULL and back begins anew.
    @Test func restart() {
      let harness = ElementHarness()
      harness.push(frames: 3)
      for state in [GST_STATE_NULL, GST_STATE_PLAYING] {
        GStreamer.bounded("a change of state") { _ = gst_element_set_state(harness.element, state) }
      }
      _ = harness.order()
      gst_harness_set_src_caps_str(harness.harness, Element.caps)
      harness.push(frames: 4)
      #expect(harness.frames().map(\.offset) == [103, 104, 105, 106])
    }
  }
}
