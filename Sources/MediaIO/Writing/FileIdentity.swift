import Glibc

/// Device and inode: two paths with the same one are one file.
struct FileIdentity: Equatable {
  var device: UInt
  var inode: UInt

  /// nil for pipes and devices, which may well be input and output at once.
  init?(descriptor: Int32) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    self.init(status)
  }

  init?(path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(status)
  }

  private init?(_ status: stat) {
    let type = status.st_mode & S_IFMT
    guard type == S_IFREG || type == S_IFDIR else { return nil }
    device = UInt(status.st_dev)
    inode = UInt(status.st_ino)
  }
}
