import Tensors

/// CLIP's image transformer (ViT; Radford et al. 2021, Dosovitskiy et al. 2021): an image to the state of its class
/// token.
public final class CLIPVisionEncoder: Sendable {
  public let configuration: VisionEncoderConfiguration
  private let patches: Convolution
  private let classTable: Weights, positionTable: Weights
  private let firstNorm: Normalization, finalNorm: Normalization
  private let layers: [CLIPEncoderLayer]

  public init(_ configuration: VisionEncoderConfiguration, _ parameters: Parameters) throws {
    self.configuration = configuration
    let width = configuration.hiddenSize
    patches = try parameters.convolution(
      "embeddings.patch_embedding", inputs: 3, outputs: width, kernel: configuration.patchSize,
      stride: configuration.patchSize, padding: Padding(0), bias: false)
    classTable = try parameters.row("embeddings.class_embedding", columns: width)
    positionTable = try parameters.table(
      "embeddings.position_embedding.weight",
      rows: configuration.patchesPerSide * configuration.patchesPerSide + 1, columns: width)
    // The checkpoints' own spelling.
    firstNorm = try parameters.normalization("pre_layrnorm", channels: width)
    layers = try (0..<configuration.layers).map { index in
      try CLIPEncoderLayer(
        parameters.scope("encoder.layers.\(index)"), width: width, intermediateSize: configuration.intermediateSize,
        heads: configuration.attentionHeads, activation: configuration.activation,
        layerNormEpsilon: configuration.layerNormEpsilon)
    }
    finalNorm = try parameters.normalization("post_layernorm", channels: width)
  }

  /// (1, side, side, 3), normalised as `ImageProcessorConfiguration` says -> the class token behind the last layer and
  /// the final normalisation, (1, width).
  public func callAsFunction(_ image: Tensor, device: Device) throws -> Tensor {
    let side = configuration.imageSize, width = configuration.hiddenSize
    guard image.shape == [1, side, side, 3] else {
      throw TensorError("an image of the shape \(image.shape): CLIP takes [1, \(side), \(side), 3]")
    }
    let count = configuration.patchesPerSide * configuration.patchesPerSide
    let embedded = try patches(image, device: device).reshaped([count, width])
    let tokens = try device.concatenate([try device.gather(classTable, rows: [0]), embedded])
    let placed = try device.add(tokens, try device.gather(positionTable, rows: Array(0...count)))
    var hidden = try firstNorm.layer(
      placed.reshaped([1, count + 1, width]), epsilon: configuration.layerNormEpsilon, device: device)
    for layer in layers { hidden = try layer(hidden, causal: false, device: device) }
    return try finalNorm.layer(
      hidden.reshaped([count + 1, width]).rows(0..<1), epsilon: configuration.layerNormEpsilon, device: device)
  }
}
