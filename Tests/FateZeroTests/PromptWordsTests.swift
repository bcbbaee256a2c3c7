import FateZero
import StableDiffusion
import Testing

@Suite struct PromptWordsTests {
  private func words(_ prompt: String, _ matching: WordMatching = .relaxed) throws -> PromptWords {
    PromptWords(prompt, tokenizer: try ReferenceUnits.tokenizer(), matching: matching)
  }

  @Test func exactPositionsAreTheReferences() throws {
    let units = try ReferenceUnits.load().wordIndices
    #expect(units.count > 10)
    for unit in units {
      guard let word = unit.word else { continue }
      #expect(try words(unit.text, .exact).positions(of: word) == unit.indices, "\(unit.text): \(word)")
    }
  }

  /// Where a word occurs as it is written, both ways of matching agree, unless blanks come in pairs.
  @Test func relaxedAgreesWithTheReferenceOnWholeWords() throws {
    for unit in try ReferenceUnits.load().wordIndices where !unit.indices.isEmpty && !unit.text.contains("  ") {
      guard let word = unit.word else { continue }
      #expect(try words(unit.text).positions(of: word) == unit.indices, "\(unit.text): \(word)")
    }
  }

  @Test func relaxedIgnoresCasePunctuationAndPairedBlanks() throws {
    #expect(try words("a Cat, walking").positions(of: "cat") == [2, 3])
    #expect(try words("a cat, walking").positions(of: "CAT") == [2, 3])
    #expect(try words("a  double space").positions(of: "double") == [2])
    #expect(try words("a black cat on a black mat").positions(of: "black cat") == [2, 3])
    #expect(try words("a black cat").positions(of: "Black  Cat!") == [2, 3])
    #expect(try words("a cat").positions(of: "dog").isEmpty)
    #expect(try words("a cat").positions(of: "!").isEmpty)
    #expect(try words("").positions(of: "a").isEmpty)
    // The exact word comes first: "cat," is not taken too.
    #expect(try words("a cat, a cat").positions(of: "cat") == [5])
  }

  @Test func wordsOfSeveralTokensWithoutLatinLetters() throws {
    let prompt = try words("a 日本 cat 😀 end")
    #expect(prompt.words.count == 5)
    #expect(prompt.positions.flatMap { $0 } == Array(1..<prompt.tokens.count - 1))
    #expect(prompt.positions.allSatisfy { !$0.isEmpty })
  }

  @Test func aMissingWordIsAnErrorThatListsTheWords() throws {
    let prompt = try words("a cat on grass")
    let error = #expect(throws: SettingsError.self) { try prompt.mask(of: ["dog"], for: "blend-words") }
    #expect(
      error?.description == """
        blend-words: "dog" does not occur in the prompt "a cat on grass"; its words are "a", "cat", "on", "grass"
        """)
    let exact = try words("a cat on grass", .exact)
    #expect(try exact.mask(of: ["dog"], for: "blend-words").allSatisfy { $0 == 0 })
    #expect(exact.missing(["dog", "cat"]) == ["dog"])
  }

  @Test func masksAndWeights() throws {
    let prompt = try words("a cat and a cat")
    #expect(
      try prompt.mask(of: ["cat"], for: "blend-words").enumerated().filter { $0.element == 1 }.map(\.offset) == [2, 5])
    let weights = try prompt.weights([WordWeight(word: "cat", weight: 3), WordWeight(word: "and", weight: 0.5)])
    #expect(weights[..<7] == [1, 1, 3, 0.5, 1, 3, 1])
    #expect(weights.count == 77)
  }

  @Test func longPromptsKeepTheEndMarkAndNameTheLostWords() throws {
    let prompt = try words((0..<80).map { "cat\($0 % 10)" }.joined(separator: " ") + " dog")
    #expect(prompt.tokens.count > 77)
    #expect(prompt.visibleTokens.count == 77)
    #expect(prompt.visibleTokens.last == prompt.tokens.last)
    #expect(prompt.cutWords.last == "dog")
    #expect(try prompt.mask(of: ["dog"], for: "blend-words").allSatisfy { $0 == 0 })
    #expect(!prompt.positions(of: "dog").isEmpty)
  }
}
