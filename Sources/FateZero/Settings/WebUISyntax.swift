import Text

/// What people write into prompts for AUTOMATIC1111's web UI and its relatives: `(word:1.3)`, `((word))`, `[word]`,
/// `<lora:NAME:0.8>`, `BREAK`, `AND`. The text without it, what of it has a meaning here, and what to say of it.
///
/// A backslash before `(`, `)`, `<` or `\` takes it as an ordinary character. Parentheses that do not close are ordinary
/// ones. `InlineEdit` has dealt with square brackets before.
struct WebUISyntax: Sendable, Equatable {
  /// `<lora:NAME:WEIGHT>`
  struct LoRATag: Sendable, Equatable {
    /// A file's name without its ending.
    var name: String
    var weight: Float

    var description: String { "<lora:\(name):\(weight)>" }
  }

  /// What the text encoder is to read.
  private(set) var text = ""
  /// Words of the text, or phrases, with the factors that parentheses and brackets give them.
  private(set) var emphasis: [WordWeight] = []
  private(set) var loras: [LoRATag] = []
  /// What is left out, as parts of sentences, each once.
  private(set) var leftOut: [String] = []

  /// Whether the text is all there was.
  var isPlain: Bool { emphasis.isEmpty && loras.isEmpty && leftOut.isEmpty }

  /// Of one pair of parentheses without a number; a pair of brackets is its inverse.
  static let factor = 1.1
  static let bracketFactor = "0.9090909"
  private static let factors = -1000.0...1000.0

  init() {}

  init(_ typed: String) {
    let scalars = Array(typed.unicodeScalars)
    let groups = Self.groups(in: scalars)
    // The text, each scalar's factor beside it.
    var kept: [Unicode.Scalar] = []
    var weights: [Double] = []
    var products = [1.0]
    func keep(_ scalar: Unicode.Scalar) {
      kept.append(scalar)
      weights.append(products[products.count - 1])
    }
    var place = 0
    var endsInTag = false
    while place < scalars.count {
      let scalar = scalars[place]
      if scalar == "\\", place + 1 < scalars.count, "()<\\".unicodeScalars.contains(scalars[place + 1]) {
        keep(scalars[place + 1])
        place += 2
      } else if let factor = groups.opening[place] {
        products.append(products[products.count - 1] * factor)
        place += 1
      } else if let next = groups.closing[place] {
        products.removeLast()
        place = next
      } else if scalar == "<", let tag = Self.tag(in: scalars, at: place) {
        read(tag.text)
        place = tag.end
        // Of the blanks around it one stays, at the end of the text none.
        if kept.last?.properties.isWhitespace ?? true, place < scalars.count, scalars[place].properties.isWhitespace {
          place += 1
        }
        endsInTag = place == scalars.count
      } else {
        keep(scalar)
        place += 1
      }
    }
    while endsInTag, kept.last?.properties.isWhitespace ?? false {
      kept.removeLast()
      weights.removeLast()
    }
    finish(kept, weights)
  }

  /// Sets the text, and finds the words in it.
  private mutating func finish(_ scalars: [Unicode.Scalar], _ weights: [Double]) {
    let isShouted = !scalars.contains(where: \.properties.isLowercase)
    var view = String.UnicodeScalarView()
    var phrase: [String] = []
    var phraseWeight = 1.0
    func endPhrase() {
      if !phrase.isEmpty {
        emphasis.append(WordWeight(word: phrase.joined(separator: " "), weight: Float(phraseWeight)))
      }
      phrase = []
    }
    var place = 0
    while place < scalars.count {
      if scalars[place].properties.isWhitespace {
        view.append(scalars[place])
        place += 1
        continue
      }
      let start = place
      while place < scalars.count, !scalars[place].properties.isWhitespace { place += 1 }
      var word = String.UnicodeScalarView()
      word.append(contentsOf: scalars[start..<place])
      let text = String(word)
      if text == "BREAK", !isShouted {
        note("BREAK, since there are no chunks of prompts")
        if place < scalars.count { place += 1 } else { Self.trimEnd(of: &view) }
        continue
      }
      if text == "AND", !isShouted { note("the meaning of AND, which is read as a word") }
      view.append(contentsOf: word)
      let weight = min(max((start..<place).map { weights[$0] }.first { $0 != 1 } ?? 1, -1000), 1000)
      if weight != phraseWeight { endPhrase() }
      phraseWeight = weight
      guard weight != 1 else { continue }
      // Marks alone are no words.
      if text.contains(where: { $0.isLetter || $0.isNumber }) { phrase.append(text) } else { endPhrase() }
    }
    endPhrase()
    text = String(view)
  }

