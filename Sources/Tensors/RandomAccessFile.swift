import Glibc

/// A file whose bytes are read when they are asked for. It is never mapped: somebody who cuts a mapped file short ends the
/// processes that read it.
///
/// It stays open: one that is deleted or replaced meanwhile is still read as it was.
public final class RandomAccessFile: Sendable {
  public let path: String
  public let byteCount: Int
  private let descriptor: CInt
  /// Of the last change, when it was opened.
  private let seconds: Int, nanoseconds: Int

  /// - Throws: `TensorError` naming the path and the system's reason.
  public init(path: String) throws {
    // A FIFO would wait for its writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw TensorError("cannot open \(path): \(String(cString: strerror(errno)))") }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0 else {
      close(descriptor)
      throw TensorError("\(path) is \(status.st_mode & S_IFMT == S_IFREG ? "empty" : "not a file")")
    }
    (self.path, self.descriptor, byteCount) = (path, descriptor, Int(status.st_size))
    (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
  }

  /// - Throws: `TensorError` where the file was written to since it was opened.
  public func checkUnchanged() throws {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size == byteCount, status.st_mtim.tv_sec == seconds,
      status.st_mtim.tv_nsec == nanoseconds
    else { throw changed }
  }

  private var changed: TensorError {
    TensorError("\(path) was changed while it was in use; begin again with the file as it is now", kind: .file)
  }

  /// The bytes of `range`, which must lie within the file as it was when it was opened.
  /// - Throws: `TensorError` where they cannot be read, or are not there any more.
  public func bytes(_ range: Range<Int>) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
      if let base = buffer.baseAddress { try read(range, into: UnsafeMutableRawPointer(base)) }
      count = range.count
    }
  }

  func read(_ range: Range<Int>, into target: UnsafeMutableRawPointer) throws {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount, "bytes \(range) of \(path)")
    var place = range.lowerBound
    while place < range.upperBound {
      let count = pread(descriptor, target + (place - range.lowerBound), range.upperBound - place, off_t(place))
      if count > 0 {
        place += count
      } else if count == 0 {
        throw changed
      } else if errno != EINTR {
        throw TensorError("cannot read \(path): \(String(cString: strerror(errno)))", kind: .file)
      }
    }
  }

  deinit { close(descriptor) }
}
