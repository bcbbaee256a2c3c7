import StableDiffusion
import Tensors

/// One window in the hands of an editing method: its plan, prompts, networks and frames.
public final class WindowRun {
  public var plan: EditPlan { networks.plan }
  /// Computes between passes, inside of `Trajectory.advance` only.
  public var device: Device { networks.device }
  let networks: WindowNetworks
  let window: ClipWindow
  /// Frames of earlier windows, before the window's own.
  let carried: [CarriedFrame]
  /// The user's masks, one for each frame of the run.
  let givenMasks: [SoftMask]?
  /// What the attention of the source is written to.
  var record: AttentionRecord
  /// Notes the masks of an edit.
  let maskHistory: MaskHistory

  init(
    _ networks: WindowNetworks, window: ClipWindow, carried: [CarriedFrame], givenMasks: [SoftMask]? = nil,
    record: AttentionRecord = AttentionRecord()
  ) {
    (self.networks, self.window, self.carried) = (networks, window, carried)
    (self.givenMasks, self.record) = (givenMasks, record)
    maskHistory = MaskHistory(carried: window.carried)
  }

  // MARK: Prompts

  func prompts() throws -> WindowNetworks.Prompts<TextConditioning> { try networks.prompts() }

  /// The source prompt, one run.
  public func sourceText() throws -> TextConditioning { try prompts().source }

  /// The prompts of an edit: with guidance the negative one, then the target's.
  public func targetText(edit index: Int) throws -> TextConditioning { try prompts().targets[index] }

  /// Several prompts side by side, for passes of as many runs.
  public func joined(_ texts: [TextConditioning]) throws -> TextConditioning {
    try networks.perform { try TextConditioning.joined(texts, device: device) }
  }

  // MARK: Source

  /// DDIM upwards with the source prompt and without guidance.
  /// - Parameter records: Whether the attention is kept that the plan's edits need.
  /// - Returns: z_0 ... z_N.
  public func invert(_ latents: Tensor, records: Bool) throws -> [Tensor] {
    let inversion = DDIMInversion(latents, text: try sourceText(), in: self, records: records)
    var loop = loop(inversion) { [carried] level in carried.map { $0.inversion[level] } }
    let levels = try loop.all()
    networks.trace?.setInversion(levels, window: window)
    return levels
  }

  /// What edits read of the source, of levels that `invert` computed or of z_0 alone.
  public func inversion(_ levels: [Tensor]) throws -> Inversion { try inversion(levels, reconstruction: nil) }

  /// - Parameter states: x_0 ... x_N of a reconstruction, where attention comes from one.
  func inversion(_ levels: [Tensor], reconstruction states: [Tensor]?) throws -> Inversion {
    let prompts = try prompts()
    guard let states, let reconstruction = prompts.reconstruction else {
      return Inversion(
        basis: plan.inversionBasis, latents: levels, window: window, text: prompts.source, sourceLatents: levels,
        reconstruction: nil, record: record)
    }
    return Inversion(
      basis: plan.inversionBasis, latents: levels, window: window, text: reconstruction.conditional,
      sourceLatents: Array(states.dropLast().reversed()), reconstruction: states, record: record)
  }

  /// What keeps the source's attention at a step, counted from the cleanest; nil where nothing is to be kept.
  func recording(step: Int) -> RecordingAttention? {
    guard plan.record != .recompute, plan.needs.wantsAnything(step: step) else { return nil }
    return RecordingAttention(plan.needs, step: step, keepsMaps: plan.record == .maps)
  }

  /// What the source's attention saw at a step, counted from the cleanest: from the record, or, where the record lacks it,
  /// computed again from the kept latents.
  public func sourceAttention(
    of inversion: Inversion, step: Int, needs: RecordingNeeds
  ) throws -> [AttentionSite: SourceAttention] {
    guard needs.wantsAnything(step: step) else { return [:] }
    let wanted = plan.sites.filter { needs.wants($0, step: step) }
    do {
      if let entries = try inversion.record.entries(step: step, sites: wanted, frames: window.total) { return entries }
    } catch let error as ModelError {
      networks.warn("the source's attention of step \(step + 1) is computed again: \(error)")
    }
    let recording = RecordingAttention(needs, step: step, keepsMaps: plan.record == .maps)
    let pass = NetworkPass(
      [inversion.sourceLatents[step]], timestep: plan.scheduler.inversionTimestep(step), text: inversion.text,
      processor: recording)
    _ = try networks.predict(pass, window: window)
    return recording.entries
  }

  // MARK: Steps

  func loop(
    _ trajectory: any Trajectory, seen: ObservingAttention.Sum? = nil, carried: ((_ level: Int) -> [Tensor])? = nil
  ) -> DenoisingLoop {
    DenoisingLoop(trajectory, networks: networks, window: window, carried: carried, seen: seen)
  }
}

/// The blending masks of an edit as its steps use them.
final class MaskHistory {
  private let carried: Int
  private(set) var mean: MeanMask?
  private(set) var shares: [(step: Int, share: Float)] = []

  init(carried: Int) { self.carried = carried }

  /// - Parameter mask: (frames, rows, columns), carried frames first.
  func add(_ mask: [Float], step: Int, rows: Int, columns: Int) {
    let own = Array(mask.dropFirst(rows * columns * carried))
    shares.append((step, own.reduce(0, +) / Float(max(own.count, 1))))
    mean = mean?.adding(own) ?? MeanMask(own, rows: rows, columns: columns)
  }
}
