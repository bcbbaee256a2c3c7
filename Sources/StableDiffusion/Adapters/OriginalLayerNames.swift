import Text

/// Layers of a UNet under the names of the original layout, as early LoCon and tools that extract a LoRA write them, flat
/// (`input_blocks_1_1_proj_in`) or with dots.
struct OriginalLayerNames: Sendable {
  private let rules: [NameRule]

  /// Parts of original names that hold an underscore themselves or a dot, as flat names and as they are.
  private static let parts = [
    ("input_blocks_", "input_blocks."), ("output_blocks_", "output_blocks."), ("middle_block_", "middle_block."),
    ("time_embed_", "time_embed."), ("in_layers_", "in_layers."), ("emb_layers_", "emb_layers."),
    ("out_layers_", "out_layers."),
  ]

  /// - Parameter layers: of the model, under diffusers' names.
  init(layers: some Sequence<String>) {
    // A level has one more on the way up, and one of the way down is a convolution between levels.
    let count = layers.count { $0.begins(with: "down_blocks.0.resnets.") && $0.ends(with: ".conv1") }
    rules = OriginalLayout.unetRules(blockLength: count + 1)
  }

  /// diffusers' name of an original one with dots.
  func diffusersName(_ name: String) -> String { NameRule.apply(rules, to: name) }

  /// diffusers' name of a flat original one, flat but where the rules changed it.
  func diffusersName(flat name: String) -> String {
    var dotted = name
    if name.begins(with: "out_"), !name.begins(with: "output_blocks_") {
      dotted = "out." + name.dropFirst("out_".count)
    }
    for (flat, part) in Self.parts {
      guard let place = dotted.firstRange(of: flat) else { continue }
      dotted.replaceSubrange(place, with: part)
    }
    // The numbers behind a block: which of them, and which layer of it.
    var parts = dotted.pieces(at: ".", maxSplits: 1, keepingEmpty: true).map(String.init)
    if parts.count == 2, parts[0].ends(with: "_blocks") || parts[0] == "middle_block" {
      let numbers = parts[0] == "middle_block" ? 1 : 2
      for _ in 0..<numbers {
        guard let end = parts[parts.count - 1].firstPlace(ofScalar: "_"),
          parts[parts.count - 1][..<end].unicodeScalars.allSatisfy(\.isDigit)
        else { break }
        let rest = parts.removeLast()
        parts += [String(rest[..<end]), String(rest[rest.index(after: end)...])]
      }
    }
    return NameRule.apply(rules, to: parts.joined(separator: "."))
  }
}
