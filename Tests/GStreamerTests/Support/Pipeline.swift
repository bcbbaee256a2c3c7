import CGstCheck
import Testing

/// A launch line that plays in this process. Every wait has an end.
final class Pipeline {
  let pointer: UnsafeMutablePointer<GstElement>
  let bus: Bus
  /// All that was said so far.
  private(set) var messages: [Message] = []

  init(_ line: String) throws {
    GStreamer.start()
    var error: UnsafeMutablePointer<GError>?
    let made = gst_parse_launch(line, &error)
    if let error {
      defer { g_error_free(error) }
      throw PipelineError(description: "\(line): \(String(cString: error.pointee.message))")
    }
    pointer = try #require(made)
    gst_object_ref_sink(pointer)
    bus = Bus(gst_element_get_bus(pointer))
  }

  deinit {
    set(GST_STATE_NULL)
    gst_object_unref(pointer)
  }

  @discardableResult
  func set(_ state: GstState) -> GstStateChangeReturn {
    GStreamer.bounded("a change of state") { gst_element_set_state(pointer, state) }
  }

  func element(_ name: String) throws -> UnsafeMutablePointer<GstElement> {
    let bin = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: GstBin.self)
    let element = try #require(gst_bin_get_by_name(bin, name))
    // The pipeline holds it.
    gst_object_unref(element)
    return element
  }

  /// Takes messages up to the first that `isWanted`.
  /// - Throws: `PipelineError` where an error is posted that is not wanted, or nothing is for long.
  @discardableResult
  func wait(for what: String, seconds: Int = 120, _ isWanted: (Message) -> Bool) throws -> Message {
    while let message = bus.next(seconds: seconds) {
      messages.append(message)
      if isWanted(message) { return message }
      if message.type == GST_MESSAGE_ERROR { throw PipelineError(description: "\(what) does not come: \(message)") }
    }
    throw PipelineError(description: "\(what) does not come within \(seconds) s")
  }

  /// Plays to the end of the stream.
  func play() throws {
    set(GST_STATE_PLAYING)
    try wait(for: "the end") { $0.type == GST_MESSAGE_EOS }
  }

  /// Plays to an error.
  func fail() throws -> Message {
    set(GST_STATE_PLAYING)
    return try wait(for: "an error") { $0.type == GST_MESSAGE_ERROR }
  }

  func warnings() -> [String] {
    messages += bus.messages()
    return messages.filter { $0.type == GST_MESSAGE_WARNING }.compactMap { $0.report?.text }
  }
}

struct PipelineError: Error, CustomStringConvertible {
  let description: String
}
