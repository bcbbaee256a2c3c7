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
        // Not set.
        #expect(
          ["-1", "unset", "none", nil].contains(Element.get(element, name).flatMap { $0 == "NULL" ? nil : $0 }),
          "\(name)")
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

    /// Properties say what was set; what the preset makes of the others is in the effective settings.
    @Test func presetInALaunchLine() throws {
      let pipeline = try Pipeline(
        "videotestsrc num-buffers=1 ! \(Element.caps) ! \(Element.line()) @preset=style ! fakesink")
      let element = try pipeline.element("fatezero")
      #expect(Element.get(element, "preset") == "style")
      try pipeline.play()
      #expect(Element.get(element, "cross-mode") == "unset" && Element.get(element, "frame-coupling") == nil)
      let effective = Element.effective(element) ?? ""
      #expect(effective.contains("cross-mode=(string)refine") && effective.contains("frame-coupling=(string)middle"))
    }

    @Test func recommendationsOfTheModelAreInEffect() throws {
      let pipeline = try Pipeline("videotestsrc ! \(Element.caps) ! fatezero name=fatezero edit=\"a tiger\" ! fakesink")
      let element = try pipeline.element("fatezero")
      #expect(Element.get(element, "guidance-scale") == "-1" && Element.effective(element) == nil)
      Element.set(element, "model", Workbench.root + "/Models/toyworld")
      pipeline.set(GST_STATE_READY)
      #expect(pipeline.set(GST_STATE_PAUSED) == GST_STATE_CHANGE_ASYNC)
      #expect(Element.get(element, "guidance-scale") == "-1")
      let effective = Element.effective(element) ?? ""
      #expect(effective.contains("guidance-scale=(double)3.5") && effective.contains("steps=(int)50"), "\(effective)")
      pipeline.set(GST_STATE_NULL)
    }

    /// What editing applications do when they split, save and copy an effect: before it plays and after.
    @Test func aCopyOfAllPropertiesIsTheSameElement() throws {
      func copy(of element: UnsafeMutablePointer<GstElement>) -> [String: String] {
        var values: [String: String] = [:]
        for knob in Self.knobs {
          let name = String(cString: knob.name)
          values[name] = Element.get(element, name) ?? "NULL"
        }
        return values
      }
      func frames(_ harness: ElementHarness) -> [Pixels] {
        harness.push(frames: 4)
        return harness.frames().map(\.pixels)
      }
      let settings = ["edit": "a [cat -> tiger] on the grass", "model": Workbench.root + "/Models/toyworld"]
      let harness = ElementHarness(settings)
      let before = copy(of: harness.element)
      let wanted = frames(harness)
      let after = copy(of: harness.element)
      #expect(wanted.count == 4 && before == after)
      #expect(after["guidance-scale"] == "-1" && after["source"] == "NULL" && after["blend-latents"] == "unset")
      let copied = frames(ElementHarness(after))
      #expect(copied == wanted)
      // The source that the brackets hold may stand beside them.
      let harnessWithSource = ElementHarness(settings.merging(["source": "a cat on the grass"]) { $1 })
      let withSource = frames(harnessWithSource)
      #expect(withSource == wanted)
    }

    @Test func flagsTakeBooleans() throws {
      let element = Element.make()
      defer { gst_object_unref(element) }
      for (text, read) in [("true", "true"), ("1", "true"), ("false", "false"), ("0", "false"), ("unset", "unset")] {
        Element.set(element, "blend-latents", text)
        #expect(Element.get(element, "blend-latents") == read)
      }
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

    /// Nonsense that is written while it plays is a warning, and what held holds on and is read back.
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
      #expect(warnings.first?.text.contains("stays as it was") == true)
      #expect(!messages.contains { $0.type == GST_MESSAGE_ERROR })
      #expect(Element.get(harness.element, name) == Element.get(fresh.element, name))
    }

    /// One of several that is refused keeps none of the others from holding, nor any later one.
    @Test func whatIsRefusedIsRefusedAlone() {
      let harness = ElementHarness(["edit": "a tiger"])
      harness.push(frames: 4)
      Element.set(harness.element, "word-weights", "lion=2")
      Element.set(harness.element, "edit", "a dog on the grass")
      Element.set(harness.element, "self-replace", "7")
      harness.push(frames: 4)
      let warnings = harness.bus.messages().filter { $0.type == GST_MESSAGE_WARNING }.compactMap { $0.report?.text }
      #expect(warnings.count { $0.contains("stays as it was") } == 2, "\(warnings)")
      #expect(Element.get(harness.element, "word-weights") == nil)
      Element.set(harness.element, "edit", "a [cat -> lion]")
      Element.set(harness.element, "word-weights", "lion=2")
      harness.push(frames: 4)
      #expect(!harness.bus.messages().contains { $0.report?.text.contains("stays as it was") == true })
      func edited(_ settings: [String: String], from first: Int) -> [Pixels] {
        let fresh = ElementHarness(settings)
        for index in first..<first + 4 { fresh.push(fresh.format.pattern(index)) }
        return fresh.frames().map(\.pixels)
      }
      let frames = harness.frames().map(\.pixels)
      #expect(Array(frames[4..<8]) == edited(["edit": "a dog on the grass"], from: 4))
      #expect(Array(frames[8...]) == edited(["edit": "a [cat -> lion]", "word-weights": "lion=2"], from: 8))
    }

    /// A curve gives the value at a window's first frame to all of the window.
    @Test func strengthsAreControllable() throws {
      let outcome = try Launch().succeed(
        """
        cat > control.py <<'END'
        import sys, gi
        gi.require_version("Gst", "1.0"); gi.require_version("GstController", "1.0")
        from gi.repository import Gst, GstController
        Gst.init(None)
        pipeline = Gst.parse_launch('''videotestsrc num-buffers=8 ! \(Element.caps) ! \(Element.line()) ! fakesink''')
        element = pipeline.get_by_name("fatezero")
        curve = GstController.InterpolationControlSource(mode=GstController.InterpolationMode.LINEAR)
        assert element.add_control_binding(GstController.DirectControlBinding.new_absolute(element, "guidance-scale", curve))
        curve.set(0, 2.0); curve.set(160 * Gst.MSECOND, 6.0)
        element.connect("notify::effective-settings", lambda *_: print(
            element.props.effective_settings.get_value("guidance-scale"), flush=True))
        pipeline.set_state(Gst.State.PLAYING)
        message = pipeline.get_bus().timed_pop_filtered(120 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
        pipeline.set_state(Gst.State.NULL)
        assert message.type == Gst.MessageType.EOS, message.parse_error()
        END
        timeout --kill-after=5 240 /usr/bin/python3 control.py
        """)
      let values = outcome.text.split(separator: "\n").compactMap { Double($0) }
      print("guidance scale by window: \(values)")
      #expect(values.suffix(2) == [2, 6])
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
