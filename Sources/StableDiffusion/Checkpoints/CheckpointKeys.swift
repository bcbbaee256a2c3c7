import Text

/// The networks of a Stable Diffusion checkpoint; the raw value is the folder.
public enum ModelComponent: String, Sendable, CaseIterable {
  case unet
  case vae
  case textEncoder = "text_encoder"
}

/// Which names a checkpoint may use for one and the same weight.
///
/// The names in the code are those of today's diffusers and transformers, the text tower's without `text_model.`. Files
/// written by other versions are brought to these names by the rules below, in order.
enum CheckpointKeys {
  /// Replaces the dot-separated `old` parts of a name by the `new` ones, in names that contain `within` as a part.
  struct Rule: Sendable {
    let old: String, new: String
    let within: String?
    init(_ old: String, _ new: String, within: String? = nil) { (self.old, self.new, self.within) = (old, new, within) }
  }

  static func rules(for component: ModelComponent) -> [Rule] {
    switch component {
    case .unet:
      [
        // Tune-A-Video's names of the attention over frames.
        Rule("attn_temp", "attn_temporal"),
        Rule("norm_temp", "norm_temporal"),
      ]
    case .vae:
      [
        // diffusers before 0.15.
        Rule("query", "to_q", within: "attentions"),
        Rule("key", "to_k", within: "attentions"),
        Rule("value", "to_v", within: "attentions"),
        Rule("proj_attn", "to_out.0", within: "attentions"),
      ]
    case .textEncoder:
      // transformers 5 saves the tower without the prefix, older versions with it.
      [Rule("text_model", "")]
    }
  }

  /// Tensors that files carry and no network needs: tables of positions, and what training leaves. `*` stands for any
  /// parts.
  static func harmless(for component: ModelComponent) -> [String] {
    switch component {
    case .unet: []
    case .vae: ["loss.*", "model_ema.*"]
    case .textEncoder:
      [
        "embeddings.position_ids", "text_projection.weight", "logit_scale",
        // Of a whole CLIP.
        "vision_model.embeddings.position_ids",
      ]
    }
  }

  static func canonicalName(of name: String, component: ModelComponent) -> String {
    var parts = name.pieces(at: ".", keepingEmpty: true).map(String.init)
    for rule in rules(for: component) {
      if let within = rule.within, !parts.contains(within) { continue }
      guard let place = parts.firstIndex(of: rule.old) else { continue }
      parts.replaceSubrange(place...place, with: rule.new.pieces(at: ".").map(String.init))
    }
    return parts.joined(separator: ".")
  }

  static func isHarmless(_ name: String, component: ModelComponent) -> Bool {
    harmless(for: component).contains { pattern in
      pattern.ends(with: ".*") ? name.begins(with: pattern.dropLast()) : name == pattern
    }
  }
}
