import StableDiffusion
import Tensors

/// The attention of an edit step (FateZero section 3.2): the source's attention where it holds motion, layout and
/// background in place, the edit's own where the words changed. With guidance only the conditional run is controlled.
final class AttentionFusion: AttentionProcessor {
  private let source: [AttentionSite: SourceAttention]
  /// nil: cross-attention stays the edit's own.
  private let cross: (step: CrossAttentionFusion.Step, own: Tensor, source: Tensor)?
  private let fusesSelf: Bool
  /// The share of the edit's own self-attention, (frames * rows * columns) for a layer's sides; nil is none of it.
  private let ownShare: ((_ rows: Int, _ columns: Int) -> [Float])?
  /// Layers whose own cross-attention, as it was before the fusion, is handed to `observeOwnMap`.
  private let observedSites: Set<AttentionSite>
  private let observeOwnMap: (AttentionSite, Tensor) -> Void

  init(
    source: [AttentionSite: SourceAttention], cross: CrossAttentionFusion.Step?, fusesSelf: Bool,
    ownShare: ((_ rows: Int, _ columns: Int) -> [Float])?, observedSites: Set<AttentionSite> = [],
    observeOwnMap: @escaping (AttentionSite, Tensor) -> Void = { _, _ in }
  ) throws {
    self.source = source
    self.cross = try cross.flatMap { step in
      guard step.readsSource else { return nil }
      let length = step.own.count
      var diagonal = [Float](repeating: 0, count: length * length)
      for index in 0..<length { diagonal[index * length + index] = step.own[index] }
      return (
        step, try Tensor(diagonal, shape: [length, length]), try Tensor(step.source, shape: [length, length])
      )
    }
    self.fusesSelf = fusesSelf
    self.ownShare = ownShare
    self.observedSites = observedSites
    self.observeOwnMap = observeOwnMap
  }

  func attend(_ call: AttentionCall, device: Device) throws -> Tensor {
    let controlled: (AttentionCall, Device) throws -> Tensor
    if call.site.kind == .selfAttention, fusesSelf, let source = source[call.site] {
      controlled = { try self.fuseSelf($0, source, device: $1) }
    } else if call.site.kind == .crossAttention,
      observedSites.contains(call.site) || (cross != nil && source[call.site] != nil)
    {
      controlled = { try self.fuseCross($0, device: $1) }
    } else {
      return try PlainAttention().attend(call, device: device)
    }
    guard call.batches > 1 else { return try device.rounded(try controlled(call, device)) }
    let unconditional = try PlainAttention().attend(call.batch(0), device: device)
    return try device.concatenate([unconditional, try device.rounded(try controlled(call.batch(1), device))])
  }

  /// Rows inside the mask take the edit's map, rows outside the source's, all of them the edit's values.
  private func fuseSelf(_ call: AttentionCall, _ source: SourceAttention, device: Device) throws -> Tensor {
    let site = call.site
    let share =
      ownShare?(site.rows, site.columns)
      ?? [Float](repeating: 0, count: call.operands.queries.shape[0] * site.tokens)
    switch source {
    case .operands(let operands):
      return try device.blendedAttention(
        own: call.operands, source: operands, ownShare: share, values: call.values, heads: site.heads,
        scale: call.scale)
    case .map(let map):
      let kept = try device.apply(
        maps: try device.float32(map), values: call.values, valueFrames: call.operands.keyFrames, heads: site.heads)
      guard share.contains(where: { $0 != 0 }) else { return kept }
      let own = try PlainAttention().attend(call, device: device)
      return try AttentionFusion.mixRows(own, kept, share: share)
    }
  }

  private func fuseCross(_ call: AttentionCall, device: Device) throws -> Tensor {
    let site = call.site
    func own() throws -> Tensor { try device.attentionMaps(call.operands, heads: site.heads, scale: call.scale) }
    func apply(_ map: Tensor, _ values: Tensor) throws -> Tensor {
      try device.apply(maps: map, values: values, valueFrames: call.operands.keyFrames, heads: site.heads)
    }
    var ownMap: Tensor?
    if observedSites.contains(site) {
      let map = try own()
      observeOwnMap(site, map)
      ownMap = map
    }
    guard let cross, case .map(let sourceMap)? = source[site] else {
      return try apply(try ownMap ?? own(), call.values)
    }
    // (A diag(own) + S M) V: the small matrices go to the values, the maps are never mixed.
    let carried = try apply(try device.float32(sourceMap), try device.mixTokens(cross.source, call.values))
    guard cross.step.keepsOwn else { return carried }
    return try device.add(try apply(try ownMap ?? own(), try device.mixTokens(cross.own, call.values)), carried)
  }

  /// share * own + (1 - share) * kept, row by row; (n, q, c) each.
  private static func mixRows(_ own: Tensor, _ kept: Tensor, share: [Float]) throws -> Tensor {
    var mixed = kept.floats
    let values = own.floats
    let channels = own.shape[2]
    for (row, share) in share.enumerated() where share != 0 {
      for index in row * channels..<(row + 1) * channels {
        mixed[index] = share * values[index] + (1 - share) * mixed[index]
      }
    }
    return try Tensor(mixed, shape: own.shape)
  }
}
