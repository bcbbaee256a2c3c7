import Text

/// What turns a prompt into token ids and one id back into text. CLIP's tokenizer is one.
public protocol PromptTokenizer {
  /// The ids of `text` from the begin-of-text token to the end-of-text token, neither cut nor padded.
  func encode(_ text: String) -> [Int]
  /// The text of one token, without the mark of a word's end.
  func decode(_ id: Int) -> String
}

/// How a word of a setting is looked up in a prompt.
public enum WordMatching: String, Sendable, CaseIterable {
  /// The exact word if it occurs; otherwise without regard to case and punctuation. A phrase of several words is found.
  case relaxed
  /// As the reference does: the whole piece between two spaces, case included; a phrase is never found.
  case exact
}

/// The words of a prompt and the tokens they became.
public struct PromptWords: Sendable, Equatable {
  /// Tokens of a text encoder's input, the begin and end marks included.
  public static let contextLength = 77

  public let prompt: String
  public let matching: WordMatching
  /// The pieces of the prompt between blanks.
  public let words: [String]
  /// All token ids, begin and end marks included, not cut to `contextLength`.
  public let tokens: [Int]
  /// For each word the positions of its tokens; 0 is the begin-of-text token. May pass `contextLength`.
  public let positions: [[Int]]
  /// The words in lower case, without punctuation at their ends.
  private let bareWords: [String]

  /// - Parameter matching: `.exact` follows the reference in everything, also where blanks come in pairs (its count of
  ///   characters then shifts the words after them).
  public init(_ prompt: String, tokenizer: some PromptTokenizer, matching: WordMatching = .relaxed) {
    self.prompt = prompt
    self.matching = matching
    tokens = tokenizer.encode(prompt)
    switch matching {
    case .exact:
      words = prompt.pieces(at: " ", keepingEmpty: true).map(String.init)
      positions = Self.countingCharacters(words: words, tokens: tokens, tokenizer: tokenizer)
    case .relaxed:
      words = prompt.split { $0.isWhitespace }.map(String.init)
      // A token never spans a blank, so the tokens of the pieces, side by side, are those of the prompt.
      let counts = words.map { max(tokenizer.encode($0).count - 2, 0) }
      if counts.reduce(0, +) == tokens.count - 2 {
        var next = 1
        positions = counts.map { count in
          defer { next += count }
          return Array(next..<next + count)
        }
      } else {
        positions = Self.countingCharacters(words: words, tokens: tokens, tokenizer: tokenizer)
      }
    }
    bareWords = words.map(Self.bare)
  }

  /// The reference's way: a word ends when the decoded tokens have as many characters as it has.
  private static func countingCharacters(
    words: [String], tokens: [Int], tokenizer: some PromptTokenizer
  ) -> [[Int]] {
    var positions = [[Int]](repeating: [], count: words.count)
    var word = 0
    var length = 0
    for (index, token) in tokens.enumerated().dropFirst().dropLast() where word < words.count {
      var text = Substring(tokenizer.decode(token))
      while text.begins(with: "#") { text.unicodeScalars.removeFirst() }
      while text.ends(with: "#") { text.unicodeScalars.removeLast() }
      length += text.unicodeScalars.count
      positions[word].append(index)
      if length >= words[word].unicodeScalars.count {
        word += 1
        length = 0
      }
    }
    return positions
  }

  /// Token positions of every occurrence of `word`, ascending; empty if it does not occur. Positions of
  /// `contextLength - 1` and more belong to words that the text encoder never sees.
  public func positions(of word: String) -> [Int] {
    let exact = words.indices.filter { words[$0] == word }
    if !exact.isEmpty || matching == .exact { return exact.flatMap { positions[$0] } }
    let phrase = word.split { $0.isWhitespace }.map { Self.bare(String($0)) }.filter { !$0.isEmpty }
    guard !phrase.isEmpty, phrase.count <= words.count else { return [] }
    var found: Set<Int> = []
    for start in 0...(words.count - phrase.count)
    where Array(bareWords[start..<start + phrase.count]) == phrase {
      for index in start..<start + phrase.count { found.formUnion(positions[index]) }
    }
    return found.sorted()
  }

  /// `word` in lower case, without punctuation at its ends.
  private static func bare(_ word: String) -> String {
    // by character: a mark and what combines with it go together
    let isMark: (Character) -> Bool = { $0.isPunctuation || $0.isSymbol }
    let body = word.drop(while: isMark)
    guard let last = body.lastIndex(where: { !isMark($0) }) else { return "" }
    return body[...last].lowercased()
  }

  /// Positions of `word` that the text encoder sees.
  /// - Throws: `SettingsError` listing the prompt's words if it does not occur, under `.relaxed` only. Under `.exact` a
  ///   missing word has no positions; `missing(_:)` tells, for a warning.
  public func visiblePositions(of word: String, for name: String) throws -> [Int] {
    let all = positions(of: word)
    if all.isEmpty, matching == .relaxed {
      let listed = words.map { "\"\($0)\"" }.joined(separator: ", ")
      throw SettingsError("\"\(word)\" does not occur in the prompt \"\(prompt)\"; its words are \(listed)", in: name)
    }
    return all.filter { $0 < Self.contextLength - 1 }
  }

  /// 1 at the tokens of `wanted`, 0 elsewhere: `contextLength` values.
  public func mask(of wanted: [String], for name: String) throws -> [Float] {
    var mask = [Float](repeating: 0, count: Self.contextLength)
    for word in wanted {
      for position in try visiblePositions(of: word, for: name) { mask[position] = 1 }
    }
    return mask
  }

  /// The factor of every token's attention, 1 where none is named ("equalizer"): `contextLength` values.
  public func weights(_ named: [WordWeight], for name: String = "word-weights") throws -> [Float] {
    var weights = [Float](repeating: 1, count: Self.contextLength)
    for entry in named {
      for position in try visiblePositions(of: entry.word, for: name) { weights[position] = entry.weight }
    }
    return weights
  }

  /// Those of `wanted` that do not occur.
  public func missing(_ wanted: [String]) -> [String] { wanted.filter { positions(of: $0).isEmpty } }

  /// Words that lie, wholly or in part, beyond the text encoder's context.
  public var cutWords: [String] {
    zip(words, positions).filter { $0.1.contains { $0 >= Self.contextLength - 1 } }.map(\.0)
  }

  /// The tokens that the text encoder sees, the end mark kept.
  public var visibleTokens: [Int] {
    guard tokens.count > Self.contextLength, let end = tokens.last else { return tokens }
    return Array(tokens[..<(Self.contextLength - 1)]) + [end]
  }
}
