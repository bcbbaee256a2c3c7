import Tensors

/// What one pass of a UNet shares among its layers.
struct UNetPass {
  let device: Device
  let frames: Int
  let batches: Int
  /// Activated time embedding (1, 4 * first width).
  let time: Tensor
  let text: TextConditioning
  /// For each of the batches*frames frames, the frames whose keys its self-attention reads in coupled layers.
  let coupledFrames: [[Int]]
  let ownFrames: [[Int]]
  /// Layers with fewer channels stay within their frame.
  let couplingMinWidth: Int
  let processor: any AttentionProcessor
  let inspect: ((String, Tensor) throws -> Void)?
}

/// Keys and values of a prompt for every cross-attention layer, computed once.
public struct TextConditioning: Sendable {
  /// Runs in the batch: 1, or 2 with classifier-free guidance.
  public let batches: Int
  let keys: [Tensor]
  let values: [Tensor]
}

/// Queries, keys, values and the output projection of one attention layer.
struct AttentionLayer: Sendable {
  let query: Linear, key: Linear, value: Linear, output: Linear
  let channels: Int, heads: Int

  init(_ parameters: Parameters, channels: Int, contextChannels: Int, heads: Int) throws {
    self.channels = channels
    self.heads = heads
    query = try parameters.linear("to_q", inputs: channels, outputs: channels, bias: false)
    key = try parameters.linear("to_k", inputs: contextChannels, outputs: channels, bias: false)
    value = try parameters.linear("to_v", inputs: contextChannels, outputs: channels, bias: false)
    output = try parameters.linear("to_out.0", inputs: channels, outputs: channels)
  }

  var scale: Float { 1 / (Float(channels) / Float(heads)).squareRoot() }
}

/// Self-attention, cross-attention, feed-forward, and in tuned checkpoints attention along the frames; each on the
/// layer-normalised input, each added to it.
struct TransformerBlock: Sendable {
  private let norm1: Normalization, norm2: Normalization, norm3: Normalization
  let selfAttention: AttentionLayer, crossAttention: AttentionLayer
  private let feedForwardIn: Linear, feedForwardOut: Linear
  private let temporal: (norm: Normalization, attention: AttentionLayer)?
  /// Position of this layer's text keys and values in a `TextConditioning`.
  private let textIndex: Int
  private let epsilon: Float = 1e-5

  init(_ parameters: Parameters, channels: Int, textChannels: Int, heads: Int, textIndex: Int) throws {
    self.textIndex = textIndex
    norm1 = try parameters.normalization("norm1", channels: channels)
    selfAttention = try AttentionLayer(
      parameters.scope("attn1"), channels: channels, contextChannels: channels, heads: heads)
    norm2 = try parameters.normalization("norm2", channels: channels)
    crossAttention = try AttentionLayer(
      parameters.scope("attn2"), channels: channels, contextChannels: textChannels, heads: heads)
    norm3 = try parameters.normalization("norm3", channels: channels)
    feedForwardIn = try parameters.linear("ff.net.0.proj", inputs: channels, outputs: channels * 8)
    feedForwardOut = try parameters.linear("ff.net.2", inputs: channels * 4, outputs: channels)
    if parameters.has("attn_temporal.to_q.weight") {
      temporal = (
        try parameters.normalization("norm_temporal", channels: channels),
        try AttentionLayer(
          parameters.scope("attn_temporal"), channels: channels, contextChannels: channels, heads: heads)
      )
    } else {
      temporal = nil
    }
  }

  var hasTemporalAttention: Bool { temporal != nil }

  /// (b*f, tokens, channels) -> the same shape.
  func callAsFunction(_ x: Tensor, site: AttentionSite, pass: UNetPass) throws -> Tensor {
    let device = pass.device
    var site = site

    // Self-attention, over the frames of its coupling.
    var normalized = try norm1.layer(x, epsilon: epsilon, device: device)
    let coupled = site.channels >= pass.couplingMinWidth
    site.kind = .selfAttention
    var attended = try pass.processor.attend(
      AttentionCall(
        site: site, batches: pass.batches,
        operands: AttentionOperands(
          queries: try selfAttention.query(normalized, device: device),
          keys: try selfAttention.key(normalized, device: device),
          keyFrames: coupled ? pass.coupledFrames : pass.ownFrames),
        values: try selfAttention.value(normalized, device: device), scale: selfAttention.scale),
      device: device)
    try pass.inspect?(site.description, attended)
    var hidden = try selfAttention.output(attended, device: device, adding: x)

    // Cross-attention: every frame of a run reads the keys of the run's text.
    normalized = try norm2.layer(hidden, epsilon: epsilon, device: device)
    site.kind = .crossAttention
    attended = try pass.processor.attend(
      AttentionCall(
        site: site, batches: pass.batches,
        operands: AttentionOperands(
          queries: try crossAttention.query(normalized, device: device), keys: pass.text.keys[textIndex],
          keyFrames: (0..<pass.batches * pass.frames).map { [$0 / pass.frames] }),
        values: pass.text.values[textIndex], scale: crossAttention.scale),
      device: device)
    try pass.inspect?(site.description, attended)
    hidden = try crossAttention.output(attended, device: device, adding: hidden)

    normalized = try norm3.layer(hidden, epsilon: epsilon, device: device)
    let expanded = try device.geglu(try feedForwardIn(normalized, device: device))
    hidden = try feedForwardOut(expanded, device: device, adding: hidden)

    guard let temporal else { return hidden }
    return try attendAlongFrames(hidden, temporal.norm, temporal.attention, pass: pass)
  }

