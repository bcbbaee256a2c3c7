/// What a layer is packed from: numbers in memory, or in a file, where they wait until they are needed.
public enum Weights: Sendable {
  case memory(Tensor)
  case file(StoredTensor)

  public var shape: [Int] {
    switch self {
    case .memory(let tensor): tensor.shape
    case .file(let stored): stored.shape
    }
  }

  /// The same elements under another shape of the same count.
  public func reshaped(_ shape: [Int]) -> Weights {
    switch self {
    case .memory(let tensor): .memory(tensor.reshaped(shape))
    case .file(let stored): .file(stored.reshaped(shape))
    }
  }

  /// The numbers in memory.
  public func read() throws -> Tensor {
    switch self {
    case .memory(let tensor): tensor
    case .file(let stored): try stored.read()
    }
  }
}
