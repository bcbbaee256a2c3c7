import Text

/// The one notation of every setting: command-line option, GStreamer property, frei0r parameter, C field, settings
/// file.
///
/// A list is one string with commas; a word and its value are joined by `=`. A backslash takes the next character as it
/// is, so `driving\,=0.4` speaks of the word `driving,`.
enum Grammar {
  /// One entry of a list: `word=value`, or `value` alone (then `word` is nil).
  struct Entry: Equatable {
    var word: String?
    var value: String
  }

  /// The entries of a list; blanks around words and values are dropped, and so are empty entries.
  static func entries(_ text: String, in name: String) throws -> [Entry] {
    var entries: [Entry] = []
    var word: String?
    var value = "".unicodeScalars
    var isEscaped = false
    func finish() {
      let entry = Entry(word: word.map(trim), value: trim(String(value)))
      if entry.word != nil || !entry.value.isEmpty { entries.append(entry) }
      (word, value) = (nil, "".unicodeScalars)
    }
    for scalar in text.unicodeScalars {
      if isEscaped {
        value.append(scalar)
        isEscaped = false
        continue
      }
      switch scalar {
      case "\\": isEscaped = true
      case ",": finish()
      case "=" where word == nil: (word, value) = (String(value), "".unicodeScalars)
      case "=": throw SettingsError("\"\(text)\" has two = in one entry; a comma separates entries", in: name)
      default: value.append(scalar)
      }
    }
    guard !isEscaped else { throw SettingsError("\"\(text)\" ends in a backslash", in: name) }
    finish()
    return entries
  }

  /// `text` such that `entries` reads it back as one word or value.
  static func escaped(_ text: String) -> String {
    var result = "".unicodeScalars
    for scalar in text.unicodeScalars {
      if scalar == "\\" || scalar == "," || scalar == "=" { result.append("\\") }
      result.append(scalar)
    }
    return String(result)
  }

  static func number(_ text: String, in range: ClosedRange<Double>, name: String) throws -> Double {
    guard let value = Double(text), value.isFinite else {
      throw SettingsError("\"\(text)\" is not a number; \(bounds(range))", in: name)
    }
    guard range.contains(value) else { throw SettingsError("\(text) is out of range; \(bounds(range))", in: name) }
    return value
  }

  static func integer(_ text: String, in range: ClosedRange<Int>, name: String) throws -> Int {
    guard let value = Int(text) else {
      throw SettingsError(
        "\"\(text)\" is not a whole number; it is \(range.lowerBound) to \(range.upperBound)", in: name)
    }
    guard range.contains(value) else {
      throw SettingsError("\(text) is out of range; it is \(range.lowerBound) to \(range.upperBound)", in: name)
    }
    return value
  }

  static func flag(_ text: String, name: String) throws -> Bool {
    switch text.lowercased() {
    case "true", "yes", "on", "1": return true
    case "false", "no", "off", "0": return false
    default: throw SettingsError("\"\(text)\" is neither true nor false", in: name)
    }
  }

  static func choice<Choice: RawRepresentable & CaseIterable>(
    _ text: String, as type: Choice.Type, name: String
  ) throws -> Choice where Choice.RawValue == String {
    guard let value = Choice(rawValue: text) else {
      throw SettingsError("\"\(text)\" is none of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))", in: name)
    }
    return value
  }

  /// Bytes, with an optional K, M or G (1024, 1024^2, 1024^3).
  static func byteCount(_ text: String, name: String) throws -> Int {
    var digits = Substring(text)
    var unit = 1
    if let last = digits.last, let found = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30][last.uppercased()] {
      unit = found
      digits = digits.dropLast()
    }
    guard let value = Double(digits), value.isFinite, value >= 0, value * Double(unit) < 0x1p62 else {
      throw SettingsError("\"\(text)\" is not a number of bytes; write it like 8G or 512M", in: name)
    }
    return Int(value * Double(unit))
  }

  static func byteCountText(_ count: Int) -> String {
    for (unit, letter) in [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")] where count > 0 && count % unit == 0 {
      return "\(count / unit)\(letter)"
    }
    return "\(count)"
  }

  static func trim(_ text: String) -> String {
    let body = text.unicodeScalars.drop { $0.isWhitespace }
    guard let last = body.lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return String(body[...last])
  }

  private static func bounds(_ range: ClosedRange<Double>) -> String {
    range.upperBound == .greatestFiniteMagnitude
      ? "it is \(range.lowerBound) or more" : "it is \(range.lowerBound) to \(range.upperBound)"
  }
}

extension Settings {
  /// Bytes in the notation of the settings: `8G`, `512M`.
  /// - Parameter name: How the error calls the value.
  /// - Throws: `SettingsError`.
  public static func byteCount(_ text: String, name: String) throws -> Int {
    try Grammar.byteCount(text, name: name)
  }
}
