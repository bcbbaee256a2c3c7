import StableDiffusion
import Tensors

/// What a run costs, predicted from shapes alone.
struct CostEstimate: Sendable {
  private let unet: UNetConfiguration
  private let autoencoder: AutoencoderConfiguration
  private let isTuned: Bool
  private let packedParameters: [ModelComponent: Int]

  init(model: StableDiffusionModel) {
    unet = model.unet.configuration
    autoencoder = model.autoencoder.configuration
    isTuned = model.unet.hasTemporalAttention
    let text = model.textEncoder.configuration
    var counts = model.parameterCounts
    counts[.textEncoder, default: 0] -= (text.vocabularySize + text.maximumPositions) * text.hiddenSize
    packedParameters = counts
  }

  /// Floating-point operations of each phase of one window.
  struct Work: Sendable {
    let encode: Double, invert: Double, reconstruct: Double
    /// Of one edit.
    let edit: Double
    /// Of one edit.
    let decode: Double
    /// Of the pass that an observation takes more, with its decoding.
    let observe: Double
  }

  func work(_ plan: EditPlan, window: ClipWindow, edit: PlannedEdit) -> Work {
    let keyFrames = max(plan.coupling.count, 1)
    let pass = unet.operations(
      rows: plan.latentRows, columns: plan.latentColumns, frames: window.total, keyFrames: keyFrames,
      couplingMinWidth: plan.couplingMinWidth)
    let steps = Double(plan.scheduler.steps)
    let frame = autoencoder.operations(
      rows: plan.latentRows, columns: plan.latentColumns, tiling: plan.tiling)
    let recomputed =
      plan.record == .recompute
      ? Double((0..<plan.scheduler.steps).filter { edit.needs.wantsAnything(step: $0) }.count) : 0
    return Work(
      encode: frame.encode * Double(window.count), invert: pass * steps,
      reconstruct: plan.reconstructionTokens == nil ? 0 : 2 * pass * steps,
      edit: pass * (steps * (edit.settings.guidanceScale > 1 ? 2 : 1) + recomputed),
      decode: frame.decode * Double(window.count), observe: pass * steps + frame.decode * Double(window.count))
  }

  /// Bytes of the record of one step and of the whole record. In floating point: absurd settings must not overflow.
  func recordBytes(_ plan: EditPlan, window: ClipWindow) -> (largestStep: Double, all: Double) {
    let isRelative = plan.coupling.isEmpty || plan.coupling.contains { if case .relative = $0 { true } else { false } }
    let keyFrames = isRelative ? window.total : min(Set(plan.coupling).count, window.total)
    let keysPerFrame = max(plan.coupling.count, 1)
    let sizes = (0..<plan.scheduler.steps).map { step in
      plan.sites.filter { plan.needs.wants($0, step: step) }.reduce(0.0) { bytes, site in
        let coupled = site.channels >= plan.couplingMinWidth
        let (frames, tokens) = (Double(window.total), Double(site.tokens))
        let numbers: Double
        switch (site.kind, plan.record) {
        case (.crossAttention, _):
          numbers = frames * Double(site.heads) * tokens * Double(PromptWords.contextLength)
        case (.selfAttention, .maps):
          numbers = frames * Double(site.heads) * tokens * tokens * Double(coupled ? keysPerFrame : 1)
        case (.selfAttention, _):
          numbers = (frames + Double(coupled ? keyFrames : window.total)) * tokens * Double(site.channels)
        }
        return bytes + Double(plan.precision.byteCount) * numbers
      }
    }
    return (sizes.max() ?? 0, sizes.reduce(0, +))
  }

  /// - Parameter isFirst: Whether the clip begins with this window.
  func memory(_ plan: EditPlan, window: ClipWindow, isFirst: Bool) -> MemoryEstimate {
    MemoryEstimate(
      unet: unet, autoencoder: autoencoder, isTuned: isTuned, packedParameters: packedParameters, plan: plan,
      window: window, isFirst: isFirst, record: recordBytes(plan, window: window))
  }
}

extension EditPlan {
  /// Peak bytes of a run over windows of this plan, predicted before it begins.
  /// - Parameter frames: Of the clip; nil where nobody knows yet, which is taken for more than one window.
  public func peakBytes(frames: Int?) -> Int {
    bytes(frames: frames) { estimate.memory(self, window: $0, isFirst: $1).peakBytes }
  }

  /// Refuses a run that would not fit, before it begins.
  /// - Parameter limit: Bytes; nil where nobody knows.
  /// - Throws: `EditError`.
  public func checkMemory(frames: Int?, limit: Int?) throws {
    let kept = recordBytes(frames: frames)
    if let recordFolder, let free = Folder.freeByteCount(recordFolder), kept > free {
      throw EditError(
        .memory,
        "record-dir: the source's attention takes \(Numerals.bytes(kept)), and in \(recordFolder) \(Numerals.bytes(free)) are "
          + "free; name another folder, or set record to recompute")
    }
    guard let limit else { return }
    let peak = peakBytes(frames: frames)
    guard peak > limit else { return }
    throw EditError(
      .memory,
      "the edit needs about \(Numerals.bytes(peak))\(economiesText.map { " (\($0))" } ?? ""), the limit is "
        + "\(Numerals.bytes(limit)); lower clip-length or size, \(isRecordInMemory ? "set record-dir or record to recompute, " : "")"
        + "or raise memory-limit")
  }

  /// Bytes of the packed weights of networks on a device.
  public func weightBytes(of loaded: Set<ModelComponent>, convolutions: Device.Convolutions) -> Int {
    var plan = self
    plan.convolutions = convolutions
    let memory = estimate.memory(plan, window: window(index: 0, count: 1), isFirst: false)
    return Int(min(memory.weightBytes(loaded, .all), 0x1p62))
  }

  /// Bytes of kept attention of the largest window.
  public func recordBytes(frames: Int?) -> Int {
    record == .recompute ? 0 : bytes(frames: frames) { window, _ in estimate.recordBytes(self, window: window).all }
  }

  private func bytes(frames: Int?, of window: (ClipWindow, _ isFirst: Bool) -> Double) -> Int {
    let kinds = windowKinds(frames: frames ?? (clipLength ?? 1) * 2)
    return Int(min(kinds.enumerated().map { window($1.window, $0 == 0) }.max() ?? 0, 0x1p62))
  }

  /// Floating-point operations of the whole run.
  /// - Parameter observes: Whether its windows come with an observation.
  public func operations(frames: Int, observes: Bool = false) -> Double {
    windowKinds(frames: frames).reduce(0) { total, kind in
      let works = edits.map { estimate.work(self, window: kind.window, edit: $0) }
      guard let first = works.first else { return total }
      let window =
        first.encode + first.invert + first.reconstruct + (observes ? first.observe : 0)
        + works.reduce(0) { $0 + $1.edit + $1.decode }
      return total + Double(kind.times) * window
    }
  }
}
