import FoundationEssentials
import Glibc

/// Folders of files, no deeper than one level.
enum Folder {
  static func exists(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Makes the folder and those above it.
  /// - Throws: `StorageError` with the system's reason.
  static func make(_ path: String) throws {
    guard !exists(path) else { return }
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex { try make(String(path[..<slash])) }
    guard mkdir(path, 0o777) == 0 || exists(path) else {
      throw StorageError("cannot make the folder \(path): \(String(cString: strerror(errno)))")
    }
  }

  /// Makes a folder of a new name, for this user alone.
  /// - Parameter prefix: Of its path.
  /// - Throws: `StorageError` with the system's reason.
  static func makeUnique(_ prefix: String) throws -> String {
    var path = "\(prefix)XXXXXX".utf8CString.map { $0 }
    guard mkdtemp(&path) != nil else {
      throw StorageError("cannot make a folder \(prefix)...: \(String(cString: strerror(errno)))")
    }
    return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
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

  /// What it holds, without `.` and `..`; empty where it cannot be read.
  static func names(_ path: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
  }

  /// Bytes of its files.
  static func byteCount(_ path: String) -> Int { names(path).reduce(0) { $0 + size("\(path)/\($1)") } }

  /// Bytes of a file; 0 where there is none.
  static func size(_ path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
  }

  /// Seconds since 1970; 0 where there is no such file.
  static func modification(_ path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_mtim.tv_sec) : 0
  }

  /// The folder and its files.
  static func remove(_ path: String) {
    for name in names(path) { unlink("\(path)/\(name)") }
    rmdir(path)
  }
}
