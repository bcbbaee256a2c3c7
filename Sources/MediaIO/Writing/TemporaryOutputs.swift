import Files
import Synchronization

/// The unfinished outputs of this process.
public enum TemporaryOutputs {
  private static let folders = Mutex<[String: ClaimedFolder]>([:])

  static func add(_ folder: HeldFolder) { folders.withLock { $0[folder.path] = folder.files } }
  static func forget(_ folder: HeldFolder) { folders.withLock { $0[folder.path] = nil } }

  /// Removes all of them: for a process that ends without closing its writers.
  public static func removeAll() {
    for folder in folders.withLock({ $0 }).values { folder.remove() }
  }
}
