import Glibc

/// Small files that are read or written as a whole. A FIFO or a device in place of a file keeps nobody waiting.
public enum RegularFile {
  /// - Returns: nil where there is no such file, or more than `limit` bytes; `errno` says why.
  public static func bytes(at path: String, limit: Int) -> [UInt8]? {
    bytes(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), limit: limit)
  }

  /// The same of a name in a folder, which is no link.
  static func bytes(of name: String, in folder: OpenFolder, limit: Int) -> [UInt8]? {
    bytes(openat(folder.descriptor, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), limit: limit)
  }

  private static func bytes(_ descriptor: Int32, limit: Int) -> [UInt8]? {
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    guard status.st_mode & S_IFMT == S_IFREG else {
      errno = EINVAL
      return nil
    }
    return rest(of: descriptor, limit: limit)
  }

  /// What can still be read.
  static func rest(of descriptor: Int32, limit: Int) -> [UInt8]? {
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0 {
        if errno == EINTR { continue }
        return nil
      }
      if count == 0 { return result }
      guard result.count + count <= limit else {
        errno = EFBIG
        return nil
      }
      result += buffer[..<count]
    }
  }

  /// Writes all of it; `errno` says why not.
  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        return false
      }
      rest = rest.dropFirst(count)
    }
    return true
  }
}
