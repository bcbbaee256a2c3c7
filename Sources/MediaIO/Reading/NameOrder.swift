/// The order in which people number files: `2.png` before `10.png`, whatever the letters' case and the zeros in front.
enum NameOrder {
  /// Names that differ at all are never equal here, so that the order of a folder is always the same.
  static func precedes(_ left: String, _ right: String) -> Bool {
    let (a, b) = (split(left), split(right))
    // Without the endings: "frame.png" comes before "frame-2.png".
    for (a, b) in [(a.stem, b.stem), (a.ending, b.ending)] {
      let order = compare(a, b)
      if order != 0 { return order < 0 }
    }
    // The same but for zeros and capitals.
    return left.utf8.lexicographicallyPrecedes(right.utf8)
  }

  private static func split(_ name: String) -> (stem: Substring.UTF8View, ending: Substring.UTF8View) {
    let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) ?? name.utf8.endIndex
    return (name[..<dot].utf8, name[dot...].utf8)
  }

  /// By bytes, since no locale may change the order of frames; runs of digits by their value, however long.
  /// - Returns: Below, at or above 0, as `left` comes before, with or behind `right`.
  private static func compare(_ left: Substring.UTF8View, _ right: Substring.UTF8View) -> Int {
    var (a, b) = (left, right)
    while let x = a.first, let y = b.first {
      if isDigit(x) && isDigit(y) {
        let (m, n) = (takeNumber(from: &a), takeNumber(from: &b))
        if m.count != n.count { return m.count - n.count }
        for (x, y) in zip(m, n) where x != y { return Int(x) - Int(y) }
      } else {
        let (x, y) = (lowercase(x), lowercase(y))
        if x != y { return Int(x) - Int(y) }
        a.removeFirst()
        b.removeFirst()
      }
    }
    return a.count - b.count
  }

  /// The digits at the beginning without the zeros in front.
  private static func takeNumber(from text: inout Substring.UTF8View) -> Substring.UTF8View {
    let digits = text.prefix(while: isDigit)
    text.removeFirst(digits.count)
    return digits.drop { $0 == UInt8(ascii: "0") }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }

  private static func lowercase(_ byte: UInt8) -> UInt8 {
    UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte + 32 : byte
  }
}
