import CGstCheck
import TestSupport
import Testing

extension GStreamerTests {
  /// Frames in, as many edited frames out, and nothing else about them changed.
  struct FrameTests {
    @Test(arguments: [0, 1, 3, 4, 5, 9])
    func asManyComeOut(count: Int) {
      let harness = ElementHarness()
      harness.push(frames: count)
      let early = harness.frames().count
      #expect(early == count / 4 * 4)
      #expect(harness.end())
      #expect(early + harness.frames().count == count)
      #expect(harness.bus.messages().allSatisfy { $0.type != GST_MESSAGE_ERROR })
    }

    @Test func timesOffsetsFlagsAndMetasPassThrough() {
      let harness = ElementHarness()
      for index in 0..<6 {
        let buffer = harness.format.buffer(harness.format.pattern(index))
        if index == 2 { gst_buffer_set_flags(buffer, GstBufferFlags(GST_BUFFER_FLAG_MARKER.rawValue)) }
        if index == 3 {
          gst_buffer_add_video_region_of_interest_meta(buffer, "cat", 1, 2, 3, 4)
          let caps = gst_caps_new_empty_simple("timestamp/x-test")
          gst_buffer_add_reference_timestamp_meta(buffer, caps, 5, 6)
          gst_caps_unref(caps)
        }
        harness.push(buffer)
      }
      harness.end()
      let frames = harness.frames()
      #expect(frames.count == 6)
      for (index, frame) in frames.enumerated() {
        #expect(frame.pts == GstClockTime(index) * ElementHarness.frameDuration)
        #expect(frame.dts == frame.pts + 7)
        #expect(frame.duration == ElementHarness.frameDuration)
        #expect(frame.offset == 100 + index)
        #expect(frame.offsetEnd == 101 + index)
        #expect((frame.flags & UInt32(GST_BUFFER_FLAG_MARKER.rawValue) != 0) == (index == 2))
        #expect(frame.flags & UInt32(GST_BUFFER_FLAG_DISCONT.rawValue) == 0)
        #expect(
          frame.metas.filter { $0 != "GstVideoMetaAPI" }.sorted()
            == (index == 3 ? ["GstReferenceTimestampMetaAPI", "GstVideoRegionOfInterestMetaAPI"] : []))
        #expect(frame.pixels != harness.format.pattern(index))
      }
    }

    /// docs/media.md has the list of what a frame carries.
    @Test func captionsAndColoursStay() throws {
      let caps =
        "video/x-raw,format=I420_10LE,width=64,height=64,framerate=25/1,colorimetry=bt2100-pq,chroma-site=v-cosited,"
        + "pixel-aspect-ratio=4/3,mastering-display-info=(string)"
        + "34000:16000:13250:34500:7500:3000:15635:16450:10000000:50,content-light-level=(string)1000:400"
      let harness = ElementHarness(caps: caps)
      for index in 0..<4 {
        let buffer = harness.format.buffer(harness.format.pattern(index))
        let pairs: [UInt8] = [0xfc, 0x94, 0x2c]
        gst_buffer_add_video_caption_meta(buffer, GST_VIDEO_CAPTION_TYPE_CEA708_RAW, pairs, gsize(pairs.count))
        gst_buffer_add_video_afd_meta(buffer, 0, GST_VIDEO_AFD_SPEC_ATSC_A53, GST_VIDEO_AFD_4_3_FULL_16_9_FULL)
        harness.push(buffer)
      }
      harness.end()
      let frames = harness.frames()
      #expect(frames.count == 4)
      for frame in frames {
        #expect(frame.metas.contains("GstVideoCaptionMetaAPI") && frame.metas.contains("GstVideoAFDMetaAPI"))
      }
      let out = try #require(gst_pad_get_current_caps(harness.harness.pointee.sinkpad))
      defer { gst_caps_unref(out) }
      let wanted = gst_caps_from_string(caps)
      defer { gst_caps_unref(wanted) }
      #expect(gst_caps_is_subset(out, wanted) != 0)
    }

    @Test func framesWithoutTimes() {
      let harness = ElementHarness(caps: "video/x-raw,format=RGB,width=64,height=64,framerate=0/1")
      for _ in 0..<3 { harness.push(timed: false) }
      harness.end()
      #expect(harness.frames().map(\.pts) == [GstClockTime](repeating: .max, count: 3))
    }

