import Text

/// CLIP's tokenizer: byte-level byte-pair encoding (Radford et al. 2021; Sennrich et al. 2016), from `vocab.json` and
/// `merges.txt` or from `tokenizer.json`. Gives the numbers of transformers' fast `CLIPTokenizer`, after the repairs of `PromptRepair`.
public struct CLIPTokenizer: Sendable {
  /// `<|startoftext|>`, before every prompt.
  public let beginToken: Int
  /// `<|endoftext|>`, behind every prompt.
  public let endToken: Int
  /// What fills a short prompt: the end token in SD 1.x, "!" in SD 2.x.
  public let padToken: Int
  /// Positions of the text encoder, 77.
  public let length: Int
  /// The largest token.
  public var largestToken: Int { pieces.keys.max() ?? 0 }
  /// Number of pieces in the vocabulary.
  public var vocabularySize: Int { pieces.count }

  private let unknownToken: Int
  private let pieces: [Int: String]
  /// Token of each byte within a word, and at the end of one; nil where a small vocabulary lacks it.
  private let byteTokens: [Int?], lastByteTokens: [Int?]
  private let merges: [TokenizerVocabulary.Pair: TokenizerVocabulary.Merge]
  /// Looked for in the text as it is, and in the normalised text.
  private let rawSpecials: [Special], normalizedSpecials: [Special]
  private let bytesOfCharacters: [Unicode.Scalar: UInt8]
  private let added: [AddedWords.Word]

  private struct Special {
    let scalars: [Unicode.Scalar]
    let tokens: [Int]
    /// Whether it is looked for between other words only: one of letters is no part of a longer word.
    var isWord = false

    func stands(in text: [Unicode.Scalar], at place: Int) -> Bool {
      guard text[place...].starts(with: scalars) else { return false }
      guard isWord, let first = scalars.first, let last = scalars.last else { return true }
      let end = place + scalars.count
      return !(place > 0 && Self.joins(text[place - 1], first)) && !(end < text.count && Self.joins(last, text[end]))
    }

    private static func joins(_ left: Unicode.Scalar, _ right: Unicode.Scalar) -> Bool {
      [left, right].allSatisfy { [.letter, .number].contains(Class($0)) }
    }
  }

  private enum Part {
    case tokens([Int])
    case text([Unicode.Scalar])
  }

  private static let wordEnd = TokenizerVocabulary.wordEnd

  // MARK: Encoding

  /// The tokens of a prompt from begin to end token, of any length, without padding.
  /// - Parameter repairing: whether `PromptRepair` goes first, as in the reference.
  public func encode(_ text: String, repairing: Bool = true) -> [Int] {
    let text = repairing ? PromptRepair.repair(text) : text
    var tokens = [beginToken]
    for part in Self.split(Array(text.unicodeScalars), at: rawSpecials) {
      switch part {
      case .tokens(let found): tokens += found
      case .text(let scalars):
        for part in Self.split(Self.normalized(scalars), at: normalizedSpecials) {
          switch part {
          case .tokens(let found): tokens += found
          case .text(let scalars): for word in Self.words(of: scalars) { tokens += encode(word: word) }
          }
        }
      }
    }
    return tokens + [endToken]
  }

  /// The prompt as the text encoder wants it: exactly `length` tokens, filled with the pad token or cut before a last
  /// end token. `lost` is the text that was cut off.
  public func padded(_ text: String) -> (ids: [Int], lost: String?) {
    let tokens = encode(text)
    guard tokens.count > length else {
      return (tokens + Array(repeating: padToken, count: length - tokens.count), nil)
    }
    let lost = Self.trimmed(tokens[(length - 1)...].dropLast().map(pieceText).joined())
    return (Array(tokens[..<(length - 1)]) + [endToken], lost)
  }

  /// The text of one token, as transformers' `decode([id])`: without the mark of a word's end, bytes that are no UTF-8
  /// replaced by U+FFFD. Positions of words are found by counting its Unicode scalars.
  public func decode(_ token: Int) -> String { Self.trimmed(pieceText(token)) }

