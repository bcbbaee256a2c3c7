import Glibc
import Text

/// A folder that is held open: what is done in it is done there, wherever its path leads by then. No name in it is followed
/// where it is a link.
public final class OpenFolder: Sendable {
  public let descriptor: Int32

  /// - Parameter path: A folder, or a link to one: who names it chooses.
  public init?(_ path: String) {
    descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if descriptor < 0 { return nil }
  }

  private init?(descriptor: Int32) {
    if descriptor < 0 { return nil }
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Makes the folder and those above it, for this user alone.
  /// - Throws: `FileError` with the system's reason.
  public static func make(_ path: String) throws(FileError) {
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
    if let slash = path.lastPlace(ofScalar: "/"), slash != path.startIndex { try make(String(path[..<slash])) }
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw .system("cannot make the folder \(path)") }
  }

  /// A folder in this one; nil for all else, a link to a folder too.
  public func folder(_ name: String) -> OpenFolder? {
    OpenFolder(descriptor: openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
  }

  /// What it holds, without `.` and `..`, sorted; empty where it cannot be read.
  public var names: [String] {
    // Of its own, since reading moves the place in a folder.
    let copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0 else { return [] }
    guard let stream = fdopendir(copy) else {
      close(copy)
      return []
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      names.append(
        withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
    }
    return names.filter { $0 != "." && $0 != ".." }.sorted()
  }

  /// Of the name itself, also where it is a link; nil where there is none.
  public func status(of name: String) -> stat? {
    var status = stat()
    return fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status : nil
  }

  public func isFile(_ name: String) -> Bool { status(of: name).map { $0.st_mode & S_IFMT == S_IFREG } ?? false }

  /// Removes a file; a folder, a link or a device stays.
  @discardableResult
  public func removeFile(_ name: String) -> Bool { isFile(name) && unlinkat(descriptor, name, 0) == 0 }

  /// Asks for the folder's lock without waiting. It is given back when this is gone, or the process.
  /// - Returns: false while another process holds it.
  public func lock() -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK }

  /// Whether this is what a path leads to.
  func isAt(_ path: String) -> Bool {
    var (here, there) = (stat(), stat())
    return fstat(descriptor, &here) == 0 && lstat(path, &there) == 0 && here.st_ino == there.st_ino
      && here.st_dev == there.st_dev
  }

  /// Whether a name can be one in a folder.
  public static func isName(_ name: String) -> Bool {
    !name.isEmpty && name != "." && name != ".." && !name.holds("/") && !name.holds("\0") && !name.holds("\n")
      && name.utf8.count <= 255
  }
}
