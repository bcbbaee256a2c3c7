import StableDiffusion

/// A tokenizer's folder, and a prompt for it: `vocab.json`, `merges.txt`, `special_tokens_map.json`, `tokenizer_config.json` and
/// the prompt, with zero bytes between.
struct TokenizerTarget: FuzzTarget {
  static let name = "tokenizer"
  static let maximumLength = 4096
  let scratch: ScratchFolder

  func run(_ input: [UInt8]) throws {
    let parts = input.parts(atMost: 5)
    let folder = scratch.folder("tokenizer")
    let names = ["vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"]
    for (index, name) in names.enumerated() {
      _ = try scratch.file("tokenizer/\(name)", index < parts.count ? parts[index] : index < 2 ? [] : Array("{}".utf8))
    }
    guard let tokenizer = try? CLIPTokenizer(directory: folder) else { return }
    let prompt = parts.count > 4 ? parts[4].text : "a cat's 12 <|endoftext|>"
    let ids = tokenizer.padded(prompt).ids
    try promise(ids.count == tokenizer.length, "\(ids.count) tokens where the text encoder reads \(tokenizer.length)")
    try promise(ids.allSatisfy { 0...tokenizer.largestToken ~= $0 }, "\(ids) holds a token that the vocabulary lacks")
    for id in ids { _ = tokenizer.decode(id) }
  }
}