    /// Upstream's pool may be smaller than a window.
    @Test func poolOfTwoBuffers() {
      let harness = ElementHarness()
      let pool = gst_buffer_pool_new()
      let configuration = gst_buffer_pool_get_config(pool)
      let caps = gst_caps_from_string(Element.caps)
      gst_buffer_pool_config_set_params(configuration, caps, guint(harness.format.info.size), 2, 2)
      gst_caps_unref(caps)
      gst_buffer_pool_set_config(pool, configuration)
      gst_buffer_pool_set_active(pool, 1)
      for index in 0..<10 {
        var buffer: UnsafeMutablePointer<GstBuffer>?
        GStreamer.bounded("a buffer of the pool") { _ = gst_buffer_pool_acquire_buffer(pool, &buffer, nil) }
        guard let buffer else { break }
        harness.format.fill(buffer, harness.format.pattern(index))
        harness.push(buffer)
      }
      harness.end()
      #expect(harness.frames().count == 10)
      gst_buffer_pool_set_active(pool, 0)
      gst_object_unref(pool)
    }

    /// Rows and planes where GstVideoMeta says they are.
    @Test func paddedRows() {
      let plain = ElementHarness()
      plain.push(frames: 4)
      let expected = plain.frames().map(\.pixels)

      let harness = ElementHarness()
      let stride = 64 * 3 + 40
      for index in 0..<4 {
        let pixels = harness.format.pattern(index)
        let buffer = gst_buffer_new_allocate(nil, gsize(16 + 64 * stride), nil)
        for y in 0..<64 {
          gst_buffer_fill(buffer, gsize(16 + y * stride), Array(pixels.bytes[y * 192..<(y + 1) * 192]), 192)
        }
        var offsets: [gsize] = [16, 0, 0, 0]
        var strides: [gint] = [gint(stride), 0, 0, 0]
        gst_buffer_add_video_meta_full(
          buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_RGB, 64, 64, 1, &offsets, &strides)
        if let buffer { harness.push(buffer) }
      }
      let frames = harness.frames()
      #expect(frames.map(\.pixels) == expected)
    }

    /// A frame that is smaller than its caps say is an error, not a crash.
    @Test func shortBuffer() throws {
      let harness = ElementHarness()
      let buffer = try #require(gst_buffer_new_allocate(nil, 100, nil))
      #expect(harness.push(buffer) == GST_FLOW_ERROR)
      let reports = harness.bus.messages().compactMap { $0.type == GST_MESSAGE_ERROR ? $0.report : nil }
      #expect(reports.count == 1)
      #expect(reports.first?.domain == "gst-stream-error-quark")
      #expect(reports.first?.code == Int32(GST_STREAM_ERROR_FORMAT.rawValue))
    }

    /// Alpha comes back as it went in, beside edited colours.
    @Test func alphaIsKept() {
      let harness = ElementHarness(caps: "video/x-raw,format=RGBA,width=64,height=64,framerate=25/1")
      let source = harness.format.pattern(0)
      harness.push()
      harness.end()
      let frames = harness.frames()
      #expect(frames.count == 1)
      func alpha(_ pixels: Pixels) -> Pixels {
        Pixels(bytes: pixels.bytes.indices.filter { $0 % 4 == 3 }.map { pixels.bytes[$0] })
      }
      #expect(frames.first.map { alpha($0.pixels) } == alpha(source))
      #expect(frames.first?.pixels != source)
    }

    /// Two elements in one process work at the same time and give what one alone gives.
    @Test func twoAtOnce() throws {
      let single = ElementHarness(["edit": "a tiger"])
      single.push(frames: 8)
      let expected = single.frames().map(\.pixels)
      let (first, second) = (ElementHarness(["edit": "a tiger"]), ElementHarness(["edit": "a dog"]))
      for _ in 0..<8 {
        first.push()
        second.push()
      }
      let (tiger, dog) = (first.frames().map(\.pixels), second.frames().map(\.pixels))
      #expect(tiger == expected)
      #expect(dog.count == 8)
      #expect(dog != expected)

      let pipeline = try Pipeline(
        """
        videotestsrc num-buffers=8 ! \(Element.caps) ! tee name=t
        t. ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! \(Element.line(["name": "a"])) ! fakesink
        t. ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! \(Element.line(["name": "b"])) ! fakesink
        """)
      try pipeline.play()
      #expect(pipeline.messages.count { $0.name == "fatezero/window" } == 4)
    }
  }
}