  /// Text of a token, with a space where a word ends.
  private func pieceText(_ token: Int) -> String {
    if let word = added.first(where: { $0.tokens.contains(token) }) {
      // The last of a word's tokens ends it.
      return token == word.tokens.last ? word.text + " " : ""
    }
    guard let piece = pieces[token] else { return "" }
    guard ![beginToken, endToken, unknownToken].contains(token) else { return piece }
    let isLast = piece.ends(with: Self.wordEnd)
    let bytes = (isLast ? String(piece.dropLast(Self.wordEnd.count)) : piece).unicodeScalars.compactMap {
      bytesOfCharacters[$0]
    }
    return String(decoding: bytes, as: UTF8.self) + (isLast ? " " : "")
  }

  private static func trimmed(_ text: String) -> String {
    var scalars = Substring(text).unicodeScalars
    while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
    while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
    return String(Substring(scalars))
  }

  /// Cuts `text` at the special tokens in it: the leftmost first, of several at one place the longest.
  private static func split(_ text: [Unicode.Scalar], at specials: [Special]) -> [Part] {
    guard !specials.isEmpty else { return [.text(text)] }
    var parts: [Part] = []
    var start = 0, place = 0
    while place < text.count {
      let found = specials.filter { $0.stands(in: text, at: place) }.max {
        $0.scalars.count < $1.scalars.count
      }
      guard let found else {
        place += 1
        continue
      }
      if start < place { parts.append(.text(Array(text[start..<place]))) }
      parts.append(.tokens(found.tokens))
      place += found.scalars.count
      start = place
    }
    if start < text.count { parts.append(.text(Array(text[start...]))) }
    return parts
  }

  /// Canonical composition, runs of white space as one space, lower case of each scalar by itself.
  private static func normalized(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    for scalar in canonicalComposition(of: scalars) {
      if scalar.properties.isWhitespace {
        if result.last != " " { result.append(" ") }
      } else {
        result += scalar.properties.lowercaseMapping.unicodeScalars
      }
    }
    return result
  }

  /// The pieces that are encoded by themselves: contractions, runs of letters, single numbers, runs of anything else
  /// but space.
  private static func words(of text: [Unicode.Scalar]) -> [[UInt8]] {
    var words: [[UInt8]] = []
    var place = 0
    func take(_ count: Int) {
      words.append(text[place..<place + count].flatMap { Array(UTF8.encode($0) ?? UTF8.encodedReplacementCharacter) })
      place += count
    }
    while place < text.count {
      let rest = text[place...]
      if let special = specialTexts.first(where: { rest.starts(with: $0) }) {
        // The name of a special token that is not one here falls into its brackets and its name.
        take(2)
        take(special.count - 4)
        take(2)
      } else if let contraction = contractions.first(where: { rest.starts(with: $0) }) {
        take(contraction.count)
      } else {
        switch Class(rest[place]) {
        case .letter: take(rest.prefix { Class($0) == .letter }.count)
        case .number: take(1)
        case .space: place += 1
        case .other: take(rest.prefix { Class($0) == .other }.count)
        }
      }
    }
    return words
  }

  private static let specialTexts = ["<|startoftext|>", "<|endoftext|>"].map { Array($0.unicodeScalars) }
  private static let contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map { Array($0.unicodeScalars) }

  private enum Class {
    case letter, number, space, other

    init(_ scalar: Unicode.Scalar) {
      switch scalar.properties.generalCategory {
      case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: self = .letter
      case .decimalNumber, .letterNumber, .otherNumber: self = .number
      default: self = scalar.properties.isWhitespace ? .space : .other
      }
    }
  }

