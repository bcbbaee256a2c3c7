import Glibc

/// A file mapped for reading.
public final class MappedFile: @unchecked Sendable {
  public let path: String
  public let byteCount: Int
  let base: UnsafeRawPointer

  /// - Throws: `TensorError` naming the path and the system's reason.
  public init(path: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw TensorError("cannot open \(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw TensorError("\(path) is not a file")
    }
    self.path = path
    byteCount = Int(status.st_size)
    guard byteCount > 0 else { throw TensorError("\(path) is empty") }
    guard let mapped = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0), mapped != MAP_FAILED else {
      throw TensorError("cannot map \(path): \(String(cString: strerror(errno)))")
    }
    base = UnsafeRawPointer(mapped)
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
