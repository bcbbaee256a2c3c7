import StableDiffusion

/// What a run costs, predicted from shapes alone.
struct CostEstimate: Sendable {
  private let unet: UNetConfiguration
  private let autoencoder: AutoencoderConfiguration
  private let parameterCount: Int

  init(model: StableDiffusionModel) {
    unet = model.unet.configuration
    autoencoder = model.autoencoder.configuration
    parameterCount = model.parameterCount
  }

  /// Floating-point operations of each phase of one window.
  struct Work: Sendable {
    let encode: Double, invert: Double, reconstruct: Double
    /// Of one edit.
    let edit: Double
    /// Of one edit.
    let decode: Double
  }

  func work(_ plan: EditPlan, window: ClipWindow, edit: PlannedEdit) -> Work {
    let keyFrames = max(plan.coupling.count, 1)
    let pass = unet.operations(
      rows: plan.latentRows, columns: plan.latentColumns, frames: window.total, keyFrames: keyFrames,
      couplingMinWidth: plan.couplingMinWidth)
    let steps = Double(plan.scheduler.steps)
    let frame = autoencoder.operations(rows: plan.latentRows, columns: plan.latentColumns)
    let recomputed = plan.record == .recompute
      ? Double((0..<plan.scheduler.steps).filter { edit.needs.wantsAnything(step: $0) }.count) : 0
    return Work(
      encode: frame.encode * Double(window.count), invert: pass * steps,
      reconstruct: plan.reconstructionTokens == nil ? 0 : 2 * pass * steps,
      edit: pass * (steps * (edit.settings.guidanceScale > 1 ? 2 : 1) + recomputed),
      decode: frame.decode * Double(window.count))
  }

  /// Bytes of the record of one step and of the whole record.
  func recordBytes(_ plan: EditPlan, window: ClipWindow) -> (largestStep: Int, all: Int) {
    let keyFrames = Set(window.coupledFrames(plan.coupling).joined()).count
    let keysPerFrame = max(plan.coupling.count, 1)
    let sizes = (0..<plan.scheduler.steps).map { step in
      plan.sites.filter { plan.needs.wants($0, step: step) }.reduce(0) { bytes, site in
        let coupled = site.channels >= plan.couplingMinWidth
        let numbers: Int
        switch (site.kind, plan.record) {
        case (.crossAttention, _):
          numbers = window.total * site.heads * site.tokens * PromptWords.contextLength
        case (.selfAttention, .maps):
          numbers = window.total * site.heads * site.tokens * site.tokens * (coupled ? keysPerFrame : 1)
        case (.selfAttention, _):
          numbers = (window.total + (coupled ? keyFrames : window.total)) * site.tokens * site.channels
        }
        return bytes + 4 * numbers
      }
    }
    return (sizes.max() ?? 0, sizes.reduce(0, +))
  }

  /// Peak bytes of a run: weights, record, latents and the largest moment of the UNet or the autoencoder.
  func peakBytes(_ plan: EditPlan, window: ClipWindow) -> Int {
    let record = recordBytes(plan, window: window)
    let kept = plan.record == .recompute ? record.largestStep : record.all
    let steps = plan.scheduler.steps
    let latents = 4 * window.total * plan.latentRows * plan.latentColumns * plan.channels * (steps + 1) * 2
    let runs = plan.edits.contains { $0.settings.guidanceScale > 1 } ? 2 : 1
    return 60 << 20 + parameterCount * 4 + kept + latents
      + max(unetBytes(plan, frames: window.total * runs), autoencoderBytes(plan))
      + window.count * (plan.frameSize.width * plan.frameSize.height * 3 * (1 + plan.edits.count)
        + plan.workingSize.width * plan.workingSize.height * 12)
  }

  /// Activations of one pass: the skip connections, and what a transformer of the finest level holds at once (the
  /// feed-forward's eight widths beside its input, its norm and its result).
  private func unetBytes(_ plan: EditPlan, frames: Int) -> Int {
    var (rows, columns) = (plan.latentRows, plan.latentColumns)
    var skips = 0
    var largest = 0
    for (level, width) in unet.blockOutChannels.enumerated() {
      let plane = frames * rows * columns * width * 4
      skips += plane * (unet.layersPerBlock + 1)
      largest = max(largest, plane * (unet.downBlockHasAttention[level] ? 16 : 8))
      (rows, columns) = ((rows + 1) / 2, (columns + 1) / 2)
    }
    return skips + largest
  }

  /// Activations of decoding one frame: a handful of the finest level's planes.
  private func autoencoderBytes(_ plan: EditPlan) -> Int {
    let widths = autoencoder.blockOutChannels
    let pixels = plan.workingSize.width * plan.workingSize.height
    let finest = pixels * (widths.count > 1 ? max(widths[0], widths[1]) : widths[0]) * 4
    return finest * 6
  }
}

extension EditPlan {
  /// Peak bytes of a run over windows of this plan, predicted before it begins.
  /// - Parameter frames: Of the clip.
  public func peakBytes(frames: Int) -> Int {
    windows(frames: frames).enumerated().map { estimate.peakBytes(self, window: window(index: $0.offset, count: $0.element)) }
      .max() ?? 0
  }

  /// Bytes of kept attention of the largest window.
  public func recordBytes(frames: Int) -> Int {
    guard record != .recompute else { return 0 }
    return windows(frames: frames).enumerated()
      .map { estimate.recordBytes(self, window: window(index: $0.offset, count: $0.element)).all }.max() ?? 0
  }

  /// Floating-point operations of the whole run.
  public func operations(frames: Int) -> Double {
    windows(frames: frames).enumerated().reduce(0) { total, entry in
      let window = window(index: entry.offset, count: entry.element)
      let works = edits.map { estimate.work(self, window: window, edit: $0) }
      guard let first = works.first else { return total }
      return total + first.encode + first.invert + first.reconstruct + works.reduce(0) { $0 + $1.edit + $1.decode }
    }
  }
}
