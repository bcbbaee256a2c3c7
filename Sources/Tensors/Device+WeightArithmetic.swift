/// Arithmetic of weights before they are packed: in float32 whatever the device's precision, on operands of any element
/// type, into memory that goes back to the system. Nothing here is fast enough for the inside of a pass.
extension Device {
  /// W + scale * up down.
  /// - Parameters:
  ///   - up: (outputs, rank).
  ///   - down: (rank, inputs).
  ///   - weight: (outputs, ...) with as many numbers as outputs * inputs.
  public func adding(_ scale: Float, _ up: Tensor, _ down: Tensor, to weight: Tensor) throws -> Tensor {
    guard up.shape.count == 2, down.shape.count == 2, up.shape[1] == down.shape[0],
      weight.count == up.shape[0] * down.shape[1]
    else { throw TensorError("cannot add the product of \(up.shape) and \(down.shape) to \(weight.shape)") }
    return try run {
      let sum = try weights(weight)
      try accumulate(scale, up, down, into: sum, beta: 1)
      return sum
    }
  }

  /// a b: (rows, depth) and (depth, columns) -> (rows, columns).
  public func product(_ a: Tensor, _ b: Tensor) throws -> Tensor {
    guard a.shape.count == 2, b.shape.count == 2, a.shape[1] == b.shape[0] else {
      throw TensorError("cannot multiply \(a.shape) by \(b.shape)")
    }
    return try run {
      guard a.shape[1] > 0 else { return try Tensor(zeros: [a.shape[0], b.shape[1]]) }
      let result = try makeWeights([a.shape[0], b.shape[1]])
      try accumulate(1, a, b, into: result, beta: 0)
      return result
    }
  }

  /// sum = beta * sum + scale * a b, in place.
  private func accumulate(_ scale: Float, _ a: Tensor, _ b: Tensor, into sum: Tensor, beta: Float) throws {
    let (rows, depth, columns) = (a.shape[0], a.shape[1], b.shape[1])
    let (a, b) = (try readable(a), try readable(b))
    guard sum.count > 0, depth > 0 else { return }
    let tile = max(rows / (4 * threads), 16)
    try parallel((rows + tile - 1) / tile, operations: 2 * sum.count * depth) { item, _ in
      let first = item * tile
      try matrices.multiply(
        MatrixProduct(
          rows: min(tile, rows - first), columns: columns, depth: depth, alpha: scale,
          a: a.floatPointer + first * depth, aStride: depth, b: b.floatPointer, bStride: columns, beta: beta,
          c: sum.mutableFloatPointer + first * columns, cStride: columns))
    }
  }

  /// W + scale * x, of the shape of W.
  /// - Parameter x: as many numbers as W has.
  public func adding(_ scale: Float, _ x: Tensor, to weight: Tensor) throws -> Tensor {
    try elementwise(weight, x) { $0 + scale * $1 }
  }

  /// The products of single numbers, of the shape of `x`.
  public func elementwiseProduct(_ x: Tensor, _ y: Tensor) throws -> Tensor { try elementwise(x, y) { $0 * $1 } }

  private func elementwise(_ x: Tensor, _ y: Tensor, _ body: (Float, Float) -> Float) throws -> Tensor {
    guard x.count == y.count else { throw TensorError("\(x.shape) and \(y.shape) have different counts of numbers") }
    return try run {
      let (result, other) = (try weights(x), try readable(y))
      let (numbers, others) = (result.mutableFloatPointer, other.floatPointer)
      try withoutActuallyEscaping(body) { body in
        try parallel(count: result.count, grain: 4 * Device.grain) { part in
          for index in part { numbers[index] = body(numbers[index], others[index]) }
        }
      }
      return result
    }
  }

