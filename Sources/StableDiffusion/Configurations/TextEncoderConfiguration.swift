import Tensors

/// What `text_encoder/config.json` says about CLIP's text tower.
public struct TextEncoderConfiguration: Sendable, Hashable {
  public let vocabularySize: Int
  /// Width of the embedding.
  public let hiddenSize: Int
  /// Width of the feed-forward layers.
  public let intermediateSize: Int
  public let layers: Int
  public let attentionHeads: Int
  /// Longest sequence of tokens, 77 in CLIP.
  public let maximumPositions: Int
  /// `.quickGELU` (SD 1.x) or `.gelu` (SD 2.x).
  public let activation: Activation
  public let layerNormEpsilon: Float

  /// - Throws: `ModelError` where a number is out of range or a feature is not implemented.
  public init(path: String) throws { try self.init(try JSONObject(path: path)) }

  /// The same, of an object that need not come from a file: its path is for messages.
  init(_ object: JSONObject) throws {
    var json = object
    let path = json.path
    // A whole CLIP keeps the tower's part under this key.
    if case .object(let values) = json.values["text_config"] { json = JSONObject(path: path, values: values) }
    vocabularySize = try json.integer("vocab_size", default: 49408, in: 2...1_000_000)
    hiddenSize = try json.integer("hidden_size", default: 512, in: 1...16384)
    intermediateSize = try json.integer("intermediate_size", default: 2048, in: 1...65536)
    layers = try json.integer("num_hidden_layers", default: 12, in: 1...128)
    attentionHeads = try json.integer("num_attention_heads", default: 8, in: 1...1024)
    maximumPositions = try json.integer("max_position_embeddings", default: 77, in: 2...4096)
    layerNormEpsilon = Float(try json.number("layer_norm_eps", default: 1e-5, in: 1e-12...1))
    activation = try Self.activation(json)
    guard hiddenSize % attentionHeads == 0 else {
      throw ModelError(.badData, "\(path): hidden_size \(hiddenSize) does not divide into \(attentionHeads) heads")
    }
  }

  /// What `hidden_act` says, of the text's and of the images' transformer alike.
  static func activation(_ json: JSONObject) throws -> Activation {
    let name = try json.string("hidden_act", default: "quick_gelu")
    switch name {
    case "quick_gelu": return .quickGELU
    case "gelu": return .gelu
    default:
      throw ModelError(
        .unsupported,
        "\(json.path): hidden_act is \"\(name.prefix(80))\"; only \"quick_gelu\" and \"gelu\" are implemented")
    }
  }
}
