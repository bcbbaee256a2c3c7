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

    @Test func noPrompt() throws {
      try expectError(["edit": ""], Self.library, GST_LIBRARY_ERROR_SETTINGS.rawValue, saying: "edit", "prompt")
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
