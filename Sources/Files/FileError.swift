import Glibc

/// What the system or another's file forbids: where, and why.
public struct FileError: Error, CustomStringConvertible, Sendable {
  public let description: String
  /// The system's number; 0 where it is not the system that forbids.
  public let code: Int32

  public init(_ description: String, code: Int32 = 0) { (self.description, self.code) = (description, code) }

  /// What the system said last.
  static func system(_ what: String) -> FileError {
    let code = errno
    return FileError("\(what): \(String(cString: strerror(code)))", code: code)
  }

  /// Whether the disk or the user's share of it is full.
  public var isFullDisk: Bool { Self.isFullDisk(code) }

  /// Whether this number of the system's means a full disk.
  public static func isFullDisk(_ code: Int32) -> Bool { [ENOSPC, EDQUOT, EFBIG].contains(code) }
}
