import StableDiffusion
import Tensors

/// Inverts and edits one window of a clip. A run of the network is a pass; passes are counted.
final class WindowEditor {
  let plan: EditPlan
  private let model: StableDiffusionModel
  private let device: Device
  private let cancellation: Cancellation
  private let texts: Prompts<Tensor>
  private var conditionings: Prompts<TextConditioning>?
  /// Passes of the UNet so far.
  private(set) var passes = 0
  var report: (ClipEditor.Progress.Phase, Int) -> Void = { _, _ in }
  /// Takes what the user should know of.
  var warn: (String) -> Void = { _ in }
  let trace: Trace?
  private let poll: (() -> Void)?

  /// What the text encoder makes of the prompts, and what the UNet makes of that: with guidance the negative prompt's first.
  private struct Prompts<Value> {
    let source: Value
    let reconstruction: Value?
    let targets: [Value]

    func map<Other>(_ body: (Value) throws -> Other) rethrows -> Prompts<Other> {
      Prompts<Other>(
        source: try body(source), reconstruction: try reconstruction.map(body), targets: try targets.map(body))
    }
  }

  /// - Parameters:
  ///   - model: Loaded on `device`.
  ///   - poll: Called some times a second while this works, on the thread that calls it.
  /// - Throws: `EditError`, `CancellationRequested`.
  init(
    plan: EditPlan, model: StableDiffusionModel, device: Device, cancellation: Cancellation, trace: Trace?,
    poll: (() -> Void)?
  ) throws {
    (self.plan, self.model, self.device, self.cancellation, self.trace) = (plan, model, device, cancellation, trace)
    self.poll = poll
    try WindowEditor.prepare(.textEncoder, of: model, for: plan, on: device, cancellation, poll)
    texts = try device.perform(cancellation: cancellation, whileWaiting: poll) {
      func encode(_ tokens: [Int]) throws -> Tensor { try model.textEncoder(tokens, device: device) }
      let source = try encode(plan.sourceTokens)
      // A reconstruction is guided with the first edit's negative prompt.
      let reconstruction = try plan.reconstructionTokens.map { tokens in
        let prompt = try encode(tokens)
        guard plan.edits[0].settings.guidanceScale > 1 else { return prompt }
        return try device.concatenate([try encode(plan.negativeTokens[0]), prompt])
      }
      let targets = try zip(plan.edits, plan.negativeTokens).map { edit, negative in
        let target = try encode(edit.targetTokens)
        let negativeText = try encode(negative)
        trace?.setText(plan, edit, source: source, target: target, negative: negativeText, negativeTokens: negative)
        return edit.settings.guidanceScale > 1 ? try device.concatenate([negativeText, target]) : target
      }
      return Prompts(source: source, reconstruction: reconstruction, targets: targets)
    }
  }

  /// What the UNet reads of the prompts, made when it first works.
  private func prompts() throws -> Prompts<TextConditioning> {
    if let conditionings { return conditionings }
    try prepare(.unet)
    let made = try perform { try texts.map { try model.unet.condition(on: $0, device: device) } }
    conditionings = made
    return made
  }

  // MARK: Networks

  /// Loads a network where it is not, after those have left that the plan has no room for beside it.
  private func prepare(_ component: ModelComponent) throws {
    try WindowEditor.prepare(component, of: model, for: plan, on: device, cancellation, poll)
  }

  private static func prepare(
    _ component: ModelComponent, of model: StableDiffusionModel, for plan: EditPlan, on device: Device,
    _ cancellation: Cancellation, _ poll: (() -> Void)?
  ) throws {
    for other in plan.leaving where other != component { model.unload(other) }
    guard !model.loaded.contains(component) else { return }
    try device.perform(cancellation: cancellation, whileWaiting: poll) { try model.load(component, on: device) }
  }

  // MARK: Frames and latents

  /// Pictures (1, height, width, 3) in -1...1 -> latents (f, rows, columns, channels).
  func encode(_ pictures: [Tensor]) throws -> Tensor {
    // What encoding leaves in the pool fits no tensor of the UNet.
    defer { device.trimMemory() }
    try prepare(.vae)
    let latents = try pictures.enumerated().map { index, picture in
      let latents = try perform { try model.autoencoder.encode(picture, tiling: plan.tiling, device: device) }
      guard latents.isFinite else {
        throw EditError(
          .numerics,
          "the autoencoder's latents of frame \(index + 1) are not finite: check the checkpoint's weights")
      }
      report(.encode, index + 1)
      return latents
    }
    return try perform { try device.concatenate(latents) }
  }

