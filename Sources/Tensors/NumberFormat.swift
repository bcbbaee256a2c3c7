/// How a file stores a number. The raw value is the word of safetensors for it.
public enum NumberFormat: String, Sendable, CaseIterable {
  case bool = "BOOL", uint8 = "U8", int8 = "I8"
  /// Five and four bits of exponent; the latter as PyTorch's `float8_e4m3fn`, without infinities.
  case float8E5M2 = "F8_E5M2", float8E4M3 = "F8_E4M3"
  case int16 = "I16", uint16 = "U16", float16 = "F16", bfloat16 = "BF16"
  case int32 = "I32", uint32 = "U32", float32 = "F32"
  case int64 = "I64", uint64 = "U64", float64 = "F64"

  public var byteCount: Int {
    switch self {
    case .bool, .uint8, .int8, .float8E5M2, .float8E4M3: 1
    case .int16, .uint16, .float16, .bfloat16: 2
    case .int32, .uint32, .float32: 4
    case .int64, .uint64, .float64: 8
    }
  }

  public var isFloatingPoint: Bool {
    switch self {
    case .float8E5M2, .float8E4M3, .float16, .bfloat16, .float32, .float64: true
    case .bool, .uint8, .int8, .int16, .uint16, .int32, .uint32, .int64, .uint64: false
    }
  }

  /// What such numbers are in memory: as they are stored, or else float32.
  public var elementType: ElementType {
    switch self {
    case .float16: .float16
    case .bfloat16: .bfloat16
    default: .float32
    }
  }

  /// The number of every byte, of formats of one byte.
  static let float8E5M2Numbers = (0...255).map { Float(Float16(bitPattern: UInt16($0) << 8)) }
  static let float8E4M3Numbers = (0...255).map { byte -> Float in
    let (exponent, fraction) = (byte >> 3 & 15, Float(byte & 7))
    let magnitude: Float =
      switch (exponent, byte & 7) {
      case (0, _): Float(sign: .plus, exponent: -9, significand: 1) * fraction
      case (15, 7): .nan
      default: Float(sign: .plus, exponent: exponent - 10, significand: 1) * (8 + fraction)
      }
    return byte < 128 ? magnitude : -magnitude
  }
}
