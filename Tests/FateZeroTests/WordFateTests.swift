import StableDiffusion
import TestSupport
import Testing

@testable import FateZero

@Suite struct WordFateTests {
  private func fate(_ source: String, _ target: String, _ mode: WordAlignment.Mode) throws -> WordFate {
    let tokenizer = try CLIPTokenizer(directory: Fixtures.oracle.appendingPathComponent("models/tinyA/tokenizer").path)
    let (before, after) = (PromptWords(source, tokenizer: tokenizer), PromptWords(target, tokenizer: tokenizer))
    let alignment = try WordAlignment.choose(mode: mode, source: before, target: after).alignment
    return WordFate(source: before, target: after, alignment: alignment)
  }

  @Test func describesEveryWord() throws {
    #expect(try fate("a black cat", "a red tiger", .replace).description == "kept a; black -> red, cat -> tiger")
    #expect(
      try fate("a black cat", "a cat on grass", .refine).description == "kept a, cat; new on, grass; dropped black")
    #expect(try fate("a cat", "a cat", .refine).description == "kept a, cat")
  }

  @Test func namesWhatWasExchanged() throws {
    #expect(try fate("a black cat", "a red tiger", .replace).exchanged == "black -> red, cat -> tiger")
    #expect(try fate("a black cat", "a red cat on grass", .refine).exchanged == "black -> red on grass")
    #expect(try fate("a cat", "a cat on grass", .refine).exchanged == "")
    #expect(try fate("a cat", "a cat", .replace).exchanged == "")
  }
}