  /// Latents -> pictures (1, height, width, 3), about -1...1.
  func decode(_ latents: Tensor, edit: Int?) throws -> [Tensor] {
    device.trimMemory()
    defer { device.trimMemory() }
    try prepare(.vae)
    var pictures: [Tensor] = []
    for index in 0..<latents.shape[0] {
      try perform {
        try model.autoencoder.decode(
          latents.rows(index..<index + 1), tiling: plan.tiling, device: device
        ) { pictures.append($1) }
      }
      guard pictures.last?.isFinite ?? false else {
        throw EditError(
          .numerics, "the decoded picture of frame \(index + 1) is not finite: check the autoencoder's weights")
      }
      report(.decode(edit: edit), index + 1)
    }
    return pictures
  }

  // MARK: Inversion

  /// DDIM upwards with the source prompt and without guidance, keeping what the edits of the plan will read.
  ///
  /// - Parameters:
  ///   - latents: z_0 of the window's own frames.
  ///   - carried: The frames of earlier windows that the window's coupling names, in its order.
  ///   - record: Empty; it takes what is kept.
  func invert(
    _ latents: Tensor, window: ClipWindow, carried: [CarriedFrame], record: AttentionRecord
  ) throws -> Inversion {
    let scheduler = plan.scheduler
    let prompts = try prompts()
    let source = prompts.source
    let fromReconstruction = plan.reconstructionTokens != nil
    var record = record
    var levels = [try joined(carried.map { $0.inversion[0] }, latents)]
    for step in 0..<scheduler.steps {
      let recording = RecordingAttention(plan.needs, step: step, keepsMaps: plan.record == .maps)
      let keeps = !fromReconstruction && plan.record != .recompute && plan.needs.wantsAnything(step: step)
      let output = try pass(
        levels[step], timestep: scheduler.inversionTimestep(step), text: source, window: window,
        processor: keeps ? recording : PlainAttention())
      if keeps { try record.set(recording.entries, step: step) }
      let next = try perform { try scheduler.invert(levels[step], output: output, step: step, device: device) }
      try checkFinite(
        next, "inversion step \(step + 1) of \(scheduler.steps)", from: levels[step],
        timestep: scheduler.inversionTimestep(step), text: source, window: window)
      levels.append(
        try joined(carried.map { $0.inversion[step + 1] }, next.rows(window.carried..<window.total)))
      report(.invert, step + 1)
    }
    trace?.setInversion(levels, window: window)
    guard fromReconstruction, let reconstruction = prompts.reconstruction else {
      return Inversion(
        basis: plan.inversionBasis, latents: levels, window: window, text: source, sourceLatents: levels,
        reconstruction: nil, record: record)
    }
    return try reconstruct(levels, window: window, carried: carried, text: reconstruction, record: record)
  }

  /// An inversion whose latents were kept.
  func restored(_ stored: InversionCache.Stored, window: ClipWindow) throws -> Inversion {
    let prompts = try prompts()
    let record = AttentionRecord(folder: stored.record, isInMemory: false)
    guard let states = stored.reconstruction, let reconstruction = prompts.reconstruction else {
      return Inversion(
        basis: plan.inversionBasis, latents: stored.latents, window: window, text: prompts.source,
        sourceLatents: stored.latents, reconstruction: nil, record: record)
    }
    return Inversion(
      basis: plan.inversionBasis, latents: stored.latents, window: window, text: reconstruction.conditional,
      sourceLatents: Array(states.dropLast().reversed()), reconstruction: states, record: record)
  }

