import Tensors
import Text

/// Weights of 8 bits with scales beside them, as ComfyUI and others store them so that the few numbers which 8 bits can tell
/// apart reach as far as the weights do: a weight is what is stored times its scale.
struct ScaledWeights: WeightFile {
  private let file: any WeightFile
  /// Without the scales and what else lies beside the weights.
  let names: [String]
  /// Of weights, one for all numbers or one for each row.
  private let scales: [String: [Float]]

  /// How names of scales end where those of their weights end in "weight".
  private static let endings = [".scale_weight", ".weight_scale"]
  /// What lies beside them for programs that multiply 8 bits, or marks the file.
  private static let ignoredKeys = [".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8"]

  /// Of a model's largest, with one for each row, there are two million.
  private static let countLimit = 1 << 24

  /// - Returns: `file` itself where no weight has a scale.
  /// - Throws: `ModelError` where scales are of another kind.
  static func scaled(_ file: any WeightFile) throws -> any WeightFile {
    let isScaled = file.names.contains { name in
      let format = file.format(of: name)
      return format == .float8E4M3 || format == .float8E5M2
    }
    return isScaled ? try ScaledWeights(file) : file
  }

  private init(_ file: any WeightFile) throws {
    self.file = file
    var scales: [String: [Float]] = [:]
    var names: [String] = []
    var total = 0
    func numbers(_ name: String) throws -> [Float] {
      let count = Tensor.count(of: file.shape(of: name) ?? []) ?? 0
      total += count
      guard total <= Self.countLimit else {
        throw ModelError(.badData, "\(file.path) has more than \(Self.countLimit) scales, which no model has")
      }
      return try file.stored(name).first(count)
    }
    for name in file.names {
      if Self.ignoredKeys.contains(where: { name.ends(with: $0) }) { continue }
      guard let ending = Self.endings.first(where: { name.ends(with: $0) }) else {
        guard !name.ends(with: ".weight_scale_inv") else {
          throw ModelError(
            .unsupported,
            "\(file.path): \(name.prefix(200)) scales blocks of a weight; only one scale for a weight or for each row is read"
          )
        }
        names.append(name)
        continue
      }
      let weight = "\(name.dropLast(ending.count)).weight"
      guard let shape = file.shape(of: weight) else {
        names.append(name)
        continue
      }
      let count = Tensor.count(of: file.shape(of: name) ?? []) ?? 0
      guard count == 1 || count == shape.first, case let scale = try numbers(name), scale.allSatisfy(\.isFinite) else {
        throw ModelError(
          .unsupported,
          "\(file.path): \(name.prefix(200)) \(file.shape(of: name) ?? []) is neither one finite scale for \(shape) nor one "
            + "for each row")
      }
      scales[weight] = scale
    }
    (self.names, self.scales) = (names, scales)
  }

  var path: String { file.path }
  var metadata: [String: String] { file.metadata }
  func shape(of name: String) -> [Int]? { file.shape(of: name) }
  func format(of name: String) -> NumberFormat? { file.format(of: name) }
  func storedName(of name: String) -> String { file.storedName(of: name) }
  func checkUnchanged() throws { try file.checkUnchanged() }

  func stored(_ name: String) throws -> StoredTensor {
    let stored = try file.stored(name)
    return scales[name].map { stored.scaled(by: $0) } ?? stored
  }
}
