import Text

/// An edit written into its prompt: `a [cat -> tiger] on the grass` gives the source prompt, the target prompt and the
/// words to blend at once.
///
/// Any number of brackets; either side may be empty (`a [ -> red] cat`, `an [old -> ] car`). A backslash before `[`,
/// `]`, `\` or `-` takes it as an ordinary character. Runs of blanks become one.
public struct InlineEdit: Sendable, Equatable {
  public var source: String
  public var target: String
  /// What the brackets exchange, whole words, without those that both sides begin or end with; nil if nothing of the
  /// source is exchanged (there is nothing to blend around).
  public var blendWords: BlendWords?

  /// - Returns: nil for a prompt without brackets; `plain(_:)` gives its text.
  /// - Throws: `SettingsError` with the position, counted in characters from 1, of what is malformed.
  public static func parse(_ text: String) throws -> InlineEdit? {
    let symbols = try lex(text)
    guard symbols.contains(where: { $0.kind == .open || $0.kind == .close }) else { return nil }

    var source = Side()
    var target = Side()
    var index = 0
    while index < symbols.count {
      let symbol = symbols[index]
      switch symbol.kind {
      case .open:
        let (before, after, next) = try bracket(symbols, from: index)
        source.append(bracket: before, followedBy: next < symbols.count ? symbols[next] : nil)
        target.append(bracket: after, followedBy: next < symbols.count ? symbols[next] : nil)
        index = next
      case .close: throw malformed("] at \(symbol.position) closes no bracket")
      case .character, .arrow:
        source.append(symbol.text)
        target.append(symbol.text)
        index += 1
      }
    }

    var words = BlendWords(source: [], target: [])
    for (before, after) in zip(source.exchanged(), target.exchanged()) {
      let (kept, new) = withoutCommonEnds(before, after)
      if !kept.isEmpty { words.source.append(kept) }
      if !new.isEmpty { words.target.append(new) }
    }
    return InlineEdit(
      source: source.joined(), target: target.joined(), blendWords: words.source.isEmpty ? nil : words)
  }

  /// The text of a prompt without brackets: `\[` and `\]` lose their backslash.
  public static func plain(_ text: String) -> String {
    var result = ""
    var isEscaped = false
    for character in text {  // by character: as `lex`, a prompt is read as its writer sees it
      if isEscaped, character != "[", character != "]" { result.append("\\") }
      if character == "\\", !isEscaped {
        isEscaped = true
        continue
      }
      result.append(character)
      isEscaped = false
    }
    if isEscaped { result.append("\\") }
    return result
  }

  // MARK: - Reading

  private struct Symbol {
    enum Kind { case character, open, close, arrow }
    var kind: Kind
    var text: String
    var position: Int
  }

  private static func lex(_ text: String) throws -> [Symbol] {
    let characters = Array(text)
    var symbols: [Symbol] = []
    var index = 0
    while index < characters.count {
      let position = index + 1
      let next = index + 1 < characters.count ? characters[index + 1] : nil
      switch characters[index] {
      case "\\" where next.map { "[]\\-".contains($0) } ?? false:
        symbols.append(Symbol(kind: .character, text: String(characters[index + 1]), position: position))
        index += 1
      case "[": symbols.append(Symbol(kind: .open, text: "[", position: position))
      case "]": symbols.append(Symbol(kind: .close, text: "]", position: position))
      case "-" where next == ">":
        symbols.append(Symbol(kind: .arrow, text: "->", position: position))
        index += 1
      default: symbols.append(Symbol(kind: .character, text: String(characters[index]), position: position))
      }
      index += 1
    }
    return symbols
  }

  /// The two sides of the bracket that opens at `start`, trimmed, and the index after it.
  private static func bracket(_ symbols: [Symbol], from start: Int) throws -> (String, String, Int) {
    let opening = symbols[start].position
    var before = ""
    var after: String?
    for index in symbols.indices[(start + 1)...] {
      let symbol = symbols[index]
      switch symbol.kind {
      case .open: throw malformed("[ at \(symbol.position) opens inside the bracket at \(opening)")
      case .arrow where after != nil: throw malformed("the bracket at \(opening) has a second -> at \(symbol.position)")
      case .arrow: after = ""
      case .close:
        guard let after else { throw malformed("the bracket at \(opening) has no ->") }
        let sides = (collapsed(before), collapsed(after))
        guard sides != ("", "") else { throw malformed("the bracket at \(opening) is empty on both sides") }
        return (sides.0, sides.1, index + 1)
      case .character:
        if after == nil { before += symbol.text } else { after? += symbol.text }
      }
    }
    throw malformed("the bracket at \(opening) is not closed")
  }

  private static func malformed(_ reason: String) -> SettingsError {
    SettingsError("\(reason); write an edit like \"a [cat -> tiger] on the grass\" and \\[ for a plain [", in: "edit")
  }

  private static func collapsed(_ text: String) -> String {
    text.split { $0.isWhitespace }.joined(separator: " ")
  }

  private static func withoutCommonEnds(_ first: String, _ second: String) -> (String, String) {
    var a = first.words[...]
    var b = second.words[...]
    while let x = a.first, let y = b.first, x == y { (a, b) = (a.dropFirst(), b.dropFirst()) }
    while let x = a.last, let y = b.last, x == y { (a, b) = (a.dropLast(), b.dropLast()) }
    return (a.joined(separator: " "), b.joined(separator: " "))
  }

  /// One of the two prompts while it is put together.
  private struct Side {
    private var characters: [Character] = []
    private var brackets: [Range<Int>] = []

    mutating func append(_ text: String) { characters.append(contentsOf: text) }

    mutating func append(bracket text: String, followedBy next: Symbol?) {
      let touchesNext = next.map { $0.kind != .character || $0.text.first?.isWordCharacter ?? false } ?? false
      // Nothing stands between the blanks on both sides: one of them, or the one before a comma, goes.
      if text.isEmpty, !touchesNext, characters.last?.isWhitespace ?? false { characters.removeLast() }
      brackets.append(characters.count..<characters.count + text.count)
      characters.append(contentsOf: text)
    }

    func joined() -> String { collapsed(String(characters)) }

    /// What stands in each bracket, grown to whole words; empty for an empty bracket.
    func exchanged() -> [String] {
      brackets.map { range in
        guard !range.isEmpty else { return "" }
        var (lower, upper) = (range.lowerBound, range.upperBound)
        if characters[lower].isWordCharacter {
          while lower > 0, characters[lower - 1].isWordCharacter { lower -= 1 }
        }
        if characters[upper - 1].isWordCharacter {
          while upper < characters.count, characters[upper].isWordCharacter { upper += 1 }
        }
        return collapsed(String(characters[lower..<upper]))
      }
    }
  }
}

extension Character {
  fileprivate var isWordCharacter: Bool { isLetter || isNumber }
}
