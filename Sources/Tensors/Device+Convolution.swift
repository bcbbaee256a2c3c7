extension Device {
  /// Packs a convolution: weight (outputs, inputs, kernel rows, kernel columns), bias (outputs), of any element type.
  public func makeConvolution(weight: Tensor, bias: Tensor?, stride: Int = 1, padding: Padding) throws
    -> ConvolutionLayer
  {
    try makeConvolution(weight: .memory(weight), bias: bias, stride: stride, padding: padding)
  }

  /// The same, of weights that may lie in a file.
  public func makeConvolution(weight: Weights, bias: Tensor?, stride: Int = 1, padding: Padding) throws
    -> ConvolutionLayer
  {
    guard weight.shape.count == 4, weight.shape.allSatisfy({ $0 > 0 }) else {
      throw TensorError(
        "the weight of a convolution has the shape (outputs, inputs, kernel rows, kernel columns), not \(weight.shape)")
    }
    let reach = 0..<(1 << 16)
    guard
      stride > 0, reach.contains(stride),
      [padding.top, padding.left, padding.bottom, padding.right].allSatisfy(reach.contains)
    else { throw TensorError("a convolution cannot have stride \(stride) and \(padding)") }
    let geometry = ConvolutionGeometry(
      inputs: weight.shape[1], outputs: weight.shape[0], kernelRows: weight.shape[2], kernelColumns: weight.shape[3],
      stride: stride, padding: padding)
    try requireBias(bias, outputs: geometry.outputs)
    if geometry.isPointwise {
      let layer = try makeLinear(weight: weight.reshaped([geometry.outputs, geometry.inputs]), bias: bias)
      return ConvolutionLayer(geometry: geometry, device: self, packed: .linear(layer))
    }
    return try run {
      let packed = try matrices.pack(
        convolutionWeight: weight, bias: try bias.map(weights), geometry: geometry, on: self)
      return ConvolutionLayer(geometry: geometry, device: self, packed: .convolution(packed))
    }
  }

  /// (n, h, w, inputs) -> (n, h', w', outputs): convolution + bias + addend, with h' = (h + padding - kernel) /
  /// stride + 1 rounded down. The addend has the shape of the result.
  /// - Parameter x: Float32, or factors where the layer takes them.
  public func convolution(_ x: Tensor, _ layer: ConvolutionLayer, adding addend: Tensor? = nil) throws -> Tensor {
    try requireFloat32(addend, in: "a convolution")
    guard layer.device === self else { throw TensorError("a convolution was made on another device") }
    guard x.shape.count == 4, x.shape[3] == layer.inputs else {
      throw TensorError("a convolution of \(layer.inputs) channels cannot take \(x.shape)")
    }
    if layer.takesFactors(rows: x.shape[1], columns: x.shape[2]) {
      try requireFactors(x, in: "a convolution")
    } else {
      try requireFloat32(x, in: "a convolution by Winograd's way")
    }
    guard let size = layer.geometry.outputSize(rows: x.shape[1], columns: x.shape[2]) else {
      throw TensorError("images of the shape \(x.shape) are smaller than the kernel of a convolution")
    }
    let shape = [x.shape[0], size.rows, size.columns, layer.outputs]
    guard addend == nil || addend?.shape == shape else {
      throw TensorError("cannot add \(addend?.shape ?? []) to the \(shape) that a convolution gives")
    }
    switch layer.packed {
    case .linear(let linear): return try self.linear(x, linear, adding: addend)
    case .convolution(let packed):
      return try run {
        let y = try makeResult(shape)
        if y.count > 0 { try packed.apply(x, addend: addend, into: y, on: self) }
        return y
      }
    }
  }
}
