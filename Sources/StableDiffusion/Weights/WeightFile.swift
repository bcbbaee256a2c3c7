import Tensors

/// Named tensors as a checkpoint stores them, whatever the format: one file, or several that an index ties together.
///
/// Opening validates the directory of the file (names, shapes, places); the numbers stay on disk, memory-mapped, until
/// an operator reads them.
public protocol WeightFile: Sendable {
  /// The file, or the index of a sharded one, for messages.
  var path: String { get }
  /// The names of all tensors, sorted.
  var names: [String] { get }
  func shape(of name: String) -> [Int]?
  /// How the numbers of a tensor are stored; nil for one that does not exist or does not hold floating-point numbers
  /// (`position_ids` and such): those have a name, a shape and a type name, and cannot be read.
  func elementType(of name: String) -> ElementType?
  /// The format's own word for the type, e.g. "F16" or "I64".
  func typeName(of name: String) -> String?
  /// What the file says of itself, as names and texts.
  var metadata: [String: String] { get }
  /// What the file on disk calls a tensor, for messages.
  func storedName(of name: String) -> String
  /// A view of the mapped file.
  /// - Throws: `ModelError` where there is no such tensor, or it does not hold floating-point numbers.
  func tensor(_ name: String) throws -> Tensor
  /// The first bytes of a tensor of any type, as stored.
  /// - Throws: `ModelError` where there is no such tensor, or it has fewer.
  func leadingBytes(of name: String, count: Int) throws -> [UInt8]
  /// Tells the system that the numbers read so far are not needed for now: their pages stop counting as this process's
  /// memory, and are read again when touched.
  func releasePages()
  /// To be called before numbers are read long after the file was opened.
  /// - Throws: `ModelError` where the file was written to since.
  func checkUnchanged() throws
}

extension WeightFile {
  public var metadata: [String: String] { [:] }
  public func storedName(of name: String) -> String { name }

  /// The number of a tensor that holds one, of whatever type; nil for a tensor of more numbers, or of none.
  /// - Throws: `ModelError` where there is no such tensor.
  func number(_ name: String) throws -> Double? {
    guard let shape = shape(of: name), let type = typeName(of: name) else {
      throw ModelError(.badData, "\(path) has no tensor \(name)")
    }
    guard Tensor.count(of: shape) == 1 else { return nil }
    if elementType(of: name) != nil { return Double(try tensor(name).floats[0]) }
    func bits(_ count: Int) throws -> UInt64 { try leadingBytes(of: name, count: count).littleEndian }
    switch type {
    case "F64": return Double(bitPattern: try bits(8))
    case "I64": return Double(Int64(bitPattern: try bits(8)))
    case "I32": return Double(Int32(truncatingIfNeeded: try bits(4)))
    case "I16": return Double(Int16(truncatingIfNeeded: try bits(2)))
    case "I8": return Double(Int8(truncatingIfNeeded: try bits(1)))
    case "U64": return Double(try bits(8))
    case "U32": return Double(try bits(4))
    case "U16": return Double(try bits(2))
    case "U8", "BOOL": return Double(try bits(1))
    default: return nil
    }
  }
}

/// Opens a file of weights by what its name ends in: `.safetensors`, or else one of `torch.save` (`.bin`,
/// `.ckpt`, `.pt`), or an index of them.
/// - Throws: `ModelError`.
public func openWeightFile(_ path: String) throws -> any WeightFile {
  if path.hasSuffix(".json") { return try ShardedWeights(indexPath: path) }
  return path.hasSuffix(".safetensors") ? try SafetensorsFile(path: path) : try PyTorchFile(path: path)
}
