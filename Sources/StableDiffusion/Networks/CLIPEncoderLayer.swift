import Tensors

/// A layer of CLIP's transformers, of the text's and of the images' alike: attention and a feed-forward network, each
/// behind a normalisation and around a residual connection.
struct CLIPEncoderLayer: Sendable {
  private let norm1: Normalization, norm2: Normalization
  private let query: Linear, key: Linear, value: Linear, output: Linear
  private let expand: Linear, contract: Linear
  private let width: Int, heads: Int
  private let activation: Activation
  private let layerNormEpsilon: Float

  init(
    _ parameters: Parameters, width: Int, intermediateSize: Int, heads: Int, activation: Activation,
    layerNormEpsilon: Float
  ) throws {
    norm1 = try parameters.normalization("layer_norm1", channels: width)
    norm2 = try parameters.normalization("layer_norm2", channels: width)
    query = try parameters.linear("self_attn.q_proj", inputs: width, outputs: width)
    key = try parameters.linear("self_attn.k_proj", inputs: width, outputs: width)
    value = try parameters.linear("self_attn.v_proj", inputs: width, outputs: width)
    output = try parameters.linear("self_attn.out_proj", inputs: width, outputs: width)
    expand = try parameters.linear("mlp.fc1", inputs: width, outputs: intermediateSize)
    contract = try parameters.linear("mlp.fc2", inputs: intermediateSize, outputs: width)
    (self.width, self.heads) = (width, heads)
    self.activation = activation
    self.layerNormEpsilon = layerNormEpsilon
  }

  /// (1, tokens, width) -> (1, tokens, width).
  /// - Parameter causal: whether a token sees only itself and those before it.
  func callAsFunction(_ x: Tensor, causal: Bool, device: Device) throws -> Tensor {
    var normalized = try norm1.layer(x, epsilon: layerNormEpsilon, asFactors: true, device: device)
    let attended = try device.attention(
      AttentionOperands(
        queries: try query(normalized, device: device, asFactors: true),
        keys: try key(normalized, device: device, asFactors: true), keyFrames: [[0]]),
      values: try value(normalized, device: device, asFactors: true), heads: heads,
      scale: 1 / (Float(width) / Float(heads)).squareRoot(), causal: causal)
    let hidden = try output(attended, device: device, adding: x)
    normalized = try norm2.layer(hidden, epsilon: layerNormEpsilon, asFactors: true, device: device)
    let expanded = try expand(normalized, device: device, activation: activation, asFactors: true)
    return try contract(expanded, device: device, adding: hidden)
  }
}
