/// An array of numbers in a file. They are read when they are asked for, each time anew: until then, and afterwards, it
/// takes no memory.
public struct StoredTensor: Sendable {
  public let shape: [Int]
  public let format: NumberFormat
  private let file: RandomAccessFile
  /// Of the first element.
  private let byteOffset: Int
  /// How the elements lie in the file where they do not lie one behind the other.
  private let view: StridedView?
  /// What the numbers of each row, along the first axis, are multiplied by; one for all of them, or none.
  private var scales: [Float] = []

  public var count: Int { shape.reduce(1, *) }

  /// - Parameters:
  ///   - byteOffset: of the first element. The bytes need no alignment.
  ///   - strides: in elements, nil for row-major order without gaps.
  /// - Throws: `TensorError` where the elements do not lie within the file, or on one another.
  public init(
    _ file: RandomAccessFile, byteOffset: Int, shape: [Int], format: NumberFormat, strides: [Int]? = nil
  ) throws {
    let view = try strides.map { try StridedView(shape: shape, strides: $0, in: file.path) }
    guard let count = Tensor.count(of: shape), byteOffset >= 0, byteOffset <= file.byteCount,
      view?.span ?? count <= (file.byteCount - byteOffset) / format.byteCount
    else { throw TensorError("the shape \(shape) at byte \(byteOffset) reaches past the end of \(file.path)") }
    (self.file, self.byteOffset, self.shape, self.format) = (file, byteOffset, shape, format)
    self.view = view?.isRowMajor == true ? nil : view
  }

  private init(_ other: StoredTensor, shape: [Int], byteOffset: Int, view: StridedView?, scales: [Float]) {
    (file, format) = (other.file, other.format)
    (self.shape, self.byteOffset, self.view, self.scales) = (shape, byteOffset, view, scales)
  }

  /// The same elements under another shape of the same count.
  public func reshaped(_ shape: [Int]) -> StoredTensor {
    precondition(Tensor.count(of: shape) == count, "cannot give \(self.shape) the shape \(shape)")
    return StoredTensor(self, shape: shape, byteOffset: byteOffset, view: view, scales: scales)
  }

  /// The entries `range` along the first axis.
  public func rows(_ range: Range<Int>) -> StoredTensor {
    precondition(range.lowerBound >= 0 && range.upperBound <= shape[0], "rows \(range) of \(shape)")
    let step = view?.strides.first ?? count / max(shape[0], 1)
    return StoredTensor(
      self, shape: [range.count] + shape.dropFirst(),
      byteOffset: byteOffset + range.lowerBound * step * format.byteCount,
      view: view.map { $0.rows(range.count) }, scales: scales.count > 1 ? Array(scales[range]) : scales)
  }

  /// The same elements times a number, or those of each entry along the first axis times one of its own.
  public func scaled(by scales: [Float]) -> StoredTensor {
    precondition(scales.count == 1 || scales.count == shape.first, "\(scales.count) scales for \(shape)")
    return StoredTensor(self, shape: shape, byteOffset: byteOffset, view: view, scales: scales)
  }

  // MARK: Reading

  /// The numbers, in memory of their own: as they are stored, or else as float32.
  /// - Throws: `TensorError` where there is no memory, or the file was cut short.
  public func read() throws -> Tensor {
    let type = scales.isEmpty && view == nil ? format.elementType : .float32
    let tensor = Tensor(
      shape: shape, elementType: type, storage: try TensorStorage(byteCount: count * type.byteCount))
    if type == .float32 {
      try read(0..<count, into: tensor.mutableFloatPointer)
    } else {
      try file.read(byteOffset..<byteOffset + tensor.byteCount, into: tensor.mutableBytes)
    }
    return tensor
  }

  /// The first numbers in row-major order, at most `limit`.
  public func first(_ limit: Int) throws -> [Float] {
    let count = min(limit, count)
    return try [Float](unsafeUninitializedCapacity: count) { buffer, filled in
      if let base = buffer.baseAddress { try read(0..<count, into: base) }
      filled = count
    }
  }

  /// Whether parts of the numbers can be read by themselves as fast as all of them.
  var isRowMajor: Bool { view == nil }

  /// The elements `range` in row-major order, as float32.
  func read(_ range: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
    if let view {
      try view.read(range, of: file, byteOffset: byteOffset, format: format, into: target)
    } else {
      try read(range, of: file, into: target)
    }
    if scales == [1] { return }
    let row = count / max(shape.first ?? 1, 1)
    for index in range where !scales.isEmpty {
      target[index - range.lowerBound] *= scales.count == 1 ? scales[0] : scales[index / row]
    }
  }

  /// Of what is converted at a time: small enough to stay in the processor's cache.
  private static let pieceByteCount = 1 << 16

  private func read(_ range: Range<Int>, of file: RandomAccessFile, into target: UnsafeMutablePointer<Float>) throws {
    let size = format.byteCount
    func bytes(_ part: Range<Int>) -> Range<Int> {
      byteOffset + part.lowerBound * size..<byteOffset + part.upperBound * size
    }
    if format == .float32 { return try file.read(bytes(range), into: UnsafeMutableRawPointer(target)) }
    try withUnsafeTemporaryAllocation(byteCount: Self.pieceByteCount, alignment: 64) { buffer in
      guard let piece = buffer.baseAddress else { return }
      let length = Self.pieceByteCount / size
      for first in stride(from: range.lowerBound, to: range.upperBound, by: length) {
        let part = first..<min(first + length, range.upperBound)
        try file.read(bytes(part), into: piece)
        convertToFloat(
          from: piece, format: format, into: target + (first - range.lowerBound), count: part.count)
      }
    }
  }
}
