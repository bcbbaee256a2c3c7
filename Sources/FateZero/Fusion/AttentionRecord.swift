import StableDiffusion
import Tensors

/// What one attention layer of the source saw at one step.
public enum SourceAttention: Sendable {
  /// Queries and keys: the map is softmax(Q K^T * scale), several times smaller than the map itself.
  case operands(AttentionOperands)
  /// The map, (frames, heads, queries, keys).
  case map(Tensor)

  var byteCount: Int {
    switch self {
    case .operands(let operands): operands.queries.byteCount + operands.keys.byteCount
    case .map(let map): map.byteCount
    }
  }
}

/// Which layers to record at which steps. Steps are counted as in the inversion: k = 0 is the cleanest.
public struct RecordingNeeds: Sendable, Equatable {
  /// Layers with more query tokens are neither recorded nor fused.
  public var maxTokens: Int
  public var selfSteps: Set<Int>, crossSteps: Set<Int>
  /// Steps at which the cross-attention of `maskSites` is recorded.
  public var maskSteps: Set<Int>
  public var maskSites: Set<AttentionSite>

  public init(
    maxTokens: Int, selfSteps: Set<Int> = [], crossSteps: Set<Int> = [], maskSteps: Set<Int> = [],
    maskSites: Set<AttentionSite> = []
  ) {
    (self.maxTokens, self.selfSteps, self.crossSteps) = (maxTokens, selfSteps, crossSteps)
    (self.maskSteps, self.maskSites) = (maskSteps, maskSites)
  }

  func wants(_ site: AttentionSite, step: Int) -> Bool {
    guard site.tokens <= maxTokens else { return false }
    switch site.kind {
    case .selfAttention: return selfSteps.contains(step)
    case .crossAttention: return crossSteps.contains(step) || (maskSteps.contains(step) && maskSites.contains(site))
    }
  }

  /// Whether the layer is recorded at any step.
  func everWants(_ site: AttentionSite) -> Bool {
    guard site.tokens <= maxTokens else { return false }
    switch site.kind {
    case .selfAttention: return !selfSteps.isEmpty
    case .crossAttention: return !crossSteps.isEmpty || (!maskSteps.isEmpty && maskSites.contains(site))
    }
  }

  func wantsAnything(step: Int) -> Bool {
    selfSteps.contains(step) || crossSteps.contains(step) || maskSteps.contains(step)
  }

  func union(_ other: RecordingNeeds) -> RecordingNeeds {
    RecordingNeeds(
      maxTokens: max(maxTokens, other.maxTokens), selfSteps: selfSteps.union(other.selfSteps),
      crossSteps: crossSteps.union(other.crossSteps), maskSteps: maskSteps.union(other.maskSteps),
      maskSites: maskSites.union(other.maskSites))
  }
}

/// The attention of the source, by step and layer: in memory, in files, or in both.
struct AttentionRecord: Sendable {
  private var steps: [Int: [AttentionSite: SourceAttention]] = [:]
  private let folder: RecordFolder?
  private let isInMemory: Bool
  /// Why the folder lacks steps. Those that are not in memory either are computed again.
  private(set) var failure: ModelError?

  /// - Parameters:
  ///   - folder: Where every step is written too; what it holds already belongs to the record.
  ///   - isInMemory: Whether steps stay in memory besides.
  init(folder: RecordFolder? = nil, isInMemory: Bool = true) {
    self.folder = folder
    self.isInMemory = isInMemory || folder == nil
  }

  /// After the folder refused a step, it is asked for no more.
  mutating func set(_ entries: [AttentionSite: SourceAttention], step: Int) throws {
    if isInMemory { steps[step] = entries }
    guard failure == nil else { return }
    do { try folder?.write(entries, step: step) } catch let error as ModelError { failure = error }
  }

  /// Of what is in memory.
  var byteCount: Int { steps.values.reduce(0) { $0 + $1.values.reduce(0) { $0 + $1.byteCount } } }

  /// Whether anything is kept of a step.
  func holds(step: Int) -> Bool { steps[step] != nil || folder?.holds(step: step) ?? false }

  /// What is kept of these layers at a step; nil where it is not all kept.
  /// - Throws: `ModelError` where the folder's file is damaged.
  func entries(step: Int, sites: [AttentionSite], frames: Int) throws -> [AttentionSite: SourceAttention]? {
    let kept = try steps[step] ?? folder?.entries(step: step, sites: sites, frames: frames)
    return kept.flatMap { kept in sites.allSatisfy { kept[$0] != nil } ? kept : nil }
  }
}

/// Computes plain attention and keeps what a step's edit will read. Of a batch with guidance the conditional run is kept.
final class RecordingAttention: AttentionProcessor {
  private let needs: RecordingNeeds
  private let step: Int
  private let keepsMaps: Bool
  private(set) var entries: [AttentionSite: SourceAttention] = [:]

  init(_ needs: RecordingNeeds, step: Int, keepsMaps: Bool) {
    (self.needs, self.step, self.keepsMaps) = (needs, step, keepsMaps)
  }

  func attend(_ call: AttentionCall, device: Device) throws -> Tensor {
    let attended = try device.attention(
      call.operands, values: call.values, heads: call.site.heads, scale: call.scale)
    guard needs.wants(call.site, step: step) else { return attended }
    let kept = call.batch(call.batches - 1)
    // Maps over the text are as small as their queries and are read more than once; maps over pixels are not.
    if keepsMaps || call.site.kind == .crossAttention {
      let map = try device.attentionMaps(kept.operands, heads: call.site.heads, scale: call.scale)
      entries[call.site] = .map(try device.kept(map))
    } else {
      entries[call.site] = .operands(
        try RecordingAttention.compact(kept.operands, device: device))
    }
    return attended
  }

  /// Keeps the keys of the frames that are read, once each.
  private static func compact(_ operands: AttentionOperands, device: Device) throws -> AttentionOperands {
    let read = Set(operands.keyFrames.joined()).sorted()
    var compacted = operands
    if read.count < operands.keys.shape[0] {
      let position = Dictionary(uniqueKeysWithValues: read.enumerated().map { ($0.element, $0.offset) })
      compacted.keys = try device.concatenate(read.map { operands.keys.rows($0..<$0 + 1) })
      compacted.keyFrames = operands.keyFrames.map { $0.compactMap { position[$0] } }
    }
    compacted.keys = try device.kept(compacted.keys)
    compacted.queries = try device.kept(operands.queries)
    return compacted
  }
}
