import Tensors

/// What the `vision_config` of a CLIP's `config.json` says about its image tower, a Vision Transformer.
public struct VisionEncoderConfiguration: Sendable, Hashable {
  public let hiddenSize: Int
  /// Width of the feed-forward layers.
  public let intermediateSize: Int
  public let layers: Int
  public let attentionHeads: Int
  /// Pixels along each side of an image, and of the patches that it is cut into.
  public let imageSize: Int, patchSize: Int
  public let activation: Activation
  public let layerNormEpsilon: Float

  /// Patches along each side of an image.
  public var patchesPerSide: Int { imageSize / patchSize }

  /// - Throws: `ModelError` where a number is out of range or a feature is not implemented.
  init(_ json: JSONObject) throws {
    hiddenSize = try json.integer("hidden_size", default: 768, in: 1...16384)
    intermediateSize = try json.integer("intermediate_size", default: 3072, in: 1...65536)
    layers = try json.integer("num_hidden_layers", default: 12, in: 1...128)
    attentionHeads = try json.integer("num_attention_heads", default: 12, in: 1...1024)
    imageSize = try json.integer("image_size", default: 224, in: 1...4096)
    patchSize = try json.integer("patch_size", default: 32, in: 1...4096)
    layerNormEpsilon = Float(try json.number("layer_norm_eps", default: 1e-5, in: 1e-12...1))
    activation = try TextEncoderConfiguration.activation(json)
    try json.refuse("num_channels", unless: .integer(3), what: "only images with three channels are implemented")
    guard hiddenSize % attentionHeads == 0 else {
      throw ModelError(.badData, "\(json.path): hidden_size \(hiddenSize) does not divide into \(attentionHeads) heads")
    }
    guard imageSize % patchSize == 0 else {
      throw ModelError(.badData, "\(json.path): image_size \(imageSize) does not divide into patches of \(patchSize)")
    }
  }
}
