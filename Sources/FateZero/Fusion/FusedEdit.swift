import StableDiffusion
import Tensors

/// FateZero's edit: DDIM downwards from z_N with the target prompt, its attention fused with the source's and, if asked, its
/// latents blended with the inverted ones.
final class FusedEdit: Trajectory {
  let phase: ClipEditor.Progress.Phase
  let start: Tensor
  private var steps: Int { plan.scheduler.steps }
  private let edit: PlannedEdit
  private let text: TextConditioning
  private let inversion: Inversion
  private let run: WindowRun
  private let finder: BlendMask
  /// What the blend words saw: of the source at the step in work, of the target at all steps so far.
  private var sourceAttention, targetAttention: BlendMask.Attention?

  private var plan: EditPlan { run.plan }

  init(_ index: Int, of inversion: Inversion, in run: WindowRun) throws {
    phase = .edit(index)
    edit = run.plan.edits[index]
    text = try run.targetText(edit: index)
    (self.inversion, self.run) = (inversion, run)
    start = inversion.latents[run.plan.scheduler.steps]
    finder = BlendMask(threshold: edit.settings.blendThreshold)
    targetAttention = emptyAttention
  }

  /// Edit step i reads the source's step N-1-i: both were computed at the same timestep.
  static func needs(of edit: PlannedEdit, steps: Int, maskSites: [AttentionSite]) -> RecordingNeeds {
    var needs = RecordingNeeds(maxTokens: edit.settings.fusionMaxTokens)
    needs.selfSteps = Set(edit.selfSteps.map { steps - 1 - $0 })
    let crossSteps = (0..<steps).filter { edit.cross?.at(step: $0).readsSource ?? false }
    needs.crossSteps = Set(crossSteps.map { steps - 1 - $0 })
    if edit.findsMask, edit.blendsAttention { needs.maskSteps = needs.selfSteps }
    if edit.findsMask, edit.blendsLatents { needs.maskSteps = Set(0..<steps) }
    if edit.findsMask, edit.blendsAttention || edit.blendsLatents { needs.maskSites = Set(maskSites) }
    return needs
  }

  func pass(from latents: Tensor, step: Int) throws -> NetworkPass {
    let source = try run.sourceAttention(of: inversion, step: steps - 1 - step, needs: edit.needs)
    sourceAttention = maskAttention(of: source, step: step)
    let fusion = try AttentionFusion(
      source: source, cross: edit.cross?.at(step: step), fusesSelf: edit.selfSteps.contains(step),
      ownShare: ownShare(step: step),
      observedSites: edit.findsMask && edit.blendsLatents ? Set(plan.maskSites) : []
    ) { site, map in
      self.targetAttention?.add(
        map.floats, heads: site.heads, tokens: PromptWords.contextLength, weights: self.edit.targetBlendWeights)
    }
    return NetworkPass(guiding: latents, timestep: plan.scheduler.timesteps[step], text: text, processor: fusion)
  }

  func advance(_ latents: Tensor, predictions: [Tensor], step: Int, device: Device) throws -> Tensor {
    let output = try device.guided(predictions, scale: edit.settings.guidanceScale)
    return try plan.scheduler.denoise(latents, output: output, step: step, device: device)
  }

  func adjust(_ latents: Tensor, step: Int) throws -> Tensor {
    guard edit.blendsLatents else { return latents }
    let (rows, columns) = (plan.latentRows, plan.latentColumns)
    var found: [Float]?
    if let sourceAttention, let targetAttention {
      let sourceMask = finder.mask(sourceAttention, rows: rows, columns: columns)
      let union = zip(sourceMask, finder.mask(targetAttention, rows: rows, columns: columns)).map { max($0, $1) }
      run.networks.trace?.setLatentMask(source: sourceMask, union: union, step: step, plan: plan, window: run.window)
      found = union
    }
    guard found != nil || run.givenMasks != nil else { return latents }
    let share = shares(found, rows: rows, columns: columns)
    let blended = try blend(latents, with: inversion.latents[steps - step], share: share, step: step)
    if !edit.blendsAttention { run.maskHistory.add(share, step: step, rows: rows, columns: columns) }
    return blended
  }

  // MARK: Masks

  private var emptyAttention: BlendMask.Attention? {
    plan.maskSites.first.map { BlendMask.Attention(frames: run.window.total, rows: $0.rows, columns: $0.columns) }
  }

  /// Where the source saw the blend words at a step; nil where no mask is made of them.
  private func maskAttention(of source: [AttentionSite: SourceAttention], step: Int) -> BlendMask.Attention? {
    guard edit.findsMask, let attention = emptyAttention else { return nil }
    guard (edit.blendsAttention && edit.selfSteps.contains(step)) || edit.blendsLatents else { return attention }
    return plan.maskSites.reduce(into: attention) { attention, site in
      guard case .map(let map)? = source[site] else { return }
      attention.add(
        map.floats, heads: site.heads, tokens: PromptWords.contextLength, weights: edit.sourceBlendWeights)
    }
  }

  /// The edit's own share of self-attention at a step, for each resolution that asks.
  private func ownShare(step: Int) -> ((Int, Int) -> [Float])? {
    guard edit.blendsAttention, edit.selfSteps.contains(step), sourceAttention != nil || run.givenMasks != nil else {
      return nil
    }
    var masks: [[Int]: [Float]] = [:]
    for site in plan.sites where site.kind == .selfAttention && site.tokens <= plan.needs.maxTokens {
      let (rows, columns) = (site.rows, site.columns)
      guard masks[[rows, columns]] == nil else { continue }
      let found = sourceAttention.map { finder.mask($0, rows: rows, columns: columns) }
      let values = shares(found, rows: rows, columns: columns)
      if masks.isEmpty { run.maskHistory.add(values, step: step, rows: rows, columns: columns) }
      masks[[rows, columns]] = values
      run.networks.trace?.setSelfMask(values, step: step, rows: rows, columns: columns, window: run.window)
    }
    return { [masks] rows, columns in masks[[rows, columns]] ?? [] }
  }

  /// The part of each cell that is edited: by the words, by the user's mask, or by both.
  private func shares(_ found: [Float]?, rows: Int, columns: Int) -> [Float] {
    guard let given = run.givenMasks else { return found ?? [] }
    let own = given.flatMap { $0.resized(rows: rows, columns: columns) }
    return found.map { zip($0, own).map { $0 * $1 } } ?? own
  }

  /// Latent blending: outside of the mask the inverted latents come back. As in the reference, the inverted latents are one
  /// level noisier than the edited ones, the words' mask is the union of the source's at this step and the target's of all
  /// steps so far, and only steps strictly between 0.2 N and 0.8 N (counted from 1) are blended.
  /// - Parameter share: The edited part of each cell, (frames, rows, columns).
  private func blend(_ state: Tensor, with inverted: Tensor, share: [Float], step: Int) throws -> Tensor {
    let steps = Double(plan.scheduler.steps)
    guard step + 1 > Int(0.2 * steps), step + 1 < Int(0.8 * steps) else { return state }
    var values = inverted.floats
    let edited = state.floats
    for (cell, share) in share.enumerated() where share != 0 {
      for index in cell * plan.channels..<(cell + 1) * plan.channels {
        values[index] = share == 1 ? edited[index] : share * edited[index] + (1 - share) * values[index]
      }
    }
    return try Tensor(values, shape: state.shape)
  }
}
