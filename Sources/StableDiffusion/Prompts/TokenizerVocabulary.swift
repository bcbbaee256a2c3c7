import Text

/// The pieces of a byte-pair encoding, and which of them are joined: from `vocab.json` and `merges.txt`, or else from the one
/// file that transformers saves since version 5, `tokenizer.json`.
struct TokenizerVocabulary {
  struct Pair: Hashable {
    let left: Int, right: Int
  }

  struct Merge {
    let rank: Int, result: Int
  }

  /// A piece that is looked for in the text as a whole.
  struct Added {
    let text: String
    let token: Int
    /// Whether it is looked for in the normalised text, rather than in the text as it is; nil where nothing says so.
    let isNormalized: Bool?
  }

  /// For messages.
  let path: String
  let tokens: [String: Int]
  let added: [Added]
  /// In the order in which they were learned, each with its number in the file.
  private let pairs: [(number: Int, sides: [String])]
  /// What the number counts, for messages.
  private let pairPlace: String

  static let wordEnd = "</w>"
  private static let byteLimit = 16 << 20

  /// The files that are read of a folder; those that must be there, where there is no vocabulary.
  static func files(in folder: String) -> [String] {
    let whole = "\(folder)/tokenizer.json"
    if !fileExists("\(folder)/vocab.json"), fileExists(whole) { return [whole] }
    let words = "\(folder)/added_tokens.json"
    return ["\(folder)/vocab.json", "\(folder)/merges.txt"] + (fileExists(words) ? [words] : [])
  }

  /// Whether there is a vocabulary in a folder.
  static func isIn(_ folder: String) -> Bool {
    fileExists("\(folder)/vocab.json") || fileExists("\(folder)/tokenizer.json")
  }

  /// - Throws: `ModelError` where a file is absent or they do not fit together.
  init(folder: String) throws {
    let files = Self.files(in: folder)
    path = files[0]
    var tokens: [String: Int]
    if files.count == 1 {
      let file = try JSONObject.decode(WholeFile.self, path: path, limit: Self.byteLimit)
      guard file.model.type ?? "BPE" == "BPE", file.model.suffix == Self.wordEnd else {
        throw ModelError(
          .unsupported,
          "\(path) is no tokenizer of CLIP: it is not a byte-pair encoding whose words end in \(Self.wordEnd)")
      }
      tokens = file.model.vocabulary
      added = file.added.map { Added(text: $0.content, token: $0.id, isNormalized: $0.normalized) }
      pairs = file.model.merges.enumerated().map { ($0 + 1, $1.sides) }
      pairPlace = "\(path), merge"
    } else {
      tokens = try JSONObject.decode([String: Int].self, path: path, limit: Self.byteLimit)
      added = try files.dropFirst(2).flatMap {
        try JSONObject.decode([String: Int].self, path: $0, limit: Self.byteLimit)
          .map { Added(text: $0.key, token: $0.value, isNormalized: nil) }
      }
      pairs = try Self.lines(files[1])
      pairPlace = "\(files[1]), line"
    }
    for word in added {
      guard !word.text.isEmpty else { throw ModelError(.badData, "\(path): an added token is empty") }
      guard tokens.updateValue(word.token, forKey: word.text) ?? word.token == word.token else {
        throw ModelError(.badData, "\(path): \"\(word.text.prefix(80))\" has two numbers")
      }
    }
    self.tokens = tokens
  }

  /// The pieces that are joined, by their numbers.
  /// - Throws: `ModelError` where the vocabulary lacks one.
  func merges() throws -> [Pair: Merge] {
    let name = path.pieces(at: "/").last ?? ""
    var merges: [Pair: Merge] = [:]
    for (rank, (number, sides)) in pairs.enumerated() {
      func text() -> Substring { sides.joined(separator: " ").prefix(80) }
      guard sides.count == 2 else {
        throw ModelError(.badData, "\(pairPlace) \(number): \"\(text())\" is not a pair of pieces")
      }
      guard let left = tokens[sides[0]], let right = tokens[sides[1]],
        let result = tokens[sides[0] + sides[1]]
      else {
        throw ModelError(
          .badData,
          "\(pairPlace) \(number): \(name) lacks \"\(text())\" or what it makes; are the two from one tokenizer?")
      }
      let pair = Pair(left: left, right: right)
      if merges[pair] == nil { merges[pair] = Merge(rank: rank, result: result) }
    }
    return merges
  }

  // MARK: Files

  /// `tokenizer.json`, as the library tokenizers writes it.
  private struct WholeFile: Decodable {
    struct Model: Decodable {
      let type: String?
      let vocabulary: [String: Int]
      let merges: [Sides]
      let suffix: String?

      enum CodingKeys: String, CodingKey {
        case type, merges
        case vocabulary = "vocab"
        case suffix = "end_of_word_suffix"
      }
    }

    /// A list of two pieces, or before tokenizers 0.20 one text with a space between them.
    struct Sides: Decodable {
      let sides: [String]

      init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
          sides = text.pieces(at: " ", keepingEmpty: true).map(String.init)
        } else {
          sides = try container.decode([String].self)
        }
      }
    }

    struct AddedToken: Decodable {
      let id: Int
      let content: String
      let normalized: Bool?
    }

    let model: Model
    let added: [AddedToken]

    enum CodingKeys: String, CodingKey {
      case model
      case added = "added_tokens"
    }

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      model = try container.decode(Model.self, forKey: .model)
      added = try container.decodeIfPresent([AddedToken].self, forKey: .added) ?? []
    }
  }

  /// The pairs of `merges.txt`.
  private static func lines(_ path: String) throws -> [(number: Int, sides: [String])] {
    let lines = try fileBytes(path, limit: byteLimit).split(separator: UInt8(ascii: "\n"))
    return lines.enumerated().compactMap { index, bytes in
      let line = bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes
      if line.starts(with: "#version".utf8) { return nil }
      let sides = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
      return (index + 1, sides.map { String(decoding: $0, as: UTF8.self) })
    }
  }
}
