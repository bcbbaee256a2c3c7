import Glibc
import Synchronization

/// The unfinished outputs of this process, under their temporary names.
public enum TemporaryOutputs {
  private static let paths = Mutex<Set<String>>([])

  static func add(_ path: String) { paths.withLock { _ = $0.insert(path) } }
  static func forget(_ path: String) { paths.withLock { _ = $0.remove(path) } }

  static func remove(_ path: String) {
    for picture in (try? ImageSequence.names(in: path)) ?? [] { unlink(path + "/" + picture) }
    if rmdir(path) != 0 { unlink(path) }
    forget(path)
  }

  /// Removes all of them: for a process that ends without closing its writers.
  public static func removeAll() {
    for path in paths.withLock({ $0 }) { remove(path) }
  }
}
