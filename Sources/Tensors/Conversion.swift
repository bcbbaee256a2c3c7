import CKernels

/// Converts `count` stored elements to Float. The source needs no alignment.
func convertToFloat(
  from source: UnsafeRawPointer, type: ElementType, into target: UnsafeMutablePointer<Float>, count: Int
) {
  switch type {
  case .float32: UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count * 4)
  case .float16: kernel_convert_float16(source, target, count)
  case .bfloat16: kernel_convert_bfloat16(source, target, count)
  }
}

extension Device {
  /// The same numbers as float32 in memory of our own.
  public func float32(_ x: Tensor) throws -> Tensor {
    try run {
      if x.elementType == .float32, !x.isMapped { return x }
      return try converted(x, into: try makeResult(x.shape))
    }
  }

  /// A copy to keep for later attention, as factors.
  public func kept(_ x: Tensor) throws -> Tensor {
    try requireFactors(x, in: "keeping")
    return try run {
      let storage = try TensorStorage(byteCount: x.count * precision.byteCount)
      let y = Tensor(shape: x.shape, elementType: precision.factorType, storage: storage)
      if holdsFactors(x) { try copy(x, into: y) } else { try round(x, into: storage.base) }
      return y
    }
  }

  /// The same numbers as factors, for operators that multiply them.
  public func rounded(_ x: Tensor) throws -> Tensor {
    try requireFactors(x, in: "rounding")
    if holdsFactors(x) { return x }
    return try run {
      let y = try makeResult(x.shape, asFactors: true)
      try round(x, into: y.storage.base)
      return y
    }
  }

  private func round(_ x: Tensor, into rounded: UnsafeMutableRawPointer) throws {
    let (source, target) = (x.floatPointer, rounded.assumingMemoryBound(to: UInt16.self))
    try parallel(count: x.count, grain: 4 * Device.grain) {
      kernel_round_bfloat16(source + $0.lowerBound, target + $0.lowerBound, $0.count)
    }
  }

  /// Like `float32`, in memory that goes back to the system and not to the pool: for weights that stay as they are, each
  /// of a size of its own.
  func weights(_ x: Tensor) throws -> Tensor {
    try converted(
      x, into: Tensor(shape: x.shape, elementType: .float32, storage: TensorStorage(byteCount: x.count * 4)))
  }

  /// The numbers of `x` as float32 for an engine that packs them, to be read until the operator ends: in the workspace, or
  /// where they lie. Memory of their own would be mapped and cleared anew for every layer of a model.
  func unpackedWeights(_ x: Tensor) throws -> Tensor {
    if x.isReadableAsFloat { return x }
    return try converted(
      x, into: Tensor(shape: x.shape, elementType: .float32, storage: try workspace(byteCount: x.count * 4)))
  }

  /// The numbers of `x` as the engine multiplies them, to be read until the operator ends: rounded in the workspace, or
  /// where they lie.
  func factors(_ x: Tensor) throws -> UnsafeMutableRawPointer {
    if holdsFactors(x) { return UnsafeMutableRawPointer(mutating: x.bytes) }
    let rounded = try workspace(byteCount: x.count * precision.byteCount).base
    try round(x, into: rounded)
    return rounded
  }

  private func converted(_ x: Tensor, into y: Tensor) throws -> Tensor {
    let (source, target) = (x.bytes, y.mutableFloatPointer)
    try parallel(count: x.count, grain: 4 * Device.grain) { part in
      convertToFloat(
        from: source + part.lowerBound * x.elementType.byteCount, type: x.elementType, into: target + part.lowerBound,
        count: part.count)
    }
    return y
  }
}
