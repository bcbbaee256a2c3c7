import Glibc

/// A folder that is removed with its files when nothing refers to this any more. A lock on it tells whether the process
/// that made it still runs.
final class HeldFolder: Sendable {
  let path: String
  private let descriptor: Int32

  /// - Parameter path: Of a folder that exists.
  init(path: String) {
    self.path = path
    descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    _ = flock(descriptor, LOCK_EX | LOCK_NB)
  }

  deinit {
    close(descriptor)
    Folder.remove(path)
  }

  /// Whether a process that was killed left the folder.
  static func isLeft(_ path: String) -> Bool {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { close(descriptor) }
    return flock(descriptor, LOCK_EX | LOCK_NB) == 0
  }
}
