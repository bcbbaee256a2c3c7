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

  /// The conditional run alone.
  public var conditional: TextConditioning { runs(batches - 1..<batches) }

  /// Some of the runs.
  public func runs(_ range: Range<Int>) -> TextConditioning {
    TextConditioning(batches: range.count, keys: keys.map { $0.rows(range) }, values: values.map { $0.rows(range) })
  }

  /// All runs of several texts, in their order.
  public static func joined(_ texts: [TextConditioning], device: Device) throws -> TextConditioning {
    func join(_ layers: KeyPath<TextConditioning, [Tensor]>) throws -> [Tensor] {
      try (texts.first?[keyPath: layers] ?? []).indices.map { layer in
        try device.concatenate(texts.map { $0[keyPath: layers][layer] })
      }
    }
    return TextConditioning(
      batches: texts.reduce(0) { $0 + $1.batches }, keys: try join(\.keys), values: try join(\.values))
  }
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

  /// Tokens that go through the feed-forward layers at a time, where they are eight times as wide.
  static let feedForwardRows = 2048

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

  /// hidden (b*f, tokens, channels), in place: the memory of each part is free when the next one begins.
  func callAsFunction(_ hidden: inout Tensor, site: AttentionSite, pass: UNetPass) throws {
    hidden = try attendToFrames(hidden, site: site, pass: pass)
    hidden = try attendToText(hidden, site: site, pass: pass)
    let device = pass.device
    hidden = try device.inPieces(hidden, of: TransformerBlock.feedForwardRows) { part in
      let normalized = try norm3.layer(part, epsilon: epsilon, asFactors: true, device: device)
      let expanded = try device.geglu(try feedForwardIn(normalized, device: device), asFactors: true)
      return try feedForwardOut(expanded, device: device, adding: part)
    }
    guard let temporal else { return }
    hidden = try attendAlongFrames(hidden, temporal.norm, temporal.attention, pass: pass)
  }

  /// Self-attention, over the frames of its coupling.
  private func attendToFrames(_ x: Tensor, site: AttentionSite, pass: UNetPass) throws -> Tensor {
    let device = pass.device
    var site = site
    site.kind = .selfAttention
    let normalized = try norm1.layer(x, epsilon: epsilon, asFactors: true, device: device)
    let coupled = site.channels >= pass.couplingMinWidth
    let attended = try pass.processor.attend(
      AttentionCall(
        site: site, batches: pass.batches,
        operands: AttentionOperands(
          queries: try selfAttention.query(normalized, device: device, asFactors: true),
          keys: try selfAttention.key(normalized, device: device, asFactors: true),
          keyFrames: coupled ? pass.coupledFrames : pass.ownFrames),
        values: try selfAttention.value(normalized, device: device, asFactors: true), scale: selfAttention.scale),
      device: device)
    try pass.inspect?(site.description, attended)
    return try selfAttention.output(attended, device: device, adding: x)
  }

  /// Cross-attention: every frame of a run reads the keys of the run's text.
  private func attendToText(_ x: Tensor, site: AttentionSite, pass: UNetPass) throws -> Tensor {
    let device = pass.device
    var site = site
    site.kind = .crossAttention
    let attended = try pass.processor.attend(
      AttentionCall(
        site: site, batches: pass.batches,
        operands: AttentionOperands(
          queries: try crossAttention.query(
            try norm2.layer(x, epsilon: epsilon, asFactors: true, device: device), device: device),
          keys: pass.text.keys[textIndex], keyFrames: (0..<pass.batches * pass.frames).map { [$0 / pass.frames] }),
        values: pass.text.values[textIndex], scale: crossAttention.scale),
      device: device)
    try pass.inspect?(site.description, attended)
    return try crossAttention.output(attended, device: device, adding: x)
  }

  /// Plain self-attention over the frames, for every pixel by itself. Never controlled.
  private func attendAlongFrames(
    _ x: Tensor, _ norm: Normalization, _ attention: AttentionLayer, pass: UNetPass
  ) throws -> Tensor {
    let device = pass.device
    let (tokens, channels) = (x.shape[1], x.shape[2])
    let byPixel = try device.swapMiddleAxes(x.reshaped([pass.batches, pass.frames, tokens, channels]))
      .reshaped([pass.batches * tokens, pass.frames, channels])
    let normalized = try norm.layer(byPixel, epsilon: epsilon, asFactors: true, device: device)
    let attended = try device.attention(
      AttentionOperands(
        queries: try attention.query(normalized, device: device, asFactors: true),
        keys: try attention.key(normalized, device: device, asFactors: true),
        keyFrames: (0..<pass.batches * tokens).map { [$0] }),
      values: try attention.value(normalized, device: device, asFactors: true), heads: attention.heads,
      scale: attention.scale)
    let result = try attention.output(attended, device: device, adding: byPixel)
    return try device.swapMiddleAxes(result.reshaped([pass.batches, tokens, pass.frames, channels]))
      .reshaped(x.shape)
  }
}

/// A transformer block between two projections, added to its input.
struct SpatialTransformer: Sendable {
  private let norm: Normalization
  private let projectIn: Linear, projectOut: Linear
  let block: TransformerBlock
  private let site: AttentionSite
  private let groups: Int
  private let epsilon: Float = 1e-6

  /// - Parameters:
  ///   - site: Names the transformer; kind and sides are filled in by each pass.
  ///   - textIndex: Counts the cross-attention layers of the UNet.
  init(
    _ parameters: Parameters, site: AttentionSite, textChannels: Int, groups: Int, textIndex: inout Int
  ) throws {
    self.site = site
    self.groups = groups
    norm = try parameters.normalization("norm", channels: site.channels)
    // With channels last a 1x1 convolution and a linear projection are one thing.
    projectIn = try parameters.linear("proj_in", inputs: site.channels, outputs: site.channels)
    block = try TransformerBlock(
      parameters.scope("transformer_blocks.0"), channels: site.channels, textChannels: textChannels,
      heads: site.heads, textIndex: textIndex)
    projectOut = try parameters.linear("proj_out", inputs: site.channels, outputs: site.channels)
    textIndex += 1
  }

  /// The transformer's self- and cross-attention over a grid of the given sides.
  func sites(rows: Int, columns: Int) -> [AttentionSite] {
    [AttentionSite.Kind.selfAttention, .crossAttention].map { kind in
      var site = self.site
      (site.kind, site.rows, site.columns) = (kind, rows, columns)
      return site
    }
  }

  /// (b*f, h, w, channels) -> the same shape.
  func callAsFunction(_ x: Tensor, pass: UNetPass) throws -> Tensor {
    var site = self.site
    (site.rows, site.columns) = (x.shape[1], x.shape[2])
    let tokens = [x.shape[0], site.tokens, site.channels]
    var hidden = try projectIn(
      try norm.group(x, groups: groups, frames: 1, epsilon: epsilon, asFactors: true, device: pass.device)
        .reshaped(tokens),
      device: pass.device)
    try block(&hidden, site: site, pass: pass)
    return try projectOut(hidden, device: pass.device, adding: x.reshaped(tokens)).reshaped(x.shape)
  }
}
