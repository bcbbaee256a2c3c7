import FateZero
import StableDiffusion
import TestSupport
import Testing

@testable import FateZeroCommand

@Suite struct WordFateTests {
  private func fate(_ source: String, _ target: String, _ mode: WordAlignment.Mode) throws -> String {
    let tokenizer = try CLIPTokenizer(directory: Fixtures.oracle.appendingPathComponent("models/tinyA/tokenizer").path)
    let (before, after) = (PromptWords(source, tokenizer: tokenizer), PromptWords(target, tokenizer: tokenizer))
    let alignment = try WordAlignment.choose(mode: mode, source: before, target: after).alignment
    return WordFate.describe(source: before, target: after, alignment: alignment)
  }

  @Test func describesEveryWord() throws {
    #expect(try fate("a black cat", "a red tiger", .replace) == "kept a; black -> red, cat -> tiger")
    #expect(try fate("a black cat", "a cat on grass", .refine) == "kept a, cat; new on, grass; dropped black")
    #expect(try fate("a cat", "a cat", .refine) == "kept a, cat")
  }
}
