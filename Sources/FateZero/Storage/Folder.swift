import Files
import Glibc

/// Folders, and files in them.
enum Folder {
  static func exists(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Makes the folder and those above it, for this user alone.
  /// - Throws: `StorageError` with the system's reason.
  static func make(_ path: String) throws {
    do throws(FileError) { try OpenFolder.make(path) } catch { throw StorageError(error) }
  }

  /// Alone among those who ask for the same folder in this way; also where the system has no such locks.
  static func lock<Value>(_ path: String, _ body: () throws -> Value) rethrows -> Value {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { close(descriptor) }
    while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
    return try body()
  }

  /// Bytes that a user may still write there; nil where nobody knows.
  static func freeByteCount(_ path: String) -> Int? {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return nil }
    let (count, overflows) = Int(clamping: status.f_bavail).multipliedReportingOverflow(
      by: Int(clamping: status.f_frsize))
    return overflows ? Int.max : count
  }
}
