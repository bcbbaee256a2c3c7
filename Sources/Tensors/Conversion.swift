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

  /// Like `float32`, in memory that goes back to the system and not to the pool: for weights, each of a size of its
  /// own.
  func weights(_ x: Tensor) throws -> Tensor {
    guard Tensor.count(of: x.shape) != nil else { throw TensorError("the shape \(x.shape) is not one of a tensor") }
    let storage = try TensorStorage(byteCount: x.count * 4)
    return try converted(x, into: Tensor(shape: x.shape, elementType: .float32, storage: storage))
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
