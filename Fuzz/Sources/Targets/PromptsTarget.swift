import FateZero
import StableDiffusion

/// The prompts of a source and of an edit, with a zero byte between.
struct PromptsTarget: FuzzTarget {
  static let name = "prompts"
  static let maximumLength = 4096
  private let tokenizer: CLIPTokenizer

  init(scratch: ScratchFolder) throws { tokenizer = try ToyWorld().model.tokenizer }

  func run(_ input: [UInt8]) throws {
    let parts = input.parts(atMost: 2)
    let (first, second) = (parts[0].text, parts.count > 1 ? parts[1].text : "a tiger")
    _ = try? InlineEdit.parse(first)
    for id in tokenizer.padded(first).ids { _ = tokenizer.decode(id) }
    let source = PromptWords(first, tokenizer: tokenizer)
    let exact = PromptWords(first, tokenizer: tokenizer, matching: .exact)
    let target = PromptWords(second, tokenizer: tokenizer)
    _ = exact.cutWords
    for (source, target) in [(source, target), (exact, target), (target, source)] {
      for mode in WordAlignment.Mode.allCases {
        _ = try? WordAlignment.choose(mode: mode, source: source, target: target)
      }
      for word in target.words.prefix(100) {
        _ = source.positions(of: word)
        _ = try? source.mask(of: [word], for: "blend-words")
      }
    }
  }
}