  private static func trimEnd(of view: inout String.UnicodeScalarView) {
    while view.last?.properties.isWhitespace ?? false { view.removeLast() }
  }

  private mutating func note(_ part: String) {
    if !leftOut.contains(part) { leftOut.append(part) }
  }

  // MARK: Parentheses

  /// Which parentheses are emphasis: at each opening one its factor, at each closing one, or at the colon before the
  /// number in front of it, where the text goes on.
  private static func groups(in scalars: [Unicode.Scalar]) -> (opening: [Int: Double], closing: [Int: Int]) {
    var opening: [Int: Double] = [:], closing: [Int: Int] = [:]
    // The places of parentheses that are open, and whether there is text behind them.
    var open: [(place: Int, isEmpty: Bool)] = []
    var place = 0
    while place < scalars.count {
      switch scalars[place] {
      case "\\": place += 1
      case "<":
        // Parentheses in a file's name are part of it.
        if let tag = tag(in: scalars, at: place) { place = tag.end - 1 }
        if !open.isEmpty { open[open.count - 1].isEmpty = false }
      case "(": open.append((place, true))
      case ")":
        guard let group = open.popLast() else { break }
        if group.isEmpty { break }
        if !open.isEmpty { open[open.count - 1].isEmpty = false }
        if let number = number(in: scalars, endingAt: place, after: group.place) {
          (opening[group.place], closing[number.colon]) = (number.value, place + 1)
        } else {
          (opening[group.place], closing[place]) = (factor, place + 1)
        }
      case let scalar where !scalar.properties.isWhitespace && !open.isEmpty: open[open.count - 1].isEmpty = false
      default: break
      }
      place += 1
    }
    return (opening, closing)
  }

  /// The number behind the last colon of a group that ends at `end`.
  private static func number(
    in scalars: [Unicode.Scalar], endingAt end: Int, after start: Int
  ) -> (colon: Int, value: Double)? {
    var place = end - 1
    // Longer numbers are none that anybody writes.
    while place > start, end - place < 24, "0123456789.+- ".unicodeScalars.contains(scalars[place]) { place -= 1 }
    guard place > start + 1, scalars[place] == ":", scalars[place - 1] != "\\" else { return nil }
    var digits = String.UnicodeScalarView()
    digits.append(contentsOf: scalars[(place + 1)..<end].filter { $0 != " " })
    guard let value = Double(String(digits)), factors.contains(value) else { return nil }
    return (place, value)
  }

  // MARK: Tags

  /// What stands between `<` and `>` at `place`, where it is a tag of the web UI's, and the place behind it.
  private static func tag(in scalars: [Unicode.Scalar], at place: Int) -> (text: String, end: Int)? {
    guard let end = scalars[place...].prefix(400).firstIndex(of: ">") else { return nil }
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars[(place + 1)..<end])
    let text = String(view)
    let kind = text.prefix { $0 != ":" }.lowercased()
    return ["lora", "lyco", "hypernet"].contains(kind) && text.holds(":") ? (text, end + 1) : nil
  }

  private mutating func read(_ tag: String) {
    let parts = tag.pieces(at: ":", keepingEmpty: true).map { Grammar.trim(String($0)) }
    guard parts[0].lowercased() != "hypernet", !parts[1].isEmpty else {
      note("<\(tag)>")
      return
    }
    // Weights for the text encoder and the UNet, of which there is one here, may have names.
    let weights = parts.dropFirst(2).compactMap { part in Double(part.pieces(at: "=").last ?? "") }
    guard let weight = parts.count > 2 ? weights.first : 1, (-100...100).contains(weight) else {
      note("<\(tag)>, which has no weight of -100 to 100")
      return
    }
    loras.append(LoRATag(name: parts[1], weight: Float(weight)))
  }

  // MARK: Writing

  /// `text` such that `InlineEdit` and this read it back as it is.
  static func escaped(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result = String.UnicodeScalarView()
    for (place, scalar) in scalars.enumerated() {
      if "\\()[]".unicodeScalars.contains(scalar) || scalar == "<" && tag(in: scalars, at: place) != nil {
        result.append("\\")
      }
      result.append(scalar)
    }
    return String(result)
  }
}