  /// Plain self-attention over the frames, for every pixel by itself. Never controlled.
  private func attendAlongFrames(
    _ x: Tensor, _ norm: Normalization, _ attention: AttentionLayer, pass: UNetPass
  ) throws -> Tensor {
    let device = pass.device
    let (tokens, channels) = (x.shape[1], x.shape[2])
    let byPixel = try device.swapMiddleAxes(x.reshaped([pass.batches, pass.frames, tokens, channels]))
      .reshaped([pass.batches * tokens, pass.frames, channels])
    let normalized = try norm.layer(byPixel, epsilon: epsilon, device: device)
    let attended = try device.attention(
      AttentionOperands(
        queries: try attention.query(normalized, device: device),
        keys: try attention.key(normalized, device: device),
        keyFrames: (0..<pass.batches * tokens).map { [$0] }),
      values: try attention.value(normalized, device: device), heads: attention.heads, scale: attention.scale)
    let result = try attention.output(attended, device: device, adding: byPixel)
    return try device.swapMiddleAxes(result.reshaped([pass.batches, tokens, pass.frames, channels]))
      .reshaped(x.shape)
  }
}

/// A stack of transformer blocks between two projections, added to its input.
struct SpatialTransformer: Sendable {
  private let norm: Normalization
  private let projectIn: Linear, projectOut: Linear
  let blocks: [TransformerBlock]
  let place: AttentionSite.Place, block: Int, index: Int
  private let channels: Int, heads: Int, groups: Int
  private let epsilon: Float = 1e-6

  /// - Parameter textIndex: Counts the cross-attention layers of the UNet.
  init(
    _ parameters: Parameters, place: AttentionSite.Place, block: Int, index: Int, channels: Int, textChannels: Int,
    heads: Int, depth: Int, groups: Int, textIndex: inout Int
  ) throws {
    (self.place, self.block, self.index) = (place, block, index)
    (self.channels, self.heads, self.groups) = (channels, heads, groups)
    norm = try parameters.normalization("norm", channels: channels)
    // With channels last a 1x1 convolution and a linear projection are one thing.
    projectIn = try parameters.linear("proj_in", inputs: channels, outputs: channels)
    projectOut = try parameters.linear("proj_out", inputs: channels, outputs: channels)
    var blocks: [TransformerBlock] = []
    for layer in 0..<depth {
      blocks.append(
        try TransformerBlock(
          parameters.scope("transformer_blocks.\(layer)"), channels: channels, textChannels: textChannels,
          heads: heads, textIndex: textIndex))
      textIndex += 1
    }
    self.blocks = blocks
  }

  /// The layer's sites for a grid of the given sides; self- and cross-attention of each block in turn.
  func sites(rows: Int, columns: Int) -> [AttentionSite] {
    blocks.indices.flatMap { layer in
      [.selfAttention, .crossAttention].map { site(layer: layer, kind: $0, rows: rows, columns: columns) }
    }
  }

  private func site(layer: Int, kind: AttentionSite.Kind, rows: Int, columns: Int) -> AttentionSite {
    AttentionSite(
      place: place, block: block, transformer: index, layer: layer, kind: kind, rows: rows, columns: columns,
      channels: channels, heads: heads)
  }

  /// (b*f, h, w, channels) -> the same shape.
  func callAsFunction(_ x: Tensor, pass: UNetPass) throws -> Tensor {
    let (count, rows, columns) = (x.shape[0], x.shape[1], x.shape[2])
    let normalized = try norm.group(x, groups: groups, frames: 1, epsilon: epsilon, device: pass.device)
    var hidden = try projectIn(
      normalized.reshaped([count, rows * columns, channels]), device: pass.device)
    for (layer, block) in blocks.enumerated() {
      hidden = try block(
        hidden, site: site(layer: layer, kind: .selfAttention, rows: rows, columns: columns), pass: pass)
    }
    let residual = x.reshaped([count, rows * columns, channels])
    return try projectOut(hidden, device: pass.device, adding: residual).reshaped(x.shape)
  }
}
