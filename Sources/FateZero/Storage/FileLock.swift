import Glibc
import Tensors

/// Keeps other processes out while it is held, and no longer: the system gives it back when the process ends, however it
/// ends. On file systems that know no locks it holds nobody off.
public final class FileLock {
  private let path: String
  private let descriptor: Int32
  private let removesFile: Bool
  private var isHeld = false

  /// - Parameter removesFile: Whether the file goes with the lock.
  /// - Returns: nil where the file cannot be made.
  public init?(_ path: String, removesFile: Bool = false) {
    descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { return nil }
    (self.path, self.removesFile) = (path, removesFile)
  }

  /// - Returns: false while another holds it.
  public func take() -> Bool {
    isHeld = flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK
    return isHeld
  }

  func wait() {
    while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
    isHeld = true
  }

  /// - Throws: `CancellationRequested`.
  public func wait(_ cancellation: Cancellation) throws {
    while !take() {
      try cancellation.check()
      usleep(100_000)
    }
  }

  deinit {
    if isHeld, removesFile { unlink(path) }
    close(descriptor)
  }
}
