extension Device {
  /// Packs a linear layer: weight (outputs, inputs), bias (outputs), of any element type.
  public func makeLinear(weight: Tensor, bias: Tensor?) throws -> LinearLayer {
    try makeLinear(weight: .memory(weight), bias: bias)
  }

  /// The same, of weights that may lie in a file.
  public func makeLinear(weight: Weights, bias: Tensor?) throws -> LinearLayer {
    guard weight.shape.count == 2, weight.shape.allSatisfy({ $0 > 0 }) else {
      throw TensorError("the weight of a linear layer has the shape (outputs, inputs), not \(weight.shape)")
    }
    let (outputs, inputs) = (weight.shape[0], weight.shape[1])
    try requireBias(bias, outputs: outputs)
    return try run {
      LinearLayer(
        inputs: inputs, outputs: outputs, device: self,
        packed: try matrices.pack(linearWeight: weight, bias: try bias.map(weights), on: self))
    }
  }

  /// (..., inputs) -> (..., outputs): activation(x W^T + b) + addend. The addend has the shape of the result.
  /// - Parameters:
  ///   - x: Float32 or factors.
  ///   - asFactors: Whether the result is stored as factors.
  public func linear(
    _ x: Tensor, _ layer: LinearLayer, activation: Activation = .none, adding addend: Tensor? = nil,
    asFactors: Bool = false
  ) throws -> Tensor {
    try requireFactors(x, in: "a linear layer")
    try requireFloat32(addend, in: "a linear layer")
    guard layer.device === self else { throw TensorError("a linear layer was made on another device") }
    guard x.shape.last == layer.inputs else {
      throw TensorError("a linear layer of \(layer.inputs) inputs cannot take \(x.shape)")
    }
    let shape = Array(x.shape.dropLast()) + [layer.outputs]
    guard addend == nil || addend?.shape == shape else {
      throw TensorError("cannot add \(addend?.shape ?? []) to the \(shape) that a linear layer gives")
    }
    return try run {
      let y = try makeResult(shape, asFactors: asFactors)
      let rows = x.count / layer.inputs
      if rows > 0 { try layer.packed.apply(x, rows: rows, activation: activation, addend: addend, into: y, on: self) }
      return y
    }
  }

  func requireBias(_ bias: Tensor?, outputs: Int) throws {
    guard bias == nil || bias?.shape == [outputs] else {
      throw TensorError("the bias of a layer with \(outputs) outputs has the shape \(bias?.shape ?? [])")
    }
  }
}
