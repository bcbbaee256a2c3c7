import Tensors

/// One attention layer of a UNet: a value that names itself.
public struct AttentionSite: Hashable, Sendable, CustomStringConvertible {
  /// The part of the UNet that the layer belongs to.
  public enum Place: String, Sendable { case down = "down_blocks", middle = "mid_block", up = "up_blocks" }
  public enum Kind: String, Sendable { case selfAttention = "attn1", crossAttention = "attn2" }

  public var place: Place
  /// Index of the block within its place.
  public var block: Int
  /// Index of the transformer within its block.
  public var transformer: Int
  public var kind: Kind
  /// Sides of the token grid.
  public var rows: Int, columns: Int
  public var channels: Int, heads: Int

  public init(
    place: Place, block: Int, transformer: Int, kind: Kind, rows: Int, columns: Int, channels: Int, heads: Int
  ) {
    (self.place, self.block, self.transformer, self.kind) = (place, block, transformer, kind)
    (self.rows, self.columns, self.channels, self.heads) = (rows, columns, channels, heads)
  }

  /// Number of query tokens of one frame.
  public var tokens: Int { rows * columns }

  /// The layer's name in the checkpoint.
  public var description: String {
    let block = place == .middle ? place.rawValue : "\(place.rawValue).\(self.block)"
    return "\(block).attentions.\(transformer).transformer_blocks.0.\(kind.rawValue)"
  }
}

/// What an attention layer hands to its processor.
///
/// The batch holds `batches` runs of the same clip (one, or the two halves of classifier-free guidance: first the
/// unconditional, then the conditional), each of n / batches frames.
public struct AttentionCall: Sendable {
  public var site: AttentionSite
  public var batches: Int
  /// Queries (n, tokens, channels) and keys (m, k, channels); for self-attention m = n and all are factors, for
  /// cross-attention m = batches.
  public var operands: AttentionOperands
  /// (m, k, channels), read by the same lists as the keys.
  public var values: Tensor
  /// (head dimension)^-1/2
  public var scale: Float

  /// The call of one run of the batch alone.
  public func batch(_ index: Int) -> AttentionCall {
    let frames = operands.queries.shape[0] / batches
    let keyCount = operands.keys.shape[0] / batches
    let firstKey = index * keyCount
    var call = self
    call.batches = 1
    call.operands.queries = operands.queries.rows(index * frames..<(index + 1) * frames)
    call.operands.keys = operands.keys.rows(firstKey..<firstKey + keyCount)
    call.operands.keyFrames = operands.keyFrames[index * frames..<(index + 1) * frames].map { $0.map { $0 - firstKey } }
    call.values = values.rows(firstKey..<firstKey + keyCount)
    return call
  }
}

/// Computes the attention of every self- and cross-attention layer of a UNet pass: the one seam through which editing
/// reaches into the model.
public protocol AttentionProcessor {
  /// - Returns: (n, tokens, channels), as factors, before the output projection.
  func attend(_ call: AttentionCall, device: Device) throws -> Tensor
}

/// softmax(Q K^T * scale) V, nothing else.
public struct PlainAttention: AttentionProcessor {
  public init() {}
  public func attend(_ call: AttentionCall, device: Device) throws -> Tensor {
    try device.attention(call.operands, values: call.values, heads: call.site.heads, scale: call.scale)
  }
}
