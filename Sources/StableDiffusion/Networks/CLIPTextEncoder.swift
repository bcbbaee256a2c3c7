import Tensors

/// CLIP's text transformer: token ids to the hidden states that the UNet's cross-attention reads.
public final class CLIPTextEncoder: Sendable {
  public let configuration: TextEncoderConfiguration
  private let tokenTable: Weights, positionTable: Weights
  /// Of tokens behind the vocabulary, (n, width) each.
  private let addedTables: [Tensor]
  private let layers: [CLIPEncoderLayer]
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
      try CLIPEncoderLayer(
        parameters.scope("encoder.layers.\(index)"), width: width, intermediateSize: configuration.intermediateSize,
        heads: configuration.attentionHeads, activation: configuration.activation,
        layerNormEpsilon: configuration.layerNormEpsilon)
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
    var hidden = try device.add(
      try embeddings(tokens, device: device), try device.gather(positionTable, rows: Array(tokens.indices))
    ).reshaped([1, tokens.count, width])
    for layer in layers { hidden = try layer(hidden, causal: true, device: device) }
    return try finalNorm.layer(hidden, epsilon: configuration.layerNormEpsilon, device: device)
  }

  /// (tokens, width), the vocabulary's and the added ones.
  private func embeddings(_ tokens: [Int], device: Device) throws -> Tensor {
    guard !addedTables.isEmpty else { return try device.gather(tokenTable, rows: tokens) }
    return try device.concatenate(
      try tokens.map { token in
        var (table, row) = (tokenTable, token)
        for added in addedTables where row >= table.shape[0] { (table, row) = (.memory(added), row - table.shape[0]) }
        return try device.gather(table, rows: [row])
      })
  }
}
