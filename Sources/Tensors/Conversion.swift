/// Converts `count` stored elements to Float. The source needs no alignment.
func convertToFloat(from source: UnsafeRawPointer, type: ElementType, into target: UnsafeMutablePointer<Float>, count: Int) {
  switch type {
  case .float32:
    UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count * 4)
  case .float16:
    for index in 0..<count {
      target[index] = Float(Float16(bitPattern: source.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self)))
    }
  case .bfloat16:
    for index in 0..<count {
      target[index] = Float(bitPattern: UInt32(source.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self)) << 16)
    }
  }
}
