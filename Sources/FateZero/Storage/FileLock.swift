import Glibc
import Tensors

/// Keeps other processes out while it is held, and no longer: the system gives it back when the process ends, however it
/// ends. On file systems that know no locks it holds nobody off.
public final class FileLock {
  private let path: String
  private var descriptor: Int32
  private let removesFile: Bool
  private var isHeld = false

  /// - Parameter removesFile: Whether the file goes with the lock.
  /// - Returns: nil where the file cannot be made.
  public init?(_ path: String, removesFile: Bool = false) {
    descriptor = Self.open(path)
    guard descriptor >= 0 else { return nil }
    (self.path, self.removesFile) = (path, removesFile)
  }

  /// Takes a lock that goes with its file, once no other process has it.
  /// - Parameter willWait: Called where another has it.
  /// - Returns: nil where the file cannot be made.
  /// - Throws: `CancellationRequested`.
  static func claim(_ path: String, cancellation: Cancellation, willWait: () -> Void) throws -> FileLock? {
    guard let claim = FileLock(path, removesFile: true) else { return nil }
    if !claim.take() {
      willWait()
      try claim.wait(cancellation)
    }
    return claim
  }

  private static func open(_ path: String) -> Int32 {
    // What a link leads to is nobody's lock.
    Glibc.open(path, O_CREAT | O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0o600)
  }

  /// - Returns: false while another holds it.
  public func take() -> Bool {
    while true {
      isHeld = flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK
      guard isHeld, isGone else { return isHeld }
      // Whoever had it took the file along: a lock on what is left of that keeps nobody off.
      let reopened = Self.open(path)
      guard reopened >= 0 else { return isHeld }
      close(descriptor)
      descriptor = reopened
    }
  }

  func wait() {
    while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
    isHeld = true
  }

  /// Whether the path does not lead to the open file any more.
  private var isGone: Bool {
    var (here, there) = (stat(), stat())
    guard fstat(descriptor, &here) == 0 else { return false }
    return lstat(path, &there) != 0 || here.st_ino != there.st_ino || here.st_dev != there.st_dev
  }

  /// What holds anything is no lock file, whoever made it.
  private var isEmptyFile: Bool {
    var status = stat()
    return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_size == 0
  }

  /// - Throws: `CancellationRequested`.
  public func wait(_ cancellation: Cancellation) throws {
    while !take() {
      try cancellation.check()
      usleep(100_000)
    }
  }

  deinit {
    if isHeld, removesFile, !isGone, isEmptyFile { unlink(path) }
    close(descriptor)
  }
}
