import Foundation
import TestSupport
import Testing

@testable import StableDiffusion

struct CLIPTokenizerTests {
  private static func tokenizer(_ model: String) throws -> CLIPTokenizer {
    try CLIPTokenizer(directory: Fixtures.oracle.appendingPathComponent("models/\(model)/tokenizer").path)
  }

  private struct Units: Decodable {
    struct Case: Decodable {
      let text: String
      let ids: [Int]
      let padded: [String: [Int]]
    }
    let tokenizer: [Case]
  }

  @Test func encodesAsTheReference() throws {
    let units = try JSONDecoder().decode(
      Units.self, from: Data(contentsOf: Fixtures.oracle.appendingPathComponent("units.json")))
    for model in ["tinyA", "tinyB"] {
      let tokenizer = try Self.tokenizer(model)
      for unit in units.tokenizer {
        if model == "tinyA" { #expect(tokenizer.encode(unit.text) == unit.ids, "\(unit.text.debugDescription)") }
        #expect(tokenizer.padded(unit.text).ids == unit.padded[model], "\(model): \(unit.text.debugDescription)")
      }
    }
  }

  private struct Fixture: Decodable {
    let encode: [Row]
    let repair: [[String]]

    struct Row: Decodable {
      let text: String
      let tokens: [Int]
      /// With "!" as a special token.
      let exclamationPads: [Int]

      init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        text = try container.decode(String.self)
        tokens = try container.decode([Int].self)
        exclamationPads = try container.decodeIfPresent([Int].self) ?? tokens
      }
    }
  }

  private static func fixture() throws -> Fixture {
    try JSONDecoder().decode(
      Fixture.self, from: Data(contentsOf: Fixtures.folder.appendingPathComponent("tokenizer.json")))
  }

  @Test func encodesAwkwardTextsAsTransformers() throws {
    let fixture = try Self.fixture()
    let (first, second) = (try Self.tokenizer("tinyA"), try Self.tokenizer("tinyB"))
    #expect(fixture.encode.count > 1000)
    var wrong = 0
    for row in fixture.encode {
      let same =
        first.encode(row.text, repairing: false) == row.tokens
        && second.encode(row.text, repairing: false) == row.exclamationPads
      if !same { wrong += 1 }
      #expect(same, "\(row.text.unicodeScalars.map { String($0.value, radix: 16) })")
    }
    print("tokenizer: \(wrong) of \(fixture.encode.count) texts differ from transformers'")
  }

  @Test func repairsAsFtfy() throws {
    for pair in try Self.fixture().repair {
      #expect(
        Array(PromptRepair.repair(pair[0]).unicodeScalars) == Array(pair[1].unicodeScalars),
        "\(pair[0].debugDescription)")
    }
  }

  @Test func makesNoOtherRepairs() {
    // What ftfy would take for UTF-8 decoded as Latin-1, an escape sequence of a terminal, and others of its guesses.
    for text in ["cafÃ© â€™", "\u{80}\u{85}", "x\u{2028}y", "a\r\nb"] {
      #expect(Array(PromptRepair.repair(text).unicodeScalars) == Array(text.unicodeScalars))
    }
  }

  @Test func namesWhatALongPromptLoses() throws {
    let tokenizer = try Self.tokenizer("tinyA")
    #expect(tokenizer.padded("a cat").lost == nil)
    let fits = Array(repeating: "cat", count: 75).joined(separator: " ")
    #expect(tokenizer.padded(fits).lost == nil)
    let (ids, lost) = tokenizer.padded(fits + " lying on the grass")
    #expect(ids.count == 77 && ids.last == tokenizer.endToken)
    #expect(lost == "lying on the grass")
  }

  @Test func decodesTokens() throws {
    let tokenizer = try Self.tokenizer("tinyA")
    // transformers' decode of the same tokens.
    #expect(
      [49406, 256, 257, 320, 2368, 49407, 0, 47516].map(tokenizer.decode) == [
        "<|startoftext|>", "!", "\"", "a", "cat", "<|endoftext|>", "!", "ontheroad",
      ])
    // Two halves of an emoji's bytes.
    #expect(tokenizer.decode(13185) == "\u{1f937}")
    #expect(tokenizer.decode(127) == "\u{fffd}")
    #expect(tokenizer.decode(-1) == "")
  }

  @Test func encodesLongWordsQuickly() throws {
    // Work must not explode with a hostile prompt; the time is not asserted, a hang would be seen.
    let tokens = try Self.tokenizer("tinyA").encode(String(repeating: "cat", count: 5000))
    #expect(tokens.count > 1000)
  }

  @Test(arguments: [
    ("vocab.json", #"{"a":0,"#, "is not the JSON"),
    ("vocab.json", #"{"a":"x"}"#, "is not the JSON"),
    ("vocab.json", #"{"a":-1}"#, "impossible number -1"),
    ("vocab.json", #"{"a":99999999}"#, "impossible number 99999999"),
    ("vocab.json", #"{"a":1,"b":1}"#, "same number 1"),
    ("vocab.json", #"{"ab":1}"#, "no single bytes"),
    ("vocab.json", #"{"a":1,"a</w>":2,"<|startoftext|>":3}"#, "lacks"),
    ("merges.txt", "#version\na b c\n", "line 2: \"a b c\" is not a pair"),
    ("merges.txt", "zzzz qqqq\n", "line 1: vocab.json lacks"),
    ("special_tokens_map.json", #"{"pad_token":"no piece"}"#, "lacks \"no piece\", the pad_token"),
    ("special_tokens_map.json", #"{"pad_token":{"a":1}}"#, "pad_token has no content"),
    ("special_tokens_map.json", #"{"bos_token":""}"#, "bos_token is empty"),
    ("tokenizer_config.json", #"{"model_max_length":0}"#, "model_max_length is 0"),
  ])
  func refusesDamage(_ file: String, _ text: String, _ message: String) throws {
    try Fixtures.withTemporaryFolder { folder in
      let source = Fixtures.folder.appendingPathComponent("modules/sd1/tokenizer")
      let path = try copyModel(source, to: folder, replacing: [file: Data(text.utf8)])
      let error = modelError { _ = try CLIPTokenizer(directory: path) }
      #expect(error?.kind == .badData)
      #expect(error?.text.contains(message) == true, "\(error?.text ?? "no error")")
    }
  }

  /// Layers of entities and one long word, of which one pass each would take minutes.
  @Test func longPromptsAreReadInOneGo() throws {
    let many = 4000
    #expect(PromptRepair.repair("&" + String(repeating: "amp;", count: many) + "lt;") == "<")
    #expect(PromptRepair.repair("&" + String(repeating: "#38;", count: many)) == "&")
    #expect(PromptRepair.repair("&" + String(repeating: "#65286;", count: many) + "eacute;") == "é")
    #expect(PromptRepair.repair(String(repeating: "&", count: many)) == String(repeating: "&", count: many))
    let tokenizer = try CLIPTokenizer(directory: Fixtures.repository.appendingPathComponent("Models/clip").path)
    let word = (0..<many).map { String(UnicodeScalar(UInt8(97 + $0 * $0 % 23))) }.joined()
    #expect(tokenizer.encode(word).map(tokenizer.decode).dropFirst().dropLast().joined() == word)
  }

  @Test func namesAMissingFile() throws {
    let error = modelError { _ = try CLIPTokenizer(directory: "/nonexistent") }
    #expect(error?.kind == .notFound)
    #expect(error?.text == "cannot open /nonexistent/vocab.json: No such file or directory")
  }
}
