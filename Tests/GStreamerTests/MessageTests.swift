import CGstCheck
import TestSupport
import Testing

extension GStreamerTests {
  /// What the element says on the bus.
  struct MessageTests {
    @Test func progress() {
      let harness = ElementHarness(["steps": "3"])
      harness.push(frames: 8)
      // Ended before the first frame of the window: gst-launch plays nothing while an operation is open.
      #expect(harness.order().hasSuffix("+-bbbb+-bbbb"))
      let progress = harness.bus.messages().filter { $0.progress != nil }
      #expect(progress.allSatisfy { $0.progress?.code == "edit" })
      let windows = progress.split { $0.progress?.type == GST_PROGRESS_TYPE_COMPLETE }
      #expect(windows.count == 2)
      for window in windows {
        #expect(window.first?.progress?.type == GST_PROGRESS_TYPE_START)
        let steps = window.dropFirst()
        #expect(steps.allSatisfy { $0.progress?.type == GST_PROGRESS_TYPE_CONTINUE })
        for phase in ["invert", "edit"] {
          #expect(steps.filter { $0.text("phase") == phase }.map { $0.integer("step") } == [1, 2, 3])
        }
        let percents = steps.compactMap { $0.integer("percent") }
        #expect(percents.count == steps.count)
        #expect(percents == percents.sorted())
        #expect(percents.last == 100)
        #expect(steps.last?.number("seconds-left") == 0)
        #expect(steps.last?.progress?.text.contains("100 %") == true)
        #expect(steps.last?.progress?.text.contains("0 s left") == true)
      }
      #expect(progress.contains { $0.text("phase") == "load" })
    }

    @Test func windows() {
      let harness = ElementHarness()
      harness.push(frames: 6)
      harness.end()
      let windows = harness.bus.messages().filter { $0.name == "fatezero/window" }
      #expect(windows.map { $0.integer("frames") } == [4, 2])
      #expect(windows.map { $0.integer("first-pts") } == [0, 160_000_000])
      #expect(windows.map { $0.integer("last-pts") } == [120_000_000, 200_000_000])
      for window in windows {
        #expect(window.text("words") == "cat -> tiger")
        #expect(window.number("seconds").map { $0 > 0 } == true)
        #expect(window.integer("peak-memory").map { $0 > 1 << 20 } == true)
        #expect(window.number("mask-share").map { (0...1).contains($0) } == true)
      }
    }

    private func reports(_ harness: ElementHarness, about word: String) -> [Message] {
      harness.bus.messages().filter { $0.type == GST_MESSAGE_WARNING && $0.report?.text.contains(word) == true }
    }

    /// What a source prompt would add is said once, however many clips the stream has.
    @Test func withoutASource() {
      let harness = ElementHarness(["edit": "a tiger"])
      harness.push(frames: 3)
      harness.push(discontinuous: true)
      harness.push(frames: 4)
      harness.end()
      #expect(reports(harness, about: "source prompt").count == 1)
    }

    @Test func turnedPictures() {
      for (orientation, count) in [("rotate-90", 1), ("flip-rotate-180", 1), ("rotate-0", 0)] {
        let harness = ElementHarness()
        for _ in 0..<2 {
          harness.send(
            gst_event_new_tag(gst_tag_list_new_from_string("taglist, image-orientation=(string)\(orientation)")))
        }
        harness.push(frames: 4)
        #expect(reports(harness, about: "videoflip video-direction=auto").count == count, "\(orientation)")
        #expect(harness.frames().count == 4)
      }
    }

    @Test func interlacedVideo() {
      let harness = ElementHarness(
        caps: "video/x-raw,format=I420,width=64,height=64,framerate=25/1,interlace-mode=interleaved")
      for _ in 0..<4 { harness.push(gst_buffer_new_allocate(nil, harness.format.info.size, nil)) }
      #expect(reports(harness, about: "deinterlace").count == 1)
      #expect(gst_harness_buffers_received(harness.harness) == 4)
    }

    @Test func liveSource() {
      let harness = ElementHarness(caps: nil)
      gst_harness_set_live(harness.harness, 1)
      harness.setCaps(Element.caps)
      harness.push(frames: 8)
      #expect(reports(harness, about: "live").count == 1)
      #expect(harness.frames().count == 8)

      let file = ElementHarness(caps: nil)
      gst_harness_set_live(file.harness, 0)
      file.setCaps(Element.caps)
      file.push(frames: 4)
      #expect(reports(file, about: "live").isEmpty)
    }
  }
}
