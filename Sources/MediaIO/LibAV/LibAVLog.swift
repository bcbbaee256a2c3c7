import CLibAV
import Glibc
import Synchronization
import Text

/// libav's log, kept off stderr: what it says while a call fails becomes part of that call's error.
enum LibAVLog {
  private struct Line {
    var thread: pthread_t
    var text: String
  }

  /// The last few lines; codec threads write here too, so it is bounded and a thread takes only its own.
  private static let lines = Mutex<[Line]>([])
  private static let capacity = 32
  private static let capture: Void = fatezero_capture_log()

  /// Call before the first use of libav. Repeated calls do nothing.
  static func start() { _ = capture }

  /// The error lines of this thread that nobody has taken.
  static var errors: [String] {
    let thread = pthread_self()
    return lines.withLock { $0.filter { $0.thread == thread }.map(\.text) }
  }

  /// The error lines of this thread since the last call.
  static func takeErrors() -> [String] {
    let thread = pthread_self()
    return lines.withLock { lines in
      defer { lines.removeAll { $0.thread == thread } }
      var texts: [String] = []
      for line in lines where line.thread == thread && !texts.contains(line.text) { texts.append(line.text) }
      return texts
    }
  }

  static func add(level: CInt, _ line: String) {
    guard level <= AV_LOG_ERROR else { return }
    let text = line.pieces(at: "\n").joined(separator: " ").visible
    guard !text.isEmpty else { return }
    let thread = pthread_self()
    lines.withLock { lines in
      if lines.count == capacity { lines.removeFirst() }
      lines.append(Line(thread: thread, text: text))
    }
  }
}

// The name is C's.
// swift-format-ignore: AlwaysUseLowerCamelCase
@_cdecl("fatezero_media_log_line") @implementation
public func fatezero_media_log_line(_ level: CInt, _ line: UnsafePointer<CChar>?) {
  if let line { LibAVLog.add(level: level, String(cString: line)) }
}
