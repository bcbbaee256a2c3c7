/// Writes Matroska (RFC 9559): as few elements as libav wants, with numbers that the input chooses.
struct MatroskaBuilder {
  private var input: ArraySlice<UInt8>

  init(_ input: [UInt8]) { self.input = input[...] }

  private static let side = 16
  private static let picture = [UInt8](repeating: 128, count: side * side)
  /// Blocks, at most.
  private static let blockLimit = 12

  mutating func file() -> [UInt8] {
    let head = Self.element(
      [0x1a, 0x45, 0xdf, 0xa3],
      Self.number([0x42, 0x86], 1) + Self.number([0x42, 0xf2], 4) + Self.number([0x42, 0xf3], 8)
        + Self.element([0x42, 0x82], Array("matroska".utf8)) + Self.number([0x42, 0x87], 4)
        + Self.number([0x42, 0x85], 2))
    var segment = information() + tracks() + chapters()
    var count = 0
    while !input.isEmpty, count < Self.blockLimit {
      segment += cluster()
      count += 1
    }
    return head + Self.element([0x18, 0x53, 0x80, 0x67], segment)
  }

  // MARK: - Parts

  private mutating func information() -> [UInt8] {
    let timestampScale = Self.number([0x2a, 0xd7, 0xb1], value())
    // A double, of any bits.
    let duration = Self.element([0x44, 0x89], [UInt8](bigEndian: value()))
    return Self.element(
      [0x15, 0x49, 0xa9, 0x66],
      timestampScale + Self.element([0x4d, 0x80], [0x78]) + Self.element([0x57, 0x41], [0x78]) + duration)
  }

  private mutating func tracks() -> [UInt8] {
    func track(_ number: UInt64, type: UInt64, codec: String, _ more: [UInt8]) -> [UInt8] {
      Self.element(
        [0xae],
        Self.number([0xd7], number) + Self.number([0x73, 0xc5], number) + Self.number([0x83], type)
          + Self.element([0x86], Array(codec.utf8)) + more)
    }
    let side = UInt64(Self.side)
    let video = track(
      1, type: 1, codec: "V_UNCOMPRESSED",
      Self.number([0x23, 0xe3, 0x83], value())
        + Self.element(
          [0xe0],
          Self.number([0xb0], side) + Self.number([0xba], side) + Self.element([0x2e, 0xb5, 0x24], Array("Y800".utf8))))
    let subtitles = track(2, type: 17, codec: "S_TEXT/UTF8", [])
    let sound = track(
      3, type: 2, codec: "A_PCM/INT/LIT",
      Self.element(
        // 8000 Hz, a float.
        [0xe1], Self.element([0xb5], [0x45, 0xfa, 0, 0]) + Self.number([0x9f], 1) + Self.number([0x62, 0x64], 16)))
    return Self.element([0x16, 0x54, 0xae, 0x6b], video + subtitles + sound)
  }

  private mutating func chapters() -> [UInt8] {
    let times = Self.number([0x91], value()) + Self.number([0x92], value())
    let title = Self.element([0x80], Self.element([0x85], [0x61]))
    let atom = Self.element([0xb6], Self.number([0x73, 0xc4], 1) + times + title)
    return Self.element([0x10, 0x43, 0xa7, 0x70], Self.element([0x45, 0xb9], atom))
  }

  private mutating func cluster() -> [UInt8] {
    let kind = byte()
    let time = Self.number([0xe7], value())
    let offset = [byte(), byte()]
    let block =
      switch kind % 4 {
      case 0, 1: Self.element([0xa3], [0x81] + offset + [0x80] + Self.picture)
      case 2:
        Self.element([0xa0], Self.element([0xa1], [0x82] + offset + [0] + "hi".utf8) + Self.number([0x9b], value()))
      default: Self.element([0xa3], [0x83] + offset + [0x80, 1, 2, 3, 4])
      }
    return Self.element([0x1f, 0x43, 0xb6, 0x75], time + block)
  }

  // MARK: - Elements and numbers

  private static func element(_ id: [UInt8], _ body: [UInt8]) -> [UInt8] {
    // Eight bytes of length, of which the first is the mark of that.
    id + [1] + [UInt8](bigEndian: UInt64(body.count)).dropFirst() + body
  }

  private static func number(_ id: [UInt8], _ value: UInt64) -> [UInt8] { element(id, [UInt8](bigEndian: value)) }

  private mutating func byte() -> UInt8 { input.popFirst() ?? 0 }

  /// Small numbers, and those about the ends of signed and unsigned ones, more often than others.
  private mutating func value() -> UInt64 {
    let kind = byte()
    let small = UInt64(byte())
    switch kind & 7 {
    case 0: return small
    case 1: return 1 << 63 &- small
    case 2: return 0 &- small
    case 3: return 1 << 62 &+ small
    case 4: return small << UInt64(kind >> 3)
    case 5: return 0 &- small << UInt64(kind >> 3)
    default:
      var value = small
      for _ in 0..<7 { value = value << 8 | UInt64(byte()) }
      return value
    }
  }
}
