import CGstCheck

/// A message of the bus.
final class Message {
  private let pointer: UnsafeMutablePointer<GstMessage>

  /// Takes over the caller's reference.
  init(_ pointer: UnsafeMutablePointer<GstMessage>) { self.pointer = pointer }

  deinit { gst_message_unref(pointer) }

  var type: GstMessageType { pointer.pointee.type }

  /// An error's, a warning's or a piece of information's domain, code and sentence.
  var report: (domain: String, code: Int32, text: String)? {
    var error: UnsafeMutablePointer<GError>?
    switch type {
    case GST_MESSAGE_ERROR: gst_message_parse_error(pointer, &error, nil)
    case GST_MESSAGE_WARNING: gst_message_parse_warning(pointer, &error, nil)
    case GST_MESSAGE_INFO: gst_message_parse_info(pointer, &error, nil)
    default: return nil
    }
    guard let error else { return nil }
    defer { g_error_free(error) }
    return (
      String(cString: g_quark_to_string(error.pointee.domain)), error.pointee.code,
      String(cString: error.pointee.message)
    )
  }

  struct Progress {
    let type: GstProgressType
    let code: String
    let text: String
  }

  var progress: Progress? {
    guard type == GST_MESSAGE_PROGRESS else { return nil }
    var type = GST_PROGRESS_TYPE_START
    var code: UnsafeMutablePointer<CChar>?
    var text: UnsafeMutablePointer<CChar>?
    gst_message_parse_progress(pointer, &type, &code, &text)
    defer {
      g_free(code)
      g_free(text)
    }
    return Progress(
      type: type, code: code.map { String(cString: $0) } ?? "", text: text.map { String(cString: $0) } ?? "")
  }

  /// Name of the structure.
  var name: String? { structure.map { String(cString: gst_structure_get_name($0)) } }

  func integer(_ field: String) -> Int? {
    guard let structure else { return nil }
    var int: Int32 = 0
    var int64: gint64 = 0
    var uint64: guint64 = 0
    if gst_structure_get_int(structure, field, &int) != 0 { return Int(int) }
    if gst_structure_get_int64(structure, field, &int64) != 0 { return Int(int64) }
    if gst_structure_get_uint64(structure, field, &uint64) != 0 { return Int(truncatingIfNeeded: uint64) }
    return nil
  }

  func number(_ field: String) -> Double? {
    var value = 0.0
    guard let structure, gst_structure_get_double(structure, field, &value) != 0 else { return nil }
    return value
  }

  func text(_ field: String) -> String? {
    structure.flatMap { gst_structure_get_string($0, field) }.map { String(cString: $0) }
  }

  private var structure: UnsafePointer<GstStructure>? { gst_message_get_structure(pointer) }
}

extension Message: CustomStringConvertible {
  var description: String {
    if let report { return "\(report.domain) \(report.code): \(report.text)" }
    if let progress { return "progress \(progress.text)" }
    return name ?? String(cString: gst_message_type_get_name(type))
  }
}

/// A bus whose messages the test takes.
final class Bus {
  let pointer: UnsafeMutablePointer<GstBus>

  /// Takes over the caller's reference.
  init(_ pointer: UnsafeMutablePointer<GstBus>) { self.pointer = pointer }

  deinit { gst_object_unref(pointer) }

  /// What is there.
  func messages() -> [Message] {
    var all: [Message] = []
    while let message = gst_bus_pop(pointer) { all.append(Message(message)) }
    return all
  }

  /// The next message, or nil after `seconds` without one.
  func next(seconds: Int) -> Message? {
    gst_bus_timed_pop(pointer, GstClockTime(seconds) * 1_000_000_000).map(Message.init)
  }
}