  /// The ablation of the paper's figure 3a: the source is denoised again from z_N with guidance, and its attention is kept.
  private func reconstruct(
    _ levels: [Tensor], window: ClipWindow, carried: [CarriedFrame], text: TextConditioning, record: AttentionRecord
  ) throws -> Inversion {
    let scheduler = plan.scheduler
    var record = record
    var states = [levels[scheduler.steps]]
    for step in 0..<scheduler.steps {
      let sourceStep = scheduler.steps - 1 - step
      let recording = RecordingAttention(plan.needs, step: sourceStep, keepsMaps: plan.record == .maps)
      let keeps = plan.record != .recompute && plan.needs.wantsAnything(step: sourceStep)
      let state = states[step]
      let output = try guided(
        state, step: step, scale: plan.edits[0].settings.guidanceScale, text: text, window: window,
        processor: keeps ? recording : PlainAttention())
      if keeps { try record.set(recording.entries, step: sourceStep) }
      let next = try perform { try scheduler.denoise(state, output: output, step: step, device: device) }
      try checkFinite(
        next, "reconstruction step \(step + 1) of \(scheduler.steps)", from: state,
        timestep: scheduler.timesteps[step], text: text, window: window)
      states.append(
        try joined(carried.compactMap { $0.reconstruction?[step + 1] }, next.rows(window.carried..<window.total)))
      report(.reconstruct, step + 1)
    }
    trace?.setReconstruction(Array(states.dropFirst()), window: window)
    return Inversion(
      basis: plan.inversionBasis, latents: levels, window: window, text: text.conditional,
      sourceLatents: Array(states.dropLast().reversed()),
      reconstruction: states, record: record)
  }

  // MARK: Edit

  /// DDIM downwards from z_N with the target prompt, its attention fused with the source's.
  ///
  /// - Parameters:
  ///   - keeping: Frames of the run whose whole trajectory later windows will read.
  ///   - masks: The user's own, one for each frame of the run.
  ///   - observes: Whether what the words see and the masks cover is noted.
  /// - Returns: The edited latents, the carried frames first, for each kept frame x_0 ... x_N, the mean over the steps of
  ///   the blending mask where there is one, and what was noted.
  func edit(
    _ index: Int, of inversion: Inversion, carried: [CarriedFrame], keeping: [Int] = [],
    masks given: [SoftMask]? = nil, observes: Bool = false
  ) throws -> (latents: Tensor, kept: [[Tensor]], mask: MeanMask?, observed: WindowObservation.Edit?) {
    // The inversion's pass took one run of the clip, this one takes two: its blocks fit nothing any more.
    device.trimMemory()
    trace?.beginEdit(steps: plan.scheduler.steps)
    let edit = plan.edits[index]
    let text = try prompts().targets[index]
    let scheduler = plan.scheduler
    let window = inversion.window
    let finder = BlendMask(threshold: edit.settings.blendThreshold)
    /// The part of each cell that is edited: by the words, by the user's mask, or by both.
    func shares(_ found: [Float]?, rows: Int, columns: Int) -> [Float] {
      guard let given else { return found ?? [] }
      let own = given.flatMap { $0.resized(rows: rows, columns: columns) }
      return found.map { zip($0, own).map { $0 * $1 } } ?? own
    }
    let maskSites = Set(plan.maskSites)
    var targetAttention = emptyMaskAttention(window)
    var state = inversion.latents[scheduler.steps]
    var kept = try keeping.map { [try WindowEditor.copy(of: $0, in: state)] }
    var meanMask: MeanMask?
    let seen = observes ? emptySum : nil
    var maskShares: [(step: Int, share: Float)] = []
    func show(_ mask: [Float], step: Int, rows: Int, columns: Int) {
      let own = Array(mask.dropFirst(rows * columns * window.carried))
      if observes { maskShares.append((step, own.reduce(0, +) / Float(max(own.count, 1)))) }
      meanMask = meanMask?.adding(own) ?? MeanMask(own, rows: rows, columns: columns)
    }
    for step in 0..<scheduler.steps {
      let sourceStep = scheduler.steps - 1 - step
      let source = try sourceAttention(inversion, step: sourceStep, needs: edit.needs)
      let fusesSelf = edit.selfSteps.contains(step)

      // The mask of this step, for each resolution that asks.
      var sourceAttention = emptyMaskAttention(window)
      if !edit.findsMask {
        sourceAttention = nil
      } else if let attention = sourceAttention, (edit.blendsAttention && fusesSelf) || edit.blendsLatents {
        sourceAttention = plan.maskSites.reduce(into: attention) { attention, site in
          guard case .map(let map)? = source[site] else { return }
          attention.add(
            map.floats, heads: site.heads, tokens: PromptWords.contextLength, weights: edit.sourceBlendWeights)
        }
      }
      var ownShare: ((Int, Int) -> [Float])?
      if edit.blendsAttention, fusesSelf, sourceAttention != nil || given != nil {
        var masks: [[Int]: [Float]] = [:]
        for site in plan.sites where site.kind == .selfAttention && site.tokens <= plan.needs.maxTokens {
          let sides = [site.rows, site.columns]
          guard masks[sides] == nil else { continue }
          let found = sourceAttention.map { finder.mask($0, rows: site.rows, columns: site.columns) }
          let values = shares(found, rows: site.rows, columns: site.columns)
          if masks.isEmpty { show(values, step: step, rows: site.rows, columns: site.columns) }
          masks[sides] = values
          trace?.setSelfMask(values, step: step, rows: site.rows, columns: site.columns, window: window)
        }
        ownShare = { rows, columns in masks[[rows, columns]] ?? [] }
      }

      let fusion = try AttentionFusion(
        source: source, cross: edit.cross?.at(step: step), fusesSelf: fusesSelf, ownShare: ownShare,
        observedSites: edit.findsMask && edit.blendsLatents ? maskSites : []
      ) { site, map in
        targetAttention?.add(
          map.floats, heads: site.heads, tokens: PromptWords.contextLength, weights: edit.targetBlendWeights)
      }
      let output = try guided(
        state, step: step, scale: edit.settings.guidanceScale, text: text, window: window,
        processor: observing(fusion, seen))
      var next = try perform { try scheduler.denoise(state, output: output, step: step, device: device) }
      try checkFinite(
        next, "edit step \(step + 1) of \(scheduler.steps)", from: state, timestep: scheduler.timesteps[step],
        text: text, window: window)
      if edit.blendsLatents {
        let (rows, columns) = (plan.latentRows, plan.latentColumns)
        var found: [Float]?
        if let sourceAttention, let targetAttention {
          let sourceMask = finder.mask(sourceAttention, rows: rows, columns: columns)
          let union = zip(sourceMask, finder.mask(targetAttention, rows: rows, columns: columns)).map { max($0, $1) }
          trace?.setLatentMask(source: sourceMask, union: union, step: step, plan: plan, window: window)
          found = union
        }
        if found != nil || given != nil {
          let share = shares(found, rows: rows, columns: columns)
          next = try blend(next, with: inversion.latents[scheduler.steps - step], share: share, step: step)
          if !edit.blendsAttention { show(share, step: step, rows: rows, columns: columns) }
        }
      }
      state = try joined(carried.map { $0.edits[index][step + 1] }, next.rows(window.carried..<window.total))
      for (position, frame) in keeping.enumerated() {
        kept[position].append(try WindowEditor.copy(of: frame, in: state))
      }
      trace?.addEditStep(state, window: window)
      report(.edit(index), step + 1)
    }
    let observed = WindowObservation.Edit(
      maps: seen?.maps(edit.target, window: window), maskShares: maskShares)
    return (state, kept, meanMask, observes ? observed : nil)
  }

