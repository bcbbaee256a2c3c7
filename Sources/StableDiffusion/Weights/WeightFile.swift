import Tensors
import Text

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
}

/// Opens a file of weights by what its name ends in: `.safetensors`, or else one of `torch.save` (`.bin`,
/// `.ckpt`, `.pt`), or an index of them.
/// - Throws: `ModelError`.
public func openWeightFile(_ path: String) throws -> any WeightFile {
  if path.ends(with: ".json") { return try ShardedWeights(indexPath: path) }
  return path.ends(with: ".safetensors") ? try SafetensorsFile(path: path) : try PyTorchFile(path: path)
}
