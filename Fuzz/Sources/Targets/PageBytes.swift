/// A page of HTML as a browser takes it apart: by bytes, whatever characters they make in Swift.
struct PageBytes {
  private let bytes: [UInt8]
  private var place = 0

  init(_ page: String) { bytes = Array(page.utf8) }

  /// Whether a text would end the attribute that it stands in, or begin a tag, or reach a terminal as more than text.
  static func holdsMarks(_ text: String) -> Bool {
    text.utf8.contains { byte in
      [UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">")].contains(byte) || isControl(byte)
    }
  }

  private static func isControl(_ byte: UInt8) -> Bool {
    byte == 0x7f || byte < 0x20 && ![0x09, 0x0a, 0x0d].contains(byte)
  }

  private static let attributes: Set = [
    "alt", "aria-label", "charset", "class", "content", "cx", "cy", "d", "dy", "height", "href", "http-equiv", "id",
    "lang",
    "max", "min", "name", "nonce", "r", "role", "src", "style", "text-anchor", "transform", "type", "value", "viewBox",
    "width",
    "x", "y",
  ]

  func promiseText() throws {
    try promise(!bytes.contains(where: Self.isControl), "a control character on a page")
  }

  /// Every tag is written as the program writes them: known attributes with values in double quotes, one style, one script.
  func promiseOwnTags() throws {
    try promiseText()
    var reader = self
    var scripts = 0
    while let byte = reader.next() {
      try promise(byte != UInt8(ascii: ">"), "a > that closes no tag\(reader.context)")
      guard byte == UInt8(ascii: "<") else { continue }
      let name = try reader.tag()
      if name == "script" { scripts += 1 }
      if name == "script" || name == "style" { try reader.skip(past: "</\(name)>") }
    }
    try promise(scripts == 1, "\(scripts) scripts")
  }

  // MARK: - Reading

  private var context: String {
    ": " + String(decoding: bytes[max(0, place - 60)..<min(place + 60, bytes.count)], as: UTF8.self).debugDescription
  }

  private mutating func next() -> UInt8? {
    guard place < bytes.count else { return nil }
    defer { place += 1 }
    return bytes[place]
  }

  private mutating func word() -> String {
    let start = place
    while place < bytes.count, Self.isOfName(bytes[place]) { place += 1 }
    return String(decoding: bytes[start..<place], as: UTF8.self)
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "!"), UInt8(ascii: "/"):
      true
    default: false
    }
  }

  /// The rest of a tag behind its `<`.
  /// - Returns: Its name; with a `/` before it where it closes an element.
  private mutating func tag() throws -> String {
    let name = word()
    try promise(!name.isEmpty, "a < that begins no tag\(context)")
    while true {
      switch next() {
      case UInt8(ascii: ">"): return name
      case UInt8(ascii: " "), UInt8(ascii: "\n"):
        let attribute = word()
        if ["", "/", "html"].contains(attribute) { continue }
        try promise(
          Self.attributes.contains(attribute) || attribute.hasPrefix("data-g"), "attribute \(attribute)\(context)")
        guard place < bytes.count, bytes[place] == UInt8(ascii: "=") else { continue }
        place += 1
        try promise(next() == UInt8(ascii: "\""), "a value without quotes\(context)")
        try value()
      default: throw BrokenPromise(description: "a tag that is not the program's\(context)")
      }
    }
  }

  private mutating func value() throws {
    while let byte = next(), byte != UInt8(ascii: "\"") {
      try promise(byte != UInt8(ascii: "<") && byte != UInt8(ascii: ">"), "a bracket in an attribute\(context)")
    }
  }

  private mutating func skip(past end: String) throws {
    guard let range = bytes[place...].firstRange(of: end.utf8) else {
      throw BrokenPromise(description: "\(end) is missing")
    }
    place = range.upperBound
  }
}
