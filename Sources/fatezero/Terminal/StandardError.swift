import Glibc
import Text

/// Where people read; standard output is for data only.
enum StandardError {
  static let isTerminal = isatty(STDERR_FILENO) == 1

  /// Writes a message. Names and texts of other people's files may be in it, which must not steer the terminal.
  static func line(_ text: String) { write(text.visibleLines + "\n") }

  /// Writes what can be written: there is nowhere to complain about a closed standard error.
  /// - Parameter text: The program's own, in which control characters are meant.
  static func write(_ text: String) { FileDescriptorText.write(text, to: STDERR_FILENO) }
}

enum FileDescriptorText {
  /// - Returns: false when the descriptor takes no more.
  @discardableResult
  static func write(_ text: String, to descriptor: Int32) -> Bool {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        return false
      }
      bytes = bytes.dropFirst(count)
    }
    return true
  }
}