  /// Byte-pair encoding: of the pairs of neighbours the one that was learned first is joined, the leftmost of several,
  /// until none is left.
  private func encode(word: [UInt8]) -> [Int] {
    var tokens: [Int?] = word.map { byteTokens[Int($0)] ?? unknownToken }
    if let last = word.last { tokens[tokens.count - 1] = lastByteTokens[Int(last)] ?? unknownToken }
    // Joined tokens leave gaps: for each place the next one with a token, and the one before.
    var next = Array(1..<tokens.count + 1), previous = Array(-1..<tokens.count - 1)
    var queue = MergeQueue()
    func add(_ left: Int) {
      guard left >= 0, next[left] < tokens.count, let first = tokens[left], let second = tokens[next[left]],
        let merge = merges[TokenizerVocabulary.Pair(left: first, right: second)]
      else { return }
      queue.insert(MergeQueue.Candidate(rank: merge.rank, place: left, result: merge.result, pair: (first, second)))
    }
    for place in tokens.indices.dropLast() { add(place) }
    while let candidate = queue.removeFirst() {
      let left = candidate.place, right = next[left]
      // Another pair may have been joined there since.
      guard right < tokens.count, tokens[left] == candidate.pair.left, tokens[right] == candidate.pair.right else {
        continue
      }
      (tokens[left], tokens[right]) = (candidate.result, nil)
      next[left] = next[right]
      if next[left] < tokens.count { previous[next[left]] = left }
      add(previous[left])
      add(left)
    }
    return tokens.compactMap { $0 }
  }

  // MARK: Reading

  /// - Parameters:
  ///   - directory: the folder with the vocabulary (`TokenizerVocabulary`), and with what says which token pads:
  ///     `special_tokens_map.json` or else `tokenizer_config.json`.
  ///   - padToken: what pads, over what the folder says.
  /// - Throws: `ModelError` where a file is absent or they do not fit together.
  public init(directory: String, padToken: String? = nil) throws {
    try self.init(directory: directory, padToken: padToken, added: [])
  }

  /// - Parameter added: words beside the vocabulary, found without regard to case.
  init(directory: String, padToken pad: String?, added: [AddedWords.Word]) throws {
    self.added = added
    let files = try TokenizerVocabulary(folder: directory)
    let (vocabularyPath, vocabulary) = (files.path, files.tokens)
    var pieces: [Int: String] = [:]
    for (piece, token) in vocabulary {
      guard (0..<1_000_000).contains(token) else {
        throw ModelError(.badData, "\(vocabularyPath): \"\(piece.prefix(80))\" has the impossible number \(token)")
      }
      if let other = pieces.updateValue(piece, forKey: token) {
        throw ModelError(
          .badData,
          "\(vocabularyPath): \"\(piece.prefix(80))\" and \"\(other.prefix(80))\" have the same number \(token)")
      }
    }
    self.pieces = pieces

    let characters = Self.byteCharacters
    bytesOfCharacters = Dictionary(uniqueKeysWithValues: characters.enumerated().map { ($1, UInt8($0)) })
    byteTokens = characters.map { vocabulary[String($0)] }
    lastByteTokens = characters.map { vocabulary[String($0) + Self.wordEnd] }
    guard byteTokens.contains(where: { $0 != nil }), lastByteTokens.contains(where: { $0 != nil }) else {
      throw ModelError(.badData, "\(vocabularyPath) is not a vocabulary of CLIP: it has no single bytes")
    }
    merges = try files.merges()

    let map = try SpecialTokens(directory: directory, padToken: pad, added: files.added)
    func token(_ role: SpecialTokens.Role) throws -> Int {
      let text = map.text(role)
      guard let token = vocabulary[text] else {
        throw ModelError(
          .badData, "\(vocabularyPath) lacks \"\(text.prefix(80))\", the \(role.rawValue) of this tokenizer")
      }
      return token
    }
    beginToken = try token(.begin)
    endToken = try token(.end)
    unknownToken = try token(.unknown)
    padToken = try token(.pad)
    length = map.length

    var raw: [Special] = [], normalized: [Special] = []
    for role in SpecialTokens.Role.allCases {
      let scalars = Array(map.text(role).unicodeScalars), number = try token(role)
      if map.isNormalized(map.text(role)) {
        normalized.append(Special(scalars: Self.normalized(scalars), tokens: [number]))
      } else {
        raw.append(Special(scalars: scalars, tokens: [number]))
      }
    }
    for word in files.added where !SpecialTokens.Role.allCases.contains(where: { map.text($0) == word.text }) {
      let scalars = Array(word.text.unicodeScalars)
      if word.isNormalized ?? true {
        normalized.append(Special(scalars: Self.normalized(scalars), tokens: [word.token]))
      } else {
        raw.append(Special(scalars: scalars, tokens: [word.token]))
      }
    }
    for word in added {
      normalized.append(
        Special(scalars: Self.normalized(Array(word.text.unicodeScalars)), tokens: Array(word.tokens), isWord: true))
    }
    rawSpecials = raw
    normalizedSpecials = normalized
  }

