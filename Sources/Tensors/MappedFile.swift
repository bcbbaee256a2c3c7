import Glibc

/// A file mapped for reading.
public final class MappedFile: @unchecked Sendable {
  public let path: String
  public let byteCount: Int
  let base: UnsafeRawPointer
  private let stamp: Stamp

  /// What tells one state of a file from another.
  private struct Stamp {
    let device: dev_t, inode: ino_t
    let byteCount: Int
    let modified: timespec

    init(_ status: stat) {
      (device, inode) = (status.st_dev, status.st_ino)
      (byteCount, modified) = (Int(status.st_size), status.st_mtim)
    }
  }

  /// - Throws: `TensorError` naming the path and the system's reason.
  public init(path: String) throws {
    // Without O_NONBLOCK a FIFO that nobody writes to would block here for ever.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw TensorError("cannot open \(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw TensorError("\(path) is not a file")
    }
    self.path = path
    stamp = Stamp(status)
    byteCount = stamp.byteCount
    guard byteCount > 0 else { throw TensorError("\(path) is empty") }
    guard let mapped = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0), mapped != MAP_FAILED else {
      throw TensorError("cannot map \(path): \(String(cString: strerror(errno)))")
    }
    base = UnsafeRawPointer(mapped)
  }

  /// To be called before the file is read long after it was opened. One that was deleted or replaced is still mapped; of one
  /// that was cut short there are pages that the system ends the process for.
  /// - Throws: `TensorError` where the file was written to since it was mapped.
  public func checkUnchanged() throws {
    var status = stat()
    guard stat(path, &status) == 0 else { return }
    let now = Stamp(status)
    guard now.device == stamp.device, now.inode == stamp.inode else { return }
    guard now.byteCount == byteCount, now.modified.tv_sec == stamp.modified.tv_sec,
      now.modified.tv_nsec == stamp.modified.tv_nsec
    else { throw TensorError("\(path) was changed while it was in use; begin again with the file as it is now") }
  }

  /// The bytes of `range`, copied. `range` must lie within the file.
  public func bytes(_ range: Range<Int>) -> [UInt8] {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount, "bytes \(range) of \(path)")
    return [UInt8](UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count))
  }

  /// Tells the system that the mapped pages are not needed for now; they are read again when touched.
  public func releasePages() { releasePages(0..<byteCount) }

  /// The same for the pages that hold these bytes.
  func releasePages(_ range: Range<Int>) {
    let page = Int(getpagesize())
    let first = range.lowerBound / page * page
    madvise(UnsafeMutableRawPointer(mutating: base + first), range.upperBound - first, MADV_DONTNEED)
  }

  deinit { munmap(UnsafeMutableRawPointer(mutating: base), byteCount) }
}
