import CFateZero
import CGstCheck
import TestSupport
import Testing

extension GStreamerTests {
  /// Properties: the words of fatezero.h, and when they hold.
  struct PropertyTests {
    private static var knobs: [fatezero_knob] {
      var all: [fatezero_knob] = []
      while let knob = fatezero_knob_at(all.count) { all.append(knob.pointee) }
      return all
    }

    @Test func everyKnobIsAProperty() throws {
      GStreamer.start()
      let element = try #require(gst_element_factory_make("fatezero", nil))
      gst_object_ref_sink(element)
      defer { gst_object_unref(element) }
      #expect(Self.knobs.count > 20)
      for knob in Self.knobs {
        let name = String(cString: knob.name)
        let property = try #require(Element.property(element, name), "\(name)")
        #expect(String(cString: g_param_spec_get_blurb(property)).hasPrefix(String(cString: knob.blurb)), "\(name)")
        #expect(String(cString: g_param_spec_get_nick(property)).first?.isUppercase == true, "\(name)")
        // May change while it plays.
        #expect(UInt32(property.pointee.flags.rawValue) >> (UInt32(G_PARAM_USER_SHIFT) + 4) & 1 == 1, "\(name)")
        let text = Element.get(element, name)
        switch String(cString: knob.default_text) {
        case "": #expect(text == nil || text == "none" || text == "NULL", "\(name) \(text ?? "")")
        case let expected: #expect(text == expected || Double(text ?? "") == Double(expected), "\(name) \(text ?? "")")
        }
      }
    }

    @Test func presets() throws {
      let element = Element.make()
      defer { gst_object_unref(element) }
      let preset = OpaquePointer(element)
      var names: [String] = []
      let list = try #require(gst_preset_get_preset_names(preset))
      var next = list
      while let name = next.pointee {
        names.append(String(cString: name))
        next += 1
      }
      g_strfreev(list)
      var words: [String] = []
      let knob = try #require(Self.knobs.first { String(cString: $0.name) == "preset" })
      while let word = knob.choices[words.count] { words.append(String(cString: word)) }
      #expect(words.count >= 3)
      #expect(words.allSatisfy(names.contains), "\(names)")
      for word in words {
        #expect(gst_preset_load_preset(preset, word) != 0)
        #expect(Element.get(element, "preset") == word)
      }
      #expect(gst_preset_load_preset(preset, "no such preset") == 0)
    }

    /// What the preset makes of settings that were not written is read back once it is known.
    @Test func presetInALaunchLine() throws {
      let pipeline = try Pipeline(
        "videotestsrc num-buffers=1 ! \(Element.caps) ! \(Element.line()) @preset=style ! fakesink")
      let element = try pipeline.element("fatezero")
      #expect(Element.get(element, "preset") == "style")
      try pipeline.play()
      #expect(Element.get(element, "cross-mode") == "refine")
      #expect(Element.get(element, "frame-coupling") == "middle")
    }

    @Test func recommendationsOfTheModelAreReadBack() throws {
      let pipeline = try Pipeline("videotestsrc ! \(Element.caps) ! fatezero name=fatezero edit=\"a tiger\" ! fakesink")
      let element = try pipeline.element("fatezero")
      #expect(Element.get(element, "guidance-scale") == "7.5")
      Element.set(element, "model", Workbench.root + "/Models/toyworld")
      pipeline.set(GST_STATE_READY)
      #expect(pipeline.set(GST_STATE_PAUSED) == GST_STATE_CHANGE_ASYNC)
      #expect(Element.get(element, "guidance-scale") == "3.5")
      pipeline.set(GST_STATE_NULL)
    }

    /// Settings that are written while it plays hold from the next window on.
    @Test func changesHoldFromTheNextWindow() {
      func edited(_ edit: String, from first: Int, count: Int) -> [Pixels] {
        let harness = ElementHarness(["edit": edit])
        for index in first..<first + count { harness.push(harness.format.pattern(index)) }
        return harness.frames().map(\.pixels)
      }
      let harness = ElementHarness(["edit": "a tiger"])
      harness.push(frames: 2)
      Element.set(harness.element, "edit", "a dog on the grass")
      harness.push(frames: 6)
      let frames = harness.frames().map(\.pixels)
      #expect(Array(frames.prefix(4)) == edited("a tiger", from: 0, count: 4))
      #expect(Array(frames.suffix(4)) == edited("a dog on the grass", from: 4, count: 4))
    }

    @Test func windowLengthWhilePlaying() {
      let harness = ElementHarness()
      harness.push(frames: 4)
      Element.set(harness.element, "clip-length", "2")
      harness.push(frames: 4)
      let windows = harness.bus.messages().filter { $0.name == "fatezero/window" }
      #expect(windows.map { $0.integer("frames") } == [4, 2, 2])
    }

    /// Nonsense that is written while it plays is a warning, and what held holds on.
    @Test(arguments: [("word-weights", "lion=2"), ("size", "huge"), ("model", "/nowhere")])
    func nonsenseWhilePlaying(name: String, text: String) {
      let harness = ElementHarness()
      harness.push(frames: 4)
      _ = (harness.frames(), harness.bus.messages())
      Element.set(harness.element, name, text)
      harness.push(discontinuous: true)
      harness.push(frames: 3)
      let fresh = ElementHarness()
      for index in 4..<8 { fresh.push(fresh.format.pattern(index)) }
      #expect(harness.frames().map(\.pixels) == fresh.frames().map(\.pixels))
      let messages = harness.bus.messages()
      let warnings = messages.filter { $0.type == GST_MESSAGE_WARNING }.compactMap(\.report)
      #expect(warnings.count == 1)
      #expect(warnings.first?.domain == "gst-library-error-quark")
      #expect(warnings.first?.text.contains("stay as they were") == true)
      #expect(!messages.contains { $0.type == GST_MESSAGE_ERROR })
    }

    /// An edit with brackets may take the place of one beside a source prompt.
    @Test func bracketsAfterASource() {
      let harness = ElementHarness(["edit": "a tiger", "source": "a cat"])
      harness.push(frames: 4)
      Element.set(harness.element, "edit", "a [cat -> dog]")
      Element.set(harness.element, "source", "NULL")
      harness.push(frames: 4)
      #expect(harness.frames().count == 8)
    }
  }
}