  /// The printable character that stands for each byte in the vocabulary, as in GPT-2: itself where it is printable,
  /// else one from U+0100 on.
  private static let byteCharacters: [Unicode.Scalar] = {
    var next: UInt32 = 0x100
    return (0...255 as ClosedRange<UInt8>).map { byte in
      switch byte {
      case 0x21...0x7e, 0xa1...0xac, 0xae...0xff: return Unicode.Scalar(byte)
      default:
        defer { next += 1 }
        return Unicode.Scalar(next) ?? "?"
      }
    }
  }()
}

/// Which texts are special tokens, from `special_tokens_map.json`, else `tokenizer_config.json`, else CLIP's.
private struct SpecialTokens {
  enum Role: String, CaseIterable {
    case begin = "bos_token", end = "eos_token", unknown = "unk_token", pad = "pad_token"
  }

  /// Positions of the text encoder.
  let length: Int
  private var texts: [Role: String] = [:]
  /// Tokens that are looked for in the text as it is, since one of their roles is a plain string.
  private var plain: Set<String> = []
  /// What the vocabulary says of that, which goes before.
  private var normalized: [String: Bool] = [:]

  /// - Parameter added: what the vocabulary says of special tokens.
  init(directory: String, padToken: String?, added: [TokenizerVocabulary.Added]) throws {
    let configPath = directory + "/tokenizer_config.json", mapPath = directory + "/special_tokens_map.json"
    let config = fileExists(configPath) ? try JSONObject(path: configPath) : JSONObject(path: configPath, values: [:])
    let map = fileExists(mapPath) ? try JSONObject(path: mapPath) : JSONObject(path: mapPath, values: [:])
    // Tokenizers without a limit of their own say 1e30.
    if case .number? = config.values["model_max_length"] {
      length = 77
    } else {
      length = try config.integer("model_max_length", default: 77, in: 2...4096)
    }
    for role in Role.allCases {
      let source = map.has(role.rawValue) ? map : config
      switch source.values[role.rawValue] {
      case .string(let text)?:
        texts[role] = text
        plain.insert(text)
      case .object(let token)?:
        guard case .string(let text)? = token["content"] else {
          throw ModelError(.badData, "\(source.path): \(role.rawValue) has no content")
        }
        texts[role] = text
        if token["normalized"] != .bool(true) { plain.insert(text) }
      default:
        plain.insert(text(role))
      }
      if role == .pad, let padToken { texts[role] = padToken }
      if let isNormalized = added.first(where: { $0.text == text(role) })?.isNormalized {
        normalized[text(role)] = isNormalized
      }
      guard !text(role).isEmpty else { throw ModelError(.badData, "\(source.path): \(role.rawValue) is empty") }
    }
  }

  func text(_ role: Role) -> String { texts[role] ?? (role == .begin ? "<|startoftext|>" : "<|endoftext|>") }
  func isNormalized(_ text: String) -> Bool { normalized[text] ?? !plain.contains(text) }
}
