extension Device {
  /// W + scale * up down, in float32 whatever the device's precision, in memory that goes back to the system: for weights.
  /// - Parameters:
  ///   - up: (outputs, rank), of any element type.
  ///   - down: (rank, inputs), of any element type.
  ///   - weight: (outputs, ...) with as many numbers as outputs * inputs, of any element type.
  public func adding(_ scale: Float, _ up: Tensor, _ down: Tensor, to weight: Tensor) throws -> Tensor {
    guard up.shape.count == 2, down.shape.count == 2, up.shape[1] == down.shape[0],
      weight.count == up.shape[0] * down.shape[1]
    else { throw TensorError("cannot add the product of \(up.shape) and \(down.shape) to \(weight.shape)") }
    return try run {
      let (outputs, rank, inputs) = (up.shape[0], up.shape[1], down.shape[1])
      let (a, b, sum) = (try weights(up), try weights(down), try weights(weight))
      guard sum.count > 0, rank > 0 else { return sum }
      let tile = max(outputs / (4 * threads), 16)
      try parallel((outputs + tile - 1) / tile, operations: 2 * sum.count * rank) { item, _ in
        let first = item * tile
        try matrices.multiply(
          MatrixProduct(
            rows: min(tile, outputs - first), columns: inputs, depth: rank, alpha: scale,
            a: a.floatPointer + first * rank,
            aStride: rank, b: b.floatPointer, bStride: inputs, beta: 1, c: sum.mutableFloatPointer + first * inputs,
            cStride: inputs))
      }
      return sum
    }
  }
}
