import Glibc
import Text

/// Where results go. What does not arrive there is an error: a script would take a part for the whole.
enum StandardOutput {
  /// Writes a line in which names and texts of other people's files may be.
  /// - Throws: `CommandFailure`.
  static func line(_ text: String) throws { try write(text.visible + "\n") }

  /// The same of several lines, each of which is one whatever is in it.
  static func lines(_ lines: [String]) throws { try write(lines.map { $0.visible + "\n" }.joined()) }

  /// - Parameter text: Written as it is.
  static func write(_ text: String) throws {
    if FileDescriptorText.write(text, to: STDOUT_FILENO) { return }
    if errno == EPIPE { throw CommandFailure(.brokenPipe, "") }
    throw CommandFailure(.inputOutput, "standard output: \(String(cString: strerror(errno)))")
  }
}
