import Foundation
import TestSupport
import Testing

@testable import StableDiffusion

/// Vocabularies as transformers 5 saves them, in one file.
struct TokenizerVocabularyTests {
  /// A folder with `tokenizer.json` of the same pieces and merges, written as the library tokenizers does.
  private static func withWholeFile<Result>(
    of folder: URL, mergesAsTexts: Bool = false, normalized: Bool = false, added: [[String: Any]] = [],
    changing model: [String: Any] = [:], _ body: (String) throws -> Result
  ) throws -> Result {
    let vocabulary =
      try JSONSerialization.jsonObject(with: Data(contentsOf: folder.appendingPathComponent("vocab.json")))
      as? [String: Int] ?? [:]
    let merges = try String(contentsOf: folder.appendingPathComponent("merges.txt"), encoding: .utf8)
      .split(separator: "\n").filter { !$0.hasPrefix("#version") }.map { $0.split(separator: " ").map(String.init) }
    let specials = ["<|startoftext|>", "<|endoftext|>"].map { text -> [String: Any] in
      ["id": vocabulary[text] ?? 0, "content": text, "normalized": normalized, "special": true]
    }
    let whole: [String: Any] = [
      "version": "1.0", "added_tokens": specials + added,
      "model": [
        "type": "BPE", "end_of_word_suffix": "</w>", "vocab": vocabulary,
        "merges": mergesAsTexts ? merges.map { $0.joined(separator: " ") } : merges,
      ].merging(model) { $1 },
    ]
    return try Fixtures.withTemporaryFolder { place in
      try JSONSerialization.data(withJSONObject: whole).write(to: place.appendingPathComponent("tokenizer.json"))
      let configuration = "tokenizer_config.json", source = folder.appendingPathComponent(configuration)
      if FileManager.default.fileExists(atPath: source.path) {
        try FileManager.default.copyItem(at: source, to: place.appendingPathComponent(configuration))
      }
      return try body(place.path)
    }
  }

  private static func awkward() throws -> [String] {
    let fixture =
      try JSONSerialization.jsonObject(
        with: Data(contentsOf: Fixtures.folder.appendingPathComponent("tokenizer.json"))) as? [String: Any]
    return (fixture?["encode"] as? [[Any]] ?? []).compactMap { $0.first as? String }
  }

  /// The same numbers as of `vocab.json` and `merges.txt`, for a thousand awkward texts.
  @Test(arguments: [
    ("modules/sd1/tokenizer", false), ("modules/sd2/tokenizer", true), ("oracle/models/tinyA/tokenizer", false),
  ])
  func equalsTheTwoFiles(_ place: String, _ mergesAsTexts: Bool) throws {
    let folder = Fixtures.folder.appendingPathComponent(place)
    let two = try CLIPTokenizer(directory: folder.path)
    try Self.withWholeFile(of: folder, mergesAsTexts: mergesAsTexts) { path in
      let one = try CLIPTokenizer(directory: path)
      #expect(one.vocabularySize == two.vocabularySize && one.endToken == two.endToken && one.length == two.length)
      let texts = try Self.awkward()
      #expect(texts.count > 1000)
      // How special tokens are looked for in capitals is a matter of what each file says of them.
      for text in texts where !text.contains("<|") {
        #expect(one.encode(text, repairing: false) == two.encode(text, repairing: false), "\(text.debugDescription)")
      }
    }
  }

  /// What transformers 5 saves of a tokenizer that it loaded: its own numbers are those of the two files.
  @Test func equalsWhatTransformersSaves() throws {
    let saved = try CLIPTokenizer(directory: Fixtures.folder.appendingPathComponent("saved/newest/tokenizer").path)
    let original = try CLIPTokenizer(directory: Fixtures.folder.appendingPathComponent("modules/sd1/tokenizer").path)
    for text in try Self.awkward() {
      #expect(
        saved.encode(text, repairing: false) == original.encode(text, repairing: false), "\(text.debugDescription)")
    }
    #expect(saved.padded("a cat").ids == original.padded("a cat").ids)
  }

  /// Words that were added to a vocabulary: in one file, and beside the two.
  @Test func addedWords() throws {
    let folder = Fixtures.folder.appendingPathComponent("modules/sd1/tokenizer")
    let plain = try CLIPTokenizer(directory: folder.path)
    let word: [String: Any] = ["id": 565, "content": "<toy>", "normalized": false, "special": false]
    try Self.withWholeFile(of: folder, added: [word]) { path in
      let tokenizer = try CLIPTokenizer(directory: path)
      #expect(tokenizer.largestToken == 565 && tokenizer.encode("a <toy> cat").contains(565))
      #expect(tokenizer.encode("a cat") == plain.encode("a cat"))
    }
    try Fixtures.withTemporaryFolder { place in
      let path = try copyModel(folder, to: place, replacing: ["added_tokens.json": Data(#"{"<toy>": 565}"#.utf8)])
      #expect(try CLIPTokenizer(directory: path).encode("a <toy> cat").contains(565))
      let twice = try copyModel(
        folder, to: place, replacing: ["added_tokens.json": Data(#"{"<|endoftext|>": 7}"#.utf8)])
      #expect(modelError { _ = try CLIPTokenizer(directory: twice) }?.text.contains("has two numbers") == true)
    }
  }

  @Test func otherTokenizersAreRefused() throws {
    let folder = Fixtures.folder.appendingPathComponent("modules/sd1/tokenizer")
    for (change, words) in [
      (["type": "Unigram"] as [String: Any], "no tokenizer of CLIP"),
      (["end_of_word_suffix": NSNull()], "no tokenizer of CLIP"),
      (["merges": [["zzzz", "q"]]], "merge 1: tokenizer.json lacks"), (["merges": ["a b c"]], "is not a pair"),
      (["vocab": ["a": "x"]], "is not the JSON"),
    ] {
      try Self.withWholeFile(of: folder, changing: change) { path in
        let error = modelError { _ = try CLIPTokenizer(directory: path) }
        #expect(error?.text.contains(words) == true, "\(error?.text ?? "none")")
      }
    }
  }
}
