import Text

/// An edit written into its prompt: `a [cat -> tiger] on the grass` gives the source prompt, the target prompt and the
/// words to blend at once.
///
/// Any number of brackets; either side may be empty (`a [ -> red] cat`, `an [old -> ] car`). Brackets without an arrow
/// take emphasis from what they hold, as in the web UI. A backslash before `[`, `]` or `-` takes it as an ordinary
/// character. Runs of blanks become one. Emphasis and what else `WebUISyntax` reads is still in the prompts.
public struct InlineEdit: Sendable, Equatable {
  public var source: String
  public var target: String
  /// What the brackets exchange, whole words, without those that both sides begin or end with; nil if nothing of the
  /// source is exchanged (there is nothing to blend around).
  public var blendWords: BlendWords?

  /// - Returns: nil for a prompt without such brackets; `plain(_:)` gives its text.
  /// - Throws: `SettingsError` with the position, counted in characters from 1, of what is malformed.
  public static func parse(_ text: String) throws -> InlineEdit? {
    let symbols = emphasised(lex(text))
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
    for (before, after) in Side.exchanged(source, target) {
      let (kept, new) = withoutCommonEnds(WebUISyntax(before).text, WebUISyntax(after).text)
      if !kept.isEmpty { words.source.append(kept) }
      if !new.isEmpty { words.target.append(new) }
    }
    return InlineEdit(
      source: source.joined(), target: target.joined(), blendWords: words.source.isEmpty ? nil : words)
  }

  /// The text of a prompt that exchanges nothing: `\[`, `\]` and `\-` lose their backslash.
  public static func plain(_ text: String) -> String {
    var result = ""
    for symbol in emphasised(lex(text)) { result += symbol.text }
    return result
  }

  // MARK: - Reading

  private struct Symbol {
    enum Kind { case character, open, close, arrow }
    var kind: Kind
    var text: String
    var position: Int
  }

  private static func lex(_ text: String) -> [Symbol] {
    // Not characters: a mark on a bracket makes it no other.
    let characters = Array(text.unicodeScalars)
    var symbols: [Symbol] = []
    symbols.reserveCapacity(characters.count)
    var index = 0
    while index < characters.count {
      let position = index + 1
      let next = index + 1 < characters.count ? characters[index + 1] : nil
      switch characters[index] {
      case "\\" where next.map("[]-".unicodeScalars.contains) ?? false:
        symbols.append(Symbol(kind: .character, text: String(characters[index + 1]), position: position))
        index += 1
      case "\\" where next == "\\":
        // Of the one the other takes the meaning, for whoever reads on.
        symbols.append(Symbol(kind: .character, text: "\\\\", position: position))
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

  /// Brackets without an arrow as parentheses with the inverse of their factor; the others stay as they are.
  private static func emphasised(_ symbols: [Symbol]) -> [Symbol] {
    var symbols = symbols
    var open: [Int] = []
    var hasArrow: [Bool] = []
    for index in symbols.indices {
      switch symbols[index].kind {
      case .character: break
      case .open:
        open.append(index)
        hasArrow.append(false)
      case .arrow: if !open.isEmpty { hasArrow[hasArrow.count - 1] = true }
      case .close:
        guard let start = open.popLast(), let isExchange = hasArrow.popLast() else { break }
        if isExchange || !isEmphasis(symbols[(start + 1)..<index]) {
          // What is around it holds more than words.
          if !hasArrow.isEmpty { hasArrow[hasArrow.count - 1] = true }
        } else {
          (symbols[start].kind, symbols[start].text) = (.character, "(")
          (symbols[index].kind, symbols[index].text) = (.character, ":\(WebUISyntax.bracketFactor))")
        }
      }
    }
    return symbols
  }

  /// Whether the inside of brackets is words. The web UI's changes in the course of the steps, `[cat:dog:0.5]` and
  /// `[cat|dog]`, and mistyped arrows are not.
  private static func isEmphasis(_ inside: ArraySlice<Symbol>) -> Bool {
    inside.contains { !($0.text.first?.isWhitespace ?? true) }
      && !inside.contains { [":", "|", ">", "=", "→"].contains($0.text) }
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

    /// What stands in each pair of brackets on both sides, grown to whole words; empty for an empty bracket. Brackets
    /// within one word are one exchange.
    static func exchanged(_ first: Side, _ second: Side) -> [(String, String)] {
      let (ranges, others) = (first.wholeWords(), second.wholeWords())
      return ranges.indices.filter { $0 == 0 || (ranges[$0], others[$0]) != (ranges[$0 - 1], others[$0 - 1]) }.map {
        (collapsed(String(first.characters[ranges[$0]])), collapsed(String(second.characters[others[$0]])))
      }
    }

    private func wholeWords() -> [Range<Int>] {
      // For each place where the word begins and ends that it is in.
      var (starts, ends) = (Array(characters.indices), Array(characters.indices))
      for index in characters.indices.dropFirst()
      where characters[index].isWordCharacter && characters[index - 1].isWordCharacter {
        starts[index] = starts[index - 1]
      }
      for index in characters.indices.dropLast().reversed()
      where characters[index].isWordCharacter && characters[index + 1].isWordCharacter { ends[index] = ends[index + 1] }
      return brackets.map { range in
        guard !range.isEmpty else { return range }
        return starts[range.lowerBound]..<ends[range.upperBound - 1] + 1
      }
    }
  }
}

extension Character {
  /// Letters, digits, and the marks on them.
  fileprivate var isWordCharacter: Bool {
    isLetter || isNumber || unicodeScalars.allSatisfy { $0.properties.generalCategory == .nonspacingMark }
  }
}
