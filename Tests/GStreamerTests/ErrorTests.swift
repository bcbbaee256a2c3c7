import CGstCheck
import FoundationEssentials
import TestSupport
import Testing

extension GStreamerTests {
  /// Whatever goes wrong: one error with its domain and code, and a process that lives on.
  struct ErrorTests {
    private static let resource = "gst-resource-error-quark"
    private static let library = "gst-library-error-quark"

    private func expectError(
      _ changes: [String: String], _ domain: String, _ code: UInt32, saying words: String...,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let pipeline = try Pipeline("videotestsrc num-buffers=9 ! \(Element.caps) ! \(Element.line(changes)) ! fakesink")
      let report = try #require(pipeline.fail().report, sourceLocation: sourceLocation)
      #expect(report.domain == domain, "\(report)", sourceLocation: sourceLocation)
      #expect(report.code == Int32(code), "\(report)", sourceLocation: sourceLocation)
      for word in words { #expect(report.text.contains(word), "\(report)", sourceLocation: sourceLocation) }
      pipeline.set(GST_STATE_NULL)

      // The same element works with what was wrong put right.
      for (name, text) in Element.settings { Element.set(try pipeline.element("fatezero"), name, text) }
      for name in changes.keys where Element.settings[name] == nil {
        Element.set(try pipeline.element("fatezero"), name, "NULL")
      }
      try pipeline.play()
    }

    @Test func noModel() throws {
      try expectError(
        ["model": "/nowhere"], Self.resource, GST_RESOURCE_ERROR_NOT_FOUND.rawValue, saying: "/nowhere")
    }

    @Test func damagedModel() throws {
      let bench = try Workbench()
      try bench.succeed(
        #"cp -r "$MODEL" model; file=model/unet/diffusion_pytorch_model.safetensors; chmod u+w $file; truncate -s 1M $file"#
      )
      try expectError(
        ["model": bench.path("model")], Self.resource, GST_RESOURCE_ERROR_READ.rawValue, saying: "safetensors")
    }

    /// An effect that was just added lets frames through, until it is told what to do.
    @Test func noPrompt() throws {
      let harness = ElementHarness(["edit": ""])
      harness.push(frames: 3)
      #expect(harness.frames().map(\.pixels) == (0..<3).map(harness.format.pattern))
      harness.push(discontinuous: true)
      let warnings = harness.bus.messages().filter { $0.type == GST_MESSAGE_WARNING }.compactMap(\.report)
      #expect(warnings.count == 1 && warnings[0].text.contains("edit=") && warnings[0].text.contains("prompt"))
      #expect(harness.frames().count == 1)
      Element.set(harness.element, "edit", "a tiger")
      harness.push(frames: 4)
      let edited = harness.frames()
      #expect(edited.count == 4 && edited[0].pixels != harness.format.pattern(4))
      #expect(!harness.bus.messages().contains { $0.type == GST_MESSAGE_ERROR })
    }

    @Test func wordOfNoPrompt() throws {
      try expectError(
        ["word-weights": "lion=2"], Self.library, GST_LIBRARY_ERROR_SETTINGS.rawValue, saying: "lion", "tiger")
    }

    @Test func notation() throws {
      try expectError(["self-replace": "2"], Self.library, GST_LIBRARY_ERROR_SETTINGS.rawValue, saying: "self-replace")
    }

    @Test func sizeThatTheModelCannotDo() throws {
      try expectError(["size": "66x66"], Self.library, GST_LIBRARY_ERROR_SETTINGS.rawValue, saying: "66x66")
    }

    /// Predicted before the first pass.
    @Test func memory() throws {
      try expectError(
        ["memory-limit": "1M"], Self.resource, GST_RESOURCE_ERROR_NO_SPACE_LEFT.rawValue, saying: "memory")
    }

    /// What fails before it streams fails the change of state.
    @Test func readyToPaused() throws {
      let pipeline = try Pipeline("videotestsrc ! \(Element.line(["model": "/nowhere"])) ! fakesink")
      #expect(pipeline.set(GST_STATE_READY) == GST_STATE_CHANGE_SUCCESS)
      #expect(pipeline.set(GST_STATE_PAUSED) == GST_STATE_CHANGE_FAILURE)
    }

    /// One error of the element, even where upstream goes on.
    @Test func errorsAreSaidOnce() {
      let harness = ElementHarness(["memory-limit": "1M"])
      for _ in 0..<9 { #expect(harness.push() == GST_FLOW_ERROR) }
      harness.end()
      #expect(harness.bus.messages().count { $0.type == GST_MESSAGE_ERROR } == 1)
      #expect(harness.frames().isEmpty)
    }
  }
}