  // MARK: Observation

  private var emptySum: ObservingAttention.Sum? {
    plan.maskSites.first.map { ObservingAttention.Sum(rows: $0.rows, columns: $0.columns) }
  }

  private func observing(_ processor: any AttentionProcessor, _ sum: ObservingAttention.Sum?) -> any AttentionProcessor
  {
    sum.map { ObservingAttention(processor, sites: plan.maskSites, sum: $0) } ?? processor
  }

  /// Denoises from z_N with the source prompt, without guidance or fusion: what the inversion is worth, and where the
  /// source prompt's words are seen.
  /// - Returns: The latents, the carried frames first.
  func reconstructPlainly(_ inversion: Inversion) throws -> (latents: Tensor, maps: WindowObservation.WordMaps?) {
    let (scheduler, window) = (plan.scheduler, inversion.window)
    let source = try prompts().source
    let sum = emptySum
    var state = inversion.latents[scheduler.steps]
    for step in 0..<scheduler.steps {
      let (before, timestep) = (state, scheduler.timesteps[step])
      let output = try pass(
        before, timestep: timestep, text: source, window: window, processor: observing(PlainAttention(), sum))
      state = try perform { try scheduler.denoise(before, output: output, step: step, device: device) }
      try checkFinite(
        state, "step \(step + 1) of the reconstruction", from: before, timestep: timestep, text: source, window: window)
      report(.reconstruct, step + 1)
    }
    return (state, plan.source.flatMap { sum?.maps($0, window: window) })
  }

  /// One frame's latents by themselves: a view would keep the whole window.
  static func copy(of frame: Int, in latents: Tensor) throws -> Tensor {
    try Tensor(latents.rows(frame..<frame + 1).floats, shape: [1] + latents.shape.dropFirst())
  }

