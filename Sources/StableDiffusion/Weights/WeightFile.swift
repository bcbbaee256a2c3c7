import Tensors
import Text

/// Named tensors as a checkpoint stores them, whatever the format: one file, or several that an index ties together.
///
/// Opening validates the directory of the file (names, shapes, places); the numbers stay on disk until they are read.
public protocol WeightFile: Sendable {
  /// The file, or the index of a sharded one, for messages.
  var path: String { get }
  /// The names of all tensors, sorted.
  var names: [String] { get }
  func shape(of name: String) -> [Int]?
  /// How the numbers of a tensor are stored; nil for one that does not exist.
  func format(of name: String) -> NumberFormat?
  /// What the file says of itself, as names and texts.
  var metadata: [String: String] { get }
  /// What the file on disk calls a tensor, for messages.
  func storedName(of name: String) -> String
  /// A tensor of any format, to be read when it is needed.
  /// - Throws: `ModelError` where there is no such tensor.
  func stored(_ name: String) throws -> StoredTensor
  /// To be called before numbers are read long after the file was opened, and when that is done.
  /// - Throws: `ModelError` where the file was written to since.
  func checkUnchanged() throws
}

extension WeightFile {
  public var metadata: [String: String] { [:] }
  public func storedName(of name: String) -> String { name }

  /// What `tensor` makes of the numbers; nil for a tensor that does not exist or does not hold floating-point numbers
  /// (`position_ids` and such).
  public func elementType(of name: String) -> ElementType? {
    format(of: name).flatMap { $0.isFloatingPoint ? $0.elementType : nil }
  }

  /// The name of a tensor's format, e.g. "F16" or "I64".
  public func typeName(of name: String) -> String? { format(of: name)?.rawValue }

  /// The numbers, in memory of their own: as they are stored, or else as float32.
  /// - Throws: `ModelError` where there is no such tensor, or it does not hold floating-point numbers; `TensorError` where
  ///   the file was cut short, or there is no memory.
  public func tensor(_ name: String) throws -> Tensor {
    let stored = try stored(name)
    guard stored.format.isFloatingPoint else {
      throw ModelError(.badData, "\(name) in \(path) holds \(stored.format.rawValue), not floating-point numbers")
    }
    return try stored.read()
  }

  /// The number of a tensor that holds one, of whatever format; nil for a tensor of more numbers, or of none.
  /// - Throws: `ModelError` where there is no such tensor.
  func number(_ name: String) throws -> Double? {
    let stored = try stored(name)
    return stored.count == 1 ? Double(try stored.first(1)[0]) : nil
  }

  func missing(_ name: String) -> ModelError { ModelError(.badData, "\(path) has no tensor \(name.prefix(200))") }
}

/// Opens a file of weights by what its name ends in: `.safetensors`, or else one of `torch.save` (`.bin`,
/// `.ckpt`, `.pt`), or an index of them. Numbers of 8 bits come with the scales that lie beside them.
/// - Throws: `ModelError`.
public func openWeightFile(_ path: String) throws -> any WeightFile {
  try ScaledWeights.scaled(openStoredWeights(path))
}

/// The same, with every tensor as it is stored.
func openStoredWeights(_ path: String) throws -> any WeightFile {
  if path.ends(with: ".json") { return try ShardedWeights(indexPath: path) }
  return path.ends(with: ".safetensors") ? try SafetensorsFile(path: path) : try PyTorchFile(path: path)
}
