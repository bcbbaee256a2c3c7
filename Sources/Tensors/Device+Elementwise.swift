import CKernels

extension Activation {
  /// `y` may be `x`.
  func apply(to x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int) {
    switch self {
    case .none: if UnsafePointer(y) != x { y.update(from: x, count: count) }
    case .silu: kernel_swish(x, 1, y, count)
    case .quickGELU: kernel_swish(x, 1.702, y, count)
    case .gelu: kernel_gelu(x, y, count)
    }
  }
}

extension Device {
  /// The activation of every element.
  public func activate(_ x: Tensor, _ activation: Activation) throws -> Tensor {
    try requireFloat32(x, in: "an activation")
    return try run {
      if activation == .none { return x }
      let y = try makeResult(x.shape)
      let (input, output) = (x.floatPointer, y.mutableFloatPointer)
      try parallel(count: x.count, grain: Device.grain) {
        activation.apply(to: input + $0.lowerBound, into: output + $0.lowerBound, count: $0.count)
      }
      return y
    }
  }

  /// (..., 2c) -> (..., c): the first half times the exact GELU of the second half (Shazeer 2020, arXiv:2002.05202).
  /// - Parameter asFactors: Whether the result is stored as factors.
  public func geglu(_ x: Tensor, asFactors: Bool = false) throws -> Tensor {
    try requireFloat32(x, in: "GEGLU")
    guard let last = x.shape.last, last > 0, last % 2 == 0 else {
      throw TensorError("cannot halve the last axis of \(x.shape)")
    }
    let channels = last / 2
    return try run {
      let shape = Array(x.shape.dropLast()) + [channels]
      let y = try makeResult(shape, asFactors: asFactors)
      let input = x.floatPointer
      try parallel(count: y.count / channels, grain: Device.grain / channels) {
        kernel_geglu(
          input + $0.lowerBound * 2 * channels, y.mutableAddress(of: $0.lowerBound * channels),
          y.elementType == .bfloat16, $0.count, channels)
      }
      return y
    }
  }

  /// a + b, of the same shape.
  public func add(_ a: Tensor, _ b: Tensor) throws -> Tensor {
    try requireFloat32(a, b, in: "an addition")
    guard a.shape == b.shape else { throw TensorError("cannot add \(a.shape) and \(b.shape)") }
    return try run {
      let y = try makeResult(a.shape)
      let (first, second, output) = (a.floatPointer, b.floatPointer, y.mutableFloatPointer)
      try parallel(count: y.count, grain: Device.grain) {
        kernel_add(first + $0.lowerBound, second + $0.lowerBound, output + $0.lowerBound, $0.count)
      }
      return y
    }
  }

  /// a*x + b*y, of the same shape.
  public func combine(_ a: Float, _ x: Tensor, _ b: Float, _ y: Tensor) throws -> Tensor {
    try requireFloat32(x, y, in: "a sum")
    guard x.shape == y.shape else { throw TensorError("cannot combine \(x.shape) and \(y.shape)") }
    return try run {
      let z = try makeResult(x.shape)
      let (first, second, output) = (x.floatPointer, y.floatPointer, z.mutableFloatPointer)
      try parallel(count: z.count, grain: Device.grain) {
        kernel_combine(a, first + $0.lowerBound, b, second + $0.lowerBound, output + $0.lowerBound, $0.count)
      }
      return z
    }
  }

  /// x (n, ..., c) + rows (g, c): row j is added to the frames j*n/g ..< (j+1)*n/g at every position.
  public func addChannels(_ x: Tensor, _ rows: Tensor) throws -> Tensor {
    try requireFloat32(x, rows, in: "an addition")
    guard
      x.shape.count >= 2, let channels = x.shape.last, channels > 0, rows.shape.count == 2, rows.shape[1] == channels,
      rows.shape[0] > 0, x.shape[0] % rows.shape[0] == 0
    else { throw TensorError("cannot add the rows of \(rows.shape) to the channels of \(x.shape)") }
    return try run {
      let y = try makeResult(x.shape)
      let (input, output) = (x.floatPointer, y.mutableFloatPointer)
      let positions = x.count / channels / rows.shape[0]
      let piece = max(Device.grain / channels, 1)
      let pieces = (positions + piece - 1) / piece
      try parallel(rows.shape[0] * pieces, operations: 8 * x.count) { item, _ in
        let group = item / pieces
        let first = item % pieces * piece
        let start = (group * positions + first) * channels
        kernel_add_row(
          input + start, rows.floatPointer + group * channels, output + start, min(piece, positions - first), channels)
      }
      return y
    }
  }

  /// Softmax over the last axis.
  public func softmax(_ x: Tensor) throws -> Tensor {
    try requireFloat32(x, in: "softmax")
    guard let columns = x.shape.last else { throw TensorError("softmax needs an axis") }
    return try run {
      let y = try makeResult(x.shape)
      guard x.count > 0 else { return y }
      let (input, output) = (x.floatPointer, y.mutableFloatPointer)
      try parallel(count: x.count / columns, grain: Device.grain / columns) { rows in
        let start = rows.lowerBound * columns
        (output + start).update(from: input + start, count: rows.count * columns)
        kernel_softmax(output + start, rows.count, columns)
      }
      return y
    }
  }
}