  /// What the source's attention saw at a step: from the record, or, where the record lacks it, computed again from the
  /// kept latents.
  private func sourceAttention(
    _ inversion: Inversion, step: Int, needs: RecordingNeeds
  ) throws -> [AttentionSite: SourceAttention] {
    guard needs.wantsAnything(step: step) else { return [:] }
    let wanted = plan.sites.filter { needs.wants($0, step: step) }
    do {
      let frames = inversion.window.total
      if let entries = try inversion.record.entries(step: step, sites: wanted, frames: frames) { return entries }
    } catch let error as ModelError {
      warn("the source's attention of step \(step + 1) is computed again: \(error)")
    }
    let recording = RecordingAttention(needs, step: step, keepsMaps: plan.record == .maps)
    _ = try pass(
      inversion.sourceLatents[step], timestep: plan.scheduler.inversionTimestep(step), text: inversion.text,
      window: inversion.window, processor: recording)
    return recording.entries
  }

  private func emptyMaskAttention(_ window: ClipWindow) -> BlendMask.Attention? {
    plan.maskSites.first.map { BlendMask.Attention(frames: window.total, rows: $0.rows, columns: $0.columns) }
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

  // MARK: Passes

  private func perform<Value>(_ body: () throws -> Value) throws -> Value {
    try device.perform(cancellation: cancellation, whileWaiting: poll, body)
  }

  private func pass(
    _ latents: Tensor, timestep: Int, text: TextConditioning, window: ClipWindow,
    processor: any AttentionProcessor, inspect: ((String, Tensor) throws -> Void)? = nil
  ) throws -> Tensor {
    passes += 1
    try prepare(.unet)
    return try perform {
      try model.unet(
        latents, timestep: timestep, text: text, coupling: window.coupledFrames(plan.coupling),
        couplingMinWidth: plan.couplingMinWidth, processor: processor, device: device, inspect: inspect)
    }
  }

  /// Classifier-free guidance (Ho and Salimans, equation 6): u + g (c - u).
  private func guided(
    _ state: Tensor, step: Int, scale: Float, text: TextConditioning, window: ClipWindow,
    processor: any AttentionProcessor
  ) throws -> Tensor {
    let outputs = try predictions(
      state, timestep: plan.scheduler.timesteps[step], text: text, window: window, processor: processor)
    guard outputs.count == 2 else { return outputs[0] }
    return try perform {
      let direction = try device.combine(1, outputs[1], -1, outputs[0])
      return try device.combine(1, outputs[0], scale, direction)
    }
  }

  /// What the UNet says of `state` under each of the texts, in one pass or, where memory is short, in one for each: what is
  /// controlled is then alone.
  private func predictions(
    _ state: Tensor, timestep: Int, text: TextConditioning, window: ClipWindow, processor: any AttentionProcessor,
    inspect: ((String, Tensor) throws -> Void)? = nil
  ) throws -> [Tensor] {
    func run(_ latents: Tensor, _ text: TextConditioning, _ processor: any AttentionProcessor) throws -> Tensor {
      try pass(latents, timestep: timestep, text: text, window: window, processor: processor, inspect: inspect)
    }
    guard text.batches == 2 else { return [try run(state, text, processor)] }
    if plan.economies.contains(.splitGuidance) {
      return [try run(state, text.unconditional, PlainAttention()), try run(state, text.conditional, processor)]
    }
    let doubled = try perform { try device.concatenate([state, state]) }
    let output = try run(doubled, text, processor)
    return [output.rows(0..<window.total), output.rows(window.total..<2 * window.total)]
  }

  private func joined(_ carried: [Tensor], _ own: Tensor) throws -> Tensor {
    carried.isEmpty ? own : try perform { try device.concatenate(carried + [own]) }
  }

  /// Ends the run where the latents left the numbers, naming the first layer whose output did. The pass is repeated with
  /// plain attention to find it.
  private func checkFinite(
    _ latents: Tensor, _ stage: String, from input: Tensor, timestep: Int, text: TextConditioning, window: ClipWindow
  ) throws {
    guard !latents.isFinite else { return }
    var culprit: String?
    _ = try predictions(
      input, timestep: timestep, text: text, window: window, processor: PlainAttention()
    ) { layer, output in
      if culprit == nil, !output.isFinite { culprit = layer }
    }
    let layer = culprit.map { "it began in the layer \($0)" } ?? "it began in the fused attention or the guidance"
    throw EditError(
      .numerics,
      "the latents are not finite after \(stage) (timestep \(timestep)); \(layer). Check the checkpoint's weights, or lower "
        + "guidance-scale and word-weights")
  }
}
