import CKernels

/// A fingerprint of contents, 128 bits: XXH3 (https://xxhash.com). It tells contents apart and finds damage; it is no
/// protection against somebody who forges.
public final class ContentDigest {
  private let state: OpaquePointer

  public init() {
    // Some hundred bytes: as little as an object of Swift's.
    guard let state = kernel_digest_create() else { preconditionFailure("no memory for a digest") }
    self.state = state
  }

  /// Numbers or bytes, as they lie in memory.
  public func add<Element: BitwiseCopyable>(_ elements: [Element]) {
    elements.withUnsafeBytes { kernel_digest_add(state, $0.baseAddress, $0.count) }
  }

  /// Its length too: "ab" and "c" are not "a" and "bc".
  public func add(_ text: String) {
    add(Array("\(text.utf8.count):\(text)".utf8))
  }

  /// The elements as they are stored, without the shape.
  public func add(_ tensor: Tensor) { kernel_digest_add(state, tensor.bytes, tensor.byteCount) }

  /// The bytes `range` of a file, which must lie within it as it was when it was opened.
  /// - Throws: `TensorError` where they cannot be read, or are not there any more.
  public func add(_ file: RandomAccessFile, _ range: Range<Int>) throws {
    try withUnsafeTemporaryAllocation(byteCount: Self.pieceByteCount, alignment: 64) { buffer in
      guard let piece = buffer.baseAddress else { return }
      for first in stride(from: range.lowerBound, to: range.upperBound, by: Self.pieceByteCount) {
        let part = first..<min(first + Self.pieceByteCount, range.upperBound)
        try file.read(part, into: piece)
        kernel_digest_add(state, piece, part.count)
      }
    }
  }

  private static let pieceByteCount = 1 << 16

  /// Of what was added so far: 32 hexadecimal digits.
  public var text: String {
    var bytes = [UInt8](repeating: 0, count: 16)
    kernel_digest_finish(state, &bytes)
    let digits = Array("0123456789abcdef")
    return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }

  deinit { kernel_digest_free(state) }
}
