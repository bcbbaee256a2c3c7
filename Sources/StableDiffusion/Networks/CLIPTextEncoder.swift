import Tensors

/// CLIP's text transformer: token ids to the hidden states that the UNet's cross-attention reads.
public final class CLIPTextEncoder: Sendable {
  private struct Layer: Sendable {
    let norm1: Normalization, norm2: Normalization
    let query: Linear, key: Linear, value: Linear, output: Linear
    let expand: Linear, contract: Linear
  }

  public let configuration: TextEncoderConfiguration
  private let tokenTable: Tensor, positionTable: Tensor
  /// Of tokens behind the vocabulary, (n, width) each.
  private let addedTables: [Tensor]
  private let layers: [Layer]
  private let finalNorm: Normalization

  /// - Parameter added: embeddings of the tokens that follow the vocabulary, (n, width) each.
  public init(
    _ configuration: TextEncoderConfiguration, _ parameters: Parameters, added: [Tensor] = []
  ) throws {
    self.configuration = configuration
    addedTables = added
    let width = configuration.hiddenSize
    tokenTable = try parameters.table(
      "embeddings.token_embedding.weight", rows: configuration.vocabularySize, columns: width)
    positionTable = try parameters.table(
      "embeddings.position_embedding.weight", rows: configuration.maximumPositions, columns: width)
    layers = try (0..<configuration.layers).map { index in
      let scope = parameters.scope("encoder.layers.\(index)")
      return Layer(
        norm1: try scope.normalization("layer_norm1", channels: width),
        norm2: try scope.normalization("layer_norm2", channels: width),
        query: try scope.linear("self_attn.q_proj", inputs: width, outputs: width),
        key: try scope.linear("self_attn.k_proj", inputs: width, outputs: width),
        value: try scope.linear("self_attn.v_proj", inputs: width, outputs: width),
        output: try scope.linear("self_attn.out_proj", inputs: width, outputs: width),
        expand: try scope.linear("mlp.fc1", inputs: width, outputs: configuration.intermediateSize),
        contract: try scope.linear("mlp.fc2", inputs: configuration.intermediateSize, outputs: width))
    }
    finalNorm = try parameters.normalization("final_layer_norm", channels: width)
  }

  /// Padded token ids -> the last hidden states after the final normalisation, (1, tokens, width). No padding mask: the
  /// causal mask only, as Stable Diffusion was trained.
  public func callAsFunction(_ tokens: [Int], device: Device) throws -> Tensor {
    guard !tokens.isEmpty, tokens.count <= configuration.maximumPositions else {
      throw TensorError("\(tokens.count) tokens: the text encoder takes 1 to \(configuration.maximumPositions)")
    }
    let words = configuration.vocabularySize + addedTables.reduce(0) { $0 + $1.shape[0] }
    guard let highest = tokens.max(), highest < words, tokens.allSatisfy({ $0 >= 0 }) else {
      throw ModelError(
        .badData,
        "the tokenizer gave the id \(tokens.max() ?? 0), but the text encoder has \(words) words: "
          + "tokenizer/ and text_encoder/ are of two models")
    }
    let width = configuration.hiddenSize
    let scale = 1 / (Float(width) / Float(configuration.attentionHeads)).squareRoot()
    var hidden = try device.add(
      try embeddings(tokens, device: device), try device.gather(positionTable, rows: Array(tokens.indices))
    ).reshaped([1, tokens.count, width])
    for layer in layers {
      var normalized = try layer.norm1.layer(hidden, epsilon: configuration.layerNormEpsilon, device: device)
      let attended = try device.attention(
        AttentionOperands(
          queries: try layer.query(normalized, device: device), keys: try layer.key(normalized, device: device),
          keyFrames: [[0]]),
        values: try layer.value(normalized, device: device), heads: configuration.attentionHeads, scale: scale,
        causal: true)
      hidden = try layer.output(attended, device: device, adding: hidden)
      normalized = try layer.norm2.layer(hidden, epsilon: configuration.layerNormEpsilon, device: device)
      let expanded = try layer.expand(normalized, device: device, activation: configuration.activation)
      hidden = try layer.contract(expanded, device: device, adding: hidden)
    }
    return try finalNorm.layer(hidden, epsilon: configuration.layerNormEpsilon, device: device)
  }

  /// (tokens, width), the vocabulary's and the added ones.
  private func embeddings(_ tokens: [Int], device: Device) throws -> Tensor {
    guard !addedTables.isEmpty else { return try device.gather(tokenTable, rows: tokens) }
    return try device.concatenate(
      try tokens.map { token in
        var (table, row) = (tokenTable, token)
        for added in addedTables where row >= table.shape[0] { (table, row) = (added, row - table.shape[0]) }
        return try device.gather(table, rows: [row])
      })
  }
}
