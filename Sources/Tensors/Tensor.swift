import Glibc

/// How one number is stored. Arithmetic is done in `float32`; the half types are storage.
public enum ElementType: String, Sendable, CaseIterable {
  case float32, float16, bfloat16

  public var byteCount: Int { self == .float32 ? 4 : 2 }
}

/// An n-dimensional array of numbers, row-major and contiguous. Images and token matrices are channels-last:
/// (frames, rows, columns, channels), (frames, tokens, channels).
///
/// A tensor is a value: no operator writes into its operands.
public struct Tensor: Sendable {
  public let shape: [Int]
  public let elementType: ElementType
  let storage: TensorStorage
  /// Bytes from the start of the storage to the first element.
  let byteOffset: Int

  init(shape: [Int], elementType: ElementType, storage: TensorStorage, byteOffset: Int = 0) {
    self.shape = shape
    self.elementType = elementType
    self.storage = storage
    self.byteOffset = byteOffset
  }

  /// A float32 tensor with the given values in row-major order.
  public init(_ values: [Float], shape: [Int]) throws {
    guard let count = Tensor.count(of: shape), count == values.count else {
      throw TensorError("\(values.count) values do not fill the shape \(shape)")
    }
    let storage = try TensorStorage(byteCount: count * 4)
    values.withUnsafeBytes {
      storage.base.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(storage.base), byteCount: $0.count)
    }
    self.init(shape: shape, elementType: .float32, storage: storage)
  }

  /// A float32 tensor of zeros.
  public init(zeros shape: [Int]) throws {
    guard let count = Tensor.count(of: shape) else { throw TensorError("the shape \(shape) is not one of a tensor") }
    let storage = try TensorStorage(byteCount: count * 4)
    storage.base.initializeMemory(as: UInt8.self, repeating: 0, count: count * 4)
    self.init(shape: shape, elementType: .float32, storage: storage)
  }

  /// Number of elements.
  public var count: Int { shape.reduce(1, *) }
  public var byteCount: Int { count * elementType.byteCount }

  /// The same elements under another shape of the same count.
  public func reshaped(_ shape: [Int]) -> Tensor {
    precondition(Tensor.count(of: shape) == count, "cannot give \(self.shape) the shape \(shape)")
    return Tensor(shape: shape, elementType: elementType, storage: storage, byteOffset: byteOffset)
  }

  /// The entries `range` along the first axis, without a copy.
  public func rows(_ range: Range<Int>) -> Tensor {
    precondition(range.lowerBound >= 0 && range.upperBound <= shape[0], "rows \(range) of \(shape)")
    let stride = count / max(shape[0], 1) * elementType.byteCount
    return Tensor(
      shape: [range.count] + shape.dropFirst(), elementType: elementType, storage: storage,
      byteOffset: byteOffset + range.lowerBound * stride)
  }

  /// All elements in row-major order, converted to Float. A copy.
  public var floats: [Float] {
    let count = self.count
    return [Float](unsafeUninitializedCapacity: count) { buffer, filled in
      if let base = buffer.baseAddress { convertToFloat(from: bytes, type: elementType, into: base, count: count) }
      filled = count
    }
  }

  /// Reads the elements from position `start` on, in row-major order, as many as `values` holds.
  public func read(from start: Int, into values: inout [Float]) {
    precondition(start >= 0 && start + values.count <= count, "\(values.count) elements at \(start) of \(shape)")
    values.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      convertToFloat(
        from: bytes + start * elementType.byteCount, type: elementType, into: base, count: buffer.count)
    }
  }

  /// The same elements in memory of their own, whatever lies behind them now.
  public func copied() throws -> Tensor {
    let storage = try TensorStorage(byteCount: byteCount)
    storage.base.copyMemory(from: bytes, byteCount: byteCount)
    return Tensor(shape: shape, elementType: elementType, storage: storage)
  }

  /// Writes the elements as they are stored to a stream of the C library.
  /// - Returns: Whether all were taken; `errno` says why not.
  public func write(to file: UnsafeMutablePointer<FILE>) -> Bool {
    fwrite(bytes, 1, byteCount, file) == byteCount
  }

  /// Whether no element is infinite or not a number.
  public var isFinite: Bool {
    guard elementType == .float32 else { return floats.allSatisfy(\.isFinite) }
    let numbers = floatPointer
    for index in 0..<count where !numbers[index].isFinite { return false }
    return true
  }

  /// The product of `shape`, or nil where an extent is negative or the product leaves `Int`.
  public static func count(of shape: [Int]) -> Int? {
    var count = 1
    for extent in shape {
      guard extent >= 0 else { return nil }
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard !overflow, product <= Int.max / 8 else { return nil }
      count = product
    }
    return count
  }
}

extension Tensor {
  var bytes: UnsafeRawPointer { UnsafeRawPointer(storage.base) + byteOffset }
  /// For an operator that fills a tensor it has just made.
  var mutableBytes: UnsafeMutableRawPointer { storage.base + byteOffset }
  func address(of index: Int) -> UnsafeRawPointer { bytes + index * elementType.byteCount }
  func mutableAddress(of index: Int) -> UnsafeMutableRawPointer { mutableBytes + index * elementType.byteCount }
  /// Elements as float32, for reading by operators. Only for aligned float32 tensors, which all results of operators
  /// are.
  var floatPointer: UnsafePointer<Float> {
    precondition(elementType == .float32)
    return bytes.assumingMemoryBound(to: Float.self)
  }
  /// For an operator that fills a tensor it has just made.
  var mutableFloatPointer: UnsafeMutablePointer<Float> {
    precondition(elementType == .float32)
    return mutableBytes.assumingMemoryBound(to: Float.self)
  }
}

/// A new float32 tensor that is written from its first element to its last.
public struct TensorWriter: ~Copyable {
  private let tensor: Tensor
  private var written = 0

  /// - Throws: `TensorError` where there is no memory.
  public init(shape: [Int]) throws {
    guard let count = Tensor.count(of: shape) else { throw TensorError("the shape \(shape) is not one of a tensor") }
    tensor = Tensor(shape: shape, elementType: .float32, storage: try TensorStorage(byteCount: count * 4))
  }

  public mutating func append(_ values: ArraySlice<Float>) {
    precondition(written + values.count <= tensor.count, "more than the \(tensor.count) elements of \(tensor.shape)")
    values.withUnsafeBufferPointer { buffer in
      if let base = buffer.baseAddress {
        (tensor.mutableFloatPointer + written).update(from: base, count: buffer.count)
      }
    }
    written += values.count
  }

  /// The tensor, complete.
  public consuming func finish() -> Tensor {
    precondition(written == tensor.count, "\(written) of the \(tensor.count) elements of \(tensor.shape)")
    return tensor
  }
}

/// Something a tensor operation cannot do, with what and why.
public struct TensorError: Error, CustomStringConvertible, Sendable {
  public enum Kind: Sendable {
    case operation
    /// There is no memory.
    case memory
    /// A file cannot be read, or is not any more what it was when it was opened.
    case file
  }

  public let description: String
  public let kind: Kind

  public init(_ description: String, kind: Kind = .operation) { (self.description, self.kind) = (description, kind) }
}
