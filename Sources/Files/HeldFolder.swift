import Glibc
import Text

/// A folder of files that is removed with them when nothing refers to this any more. A lock on it tells whether the process
/// that made it still runs, on this machine or another one.
public final class HeldFolder: Sendable {
  public let files: ClaimedFolder
  public var path: String { files.path }

  /// Makes the folder.
  public init(making path: String) throws(FileError) {
    files = try ClaimedFolder(making: path)
  }

  deinit { files.remove() }

  /// Removes the folders in `folder` that processes left which were killed.
  /// - Parameter isOne: Whether a name may be one of them; what it is decides the list in it.
  public static func removeLeft(in folder: String, where isOne: (String) -> Bool) {
    guard let parent = OpenFolder(folder) else { return }
    for name in parent.names where isOne(name) {
      guard let left = ClaimedFolder(name, in: parent, at: folder), left.folder.lock() else { continue }
      left.remove()
    }
  }
}
