/// Named starting points: after the reference repository's configurations of the same kind, and one for surroundings,
/// of which it has none.
public struct Preset: Sendable {
  public let name: String
  /// One full sentence.
  public let blurb: String
  public let settings: [Setting]

  public struct Setting: Sendable, Equatable {
    public let name: String
    public let text: String
  }

  public var layer: Settings.Layer { settings.map { ($0.name, $0.text) } }
}

public enum Presets {
  public static let all: [Preset] = [
    preset(
      "style", "Changes the look of the whole picture and keeps every shape.",
      ["cross-mode": "refine", "cross-replace": "0.8", "self-replace": "0.8", "blend-attention": "off"]),
    preset(
      "attribute", "Changes a thing's colour, material or kind within its outline.",
      ["cross-mode": "auto", "cross-replace": "0.5", "self-replace": "0.5", "blend-attention": "off"]),
    preset(
      "shape",
      "Exchanges a thing for one of another outline and keeps the background; needs the words to blend around.",
      [
        "cross-mode": "replace", "cross-replace": "0.5", "self-replace": "0.5", "blend-attention": "on",
        "blend-threshold": "0.3",
      ]),
    // An inverted latent holds its colours against the prompt; only strong guidance and attention of its own free it
    // (docs/QUALITY.md).
    preset(
      "background", "Exchanges the surroundings and keeps the things in them.",
      [
        "cross-mode": "auto", "cross-replace": "0.0", "self-replace": "0.5", "blend-attention": "off",
        "guidance-scale": "10",
      ]),
  ]

  public static func named(_ name: String) -> Preset? { all.first { $0.name == name } }

  private static func preset(_ name: String, _ blurb: String, _ own: KeyValuePairs<String, String>) -> Preset {
    // The style and attribute configurations couple every frame to the middle one, from the second level on; those for
    // shapes use tuned models and leave the coupling to the model.
    let coupling: KeyValuePairs =
      ["shape", "background"].contains(name) ? [:] : ["frame-coupling": "middle", "coupling-min-width": "second"]
    return Preset(
      name: name, blurb: blurb,
      settings: (Array(own) + Array(coupling)).map { Preset.Setting(name: $0.key, text: $0.value) })
  }
}
