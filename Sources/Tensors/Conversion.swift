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

/// The same for numbers of any format.
func convertToFloat(
  from source: UnsafeRawPointer, format: NumberFormat, into target: UnsafeMutablePointer<Float>, count: Int
) {
  func convert<Number: FixedWidthInteger>(_ type: Number.Type) {
    for index in 0..<count {
      target[index] = Float(source.loadUnaligned(fromByteOffset: index * MemoryLayout<Number>.size, as: type))
    }
  }
  switch format {
  case .float32, .float16, .bfloat16: convertToFloat(from: source, type: format.elementType, into: target, count: count)
  case .float64: kernel_convert_float64(source, target, count)
  case .float8E5M2: kernel_convert_bytes(source, NumberFormat.float8E5M2Numbers, target, count)
  case .float8E4M3: kernel_convert_bytes(source, NumberFormat.float8E4M3Numbers, target, count)
  case .bool, .uint8: convert(UInt8.self)
  case .int8: convert(Int8.self)
  case .int16: convert(Int16.self)
  case .uint16: convert(UInt16.self)
  case .int32: convert(Int32.self)
  case .uint32: convert(UInt32.self)
  case .int64: convert(Int64.self)
  case .uint64: convert(UInt64.self)
  }
}

extension Device {
  /// The same numbers as float32.
  public func float32(_ x: Tensor) throws -> Tensor {
    try run {
      if x.elementType == .float32 { return x }
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

  /// The same, read from their file if they lie in one.
  func weights(_ x: Weights) throws -> Tensor {
    switch x {
    case .memory(let tensor): try weights(tensor)
    case .file(let stored): try readNumbers(of: stored, into: TensorStorage(byteCount: stored.count * 4))
    }
  }

  /// The numbers of `x` as float32 for an engine that packs them, to be read until the operator ends: in the workspace, or
  /// where they lie. Memory of their own would be mapped and cleared anew for every layer of a model.
  func unpackedWeights(_ x: Weights) throws -> Tensor {
    switch x {
    case .memory(let tensor) where tensor.isReadableAsFloat: tensor
    case .memory(let tensor):
      try converted(
        tensor,
        into: Tensor(shape: x.shape, elementType: .float32, storage: try workspace(byteCount: tensor.count * 4)))
    case .file(let stored): try readNumbers(of: stored, into: workspace(byteCount: stored.count * 4))
    }
  }

  private func readNumbers(of stored: StoredTensor, into storage: TensorStorage) throws -> Tensor {
    let y = Tensor(shape: stored.shape, elementType: .float32, storage: storage)
    let (target, count) = (y.mutableFloatPointer, y.count)
    let grain = stored.isRowMajor ? 4 * Device.grain : max(count, 1)
    try parallel((count + grain - 1) / grain) { item, _ in
      let part = item * grain..<min((item + 1) * grain, count)
      try stored.read(part, into: target + part.lowerBound)
    }
    return y
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