  /// Kronecker's product: (a, b) and (c, d) -> (a c, b d), each number of `x` times all of `y`.
  public func kroneckerProduct(_ x: Tensor, _ y: Tensor) throws -> Tensor {
    guard x.shape.count == 2, y.shape.count == 2 else {
      throw TensorError("Kronecker's product is of two matrices, not of \(x.shape) and \(y.shape)")
    }
    let (rows, columns) = (y.shape[0], y.shape[1])
    return try run {
      let (x, y) = (try readable(x), try readable(y))
      let result = try makeWeights([x.shape[0] * rows, x.shape[1] * columns])
      guard result.count > 0 else { return result }
      let (left, right, target) = (x.floatPointer, y.floatPointer, result.mutableFloatPointer)
      let width = x.shape[1]
      try parallel(count: result.shape[0], grain: 4 * Device.grain / (width * columns)) { lines in
        for line in lines {
          for block in 0..<width {
            let (factor, row) = (left[line / rows * width + block], right + line % rows * columns)
            let place = target + (line * width + block) * columns
            for column in 0..<columns { place[column] = factor * row[column] }
          }
        }
      }
      return result
    }
  }

  /// The matrices of a stack, each transposed: (n, a, b) -> (n, b, a).
  public func transposed(_ x: Tensor) throws -> Tensor {
    guard x.shape.count == 3 else { throw TensorError("\(x.shape) is no stack of matrices") }
    let (rows, columns) = (x.shape[1], x.shape[2])
    return try run {
      let x = try readable(x)
      let result = try makeWeights([x.shape[0], columns, rows])
      guard result.count > 0 else { return result }
      let (source, target) = (x.floatPointer, result.mutableFloatPointer)
      try parallel(count: x.shape[0] * columns, grain: 4 * Device.grain / rows) { lines in
        for line in lines {
          let matrix = source + line / columns * rows * columns + line % columns
          for row in 0..<rows { target[line * rows + row] = matrix[row * columns] }
        }
      }
      return result
    }
  }

  /// The Euclidean norms of the slices of a weight along `axis`.
  public func norms(of weight: Tensor, along axis: Int) throws -> [Float] {
    let (outer, count, inner) = try extents(of: weight, along: axis)
    return try run {
      let weight = try readable(weight)
      var sums = [Double](repeating: 0, count: count)
      for slice in 0..<outer * count {
        let numbers = UnsafeBufferPointer(start: weight.floatPointer + slice * inner, count: inner)
        sums[slice % count] += numbers.reduce(0) { $0 + Double($1) * Double($1) }
      }
      return sums.map { Float($0.squareRoot()) }
    }
  }

  /// A weight whose slices along `axis` are each multiplied by a factor.
  public func scaled(_ weight: Tensor, along axis: Int, by factors: [Float]) throws -> Tensor {
    let (outer, count, inner) = try extents(of: weight, along: axis)
    guard factors.count == count else {
      throw TensorError("\(factors.count) factors for axis \(axis) of \(weight.shape)")
    }
    return try run {
      let result = try weights(weight)
      let numbers = result.mutableFloatPointer
      try parallel(count: outer * count, grain: 4 * Device.grain / max(inner, 1)) { slices in
        for slice in slices {
          for index in slice * inner..<(slice + 1) * inner { numbers[index] *= factors[slice % count] }
        }
      }
      return result
    }
  }

  /// How often an axis comes, its length, and the numbers of each of its slices' parts.
  private func extents(of weight: Tensor, along axis: Int) throws -> (outer: Int, count: Int, inner: Int) {
    guard weight.shape.indices.contains(axis) else { throw TensorError("\(weight.shape) has no axis \(axis)") }
    return (
      weight.shape[..<axis].reduce(1, *), weight.shape[axis], weight.shape[(axis + 1)...].reduce(1, *)
    )
  }

  /// The numbers as float32, where they lie if they lie well.
  private func readable(_ x: Tensor) throws -> Tensor { x.isReadableAsFloat ? x : try weights(x) }

  private func makeWeights(_ shape: [Int]) throws -> Tensor {
    guard let count = Tensor.count(of: shape) else { throw TensorError("the shape \(shape) is not one of a tensor") }
    return Tensor(shape: shape, elementType: .float32, storage: try TensorStorage(byteCount: count * 4))
  }
}
