import StableDiffusion
import Tensors

/// What is done with a file of weights before a model is made of it.
enum WeightReading {
  /// Numbers of one tensor that are looked at.
  private static let largestTensor = 1 << 16

  /// Reads every tensor in each of the ways in which layers read theirs.
  static func readEverything(of file: any WeightFile) {
    for name in file.names.prefix(64) {
      _ = (file.typeName(of: name), file.elementType(of: name), file.storedName(of: name))
      guard let tensor = try? file.tensor(name), tensor.count <= largestTensor else { continue }
      _ = tensor.floats
      if let first = tensor.shape.first, first > 0 { _ = tensor.rows(0..<1).floats }
      _ = tensor.reshaped([tensor.count]).rows(0..<min(tensor.count, 64)).floats
    }
    try? file.checkUnchanged()
  }

  /// Tells what the file is, as `inspect` does, and takes it for all that it could be.
  static func inspect(_ path: String) {
    _ = try? FileInspection(path)
    _ = try? Checkpoint(path: path)
  }
}
