import StableDiffusion
import Tensors

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
    let recomputed =
      plan.record == .recompute
      ? Double((0..<plan.scheduler.steps).filter { edit.needs.wantsAnything(step: $0) }.count) : 0
    return Work(
      encode: frame.encode * Double(window.count), invert: pass * steps,
      reconstruct: plan.reconstructionTokens == nil ? 0 : 2 * pass * steps,
      edit: pass * (steps * (edit.settings.guidanceScale > 1 ? 2 : 1) + recomputed),
      decode: frame.decode * Double(window.count))
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

  /// Peak bytes of a run: weights, record, latents and the largest moment of the UNet or the autoencoder.
  func peakBytes(_ plan: EditPlan, window: ClipWindow, convolutions: Device.Convolutions) -> Double {
    let record = recordBytes(plan, window: window)
    let kept = plan.record == .recompute ? record.largestStep : record.all
    let latent = 4 * Double(window.total * plan.latentRows * plan.latentColumns * plan.channels)
    let latents = latent * Double(plan.scheduler.steps + 1) * (plan.reconstructionTokens == nil ? 1 : 2)
    let runs = plan.edits.contains { $0.settings.guidanceScale > 1 } ? 2 : 1
    // Pictures wait at the working size, before and after; of frames there are two at a time, and the alpha of all.
    let frame = Double(plan.frameSize.width) * Double(plan.frameSize.height)
    let picture = Double(plan.workingSize.width) * Double(plan.workingSize.height) * 12
    let winograd = convolutions == .winograd ? winogradBytes(plan, frames: window.total) : (weights: 0, workspace: 0)
    return Double(60 << 20) + Double(parameterCount * plan.precision.byteCount) + kept + latents
      + max(unetBytes(plan, frames: window.total * runs), autoencoderBytes(plan)) + 6 * frame
      + Double(window.count) * (frame + picture * Double(1 + plan.edits.count)) + winograd.weights + winograd.workspace
  }

  /// Bytes of the packed weights.
  func weightBytes(_ plan: EditPlan, convolutions: Device.Convolutions) -> Double {
    Double(parameterCount * plan.precision.byteCount)
      + (convolutions == .winograd ? winogradBytes(plan, frames: 1).weights : 0)
  }

  /// What Winograd's convolutions need besides: weights of four times the size, and the workspace of the largest, in which
  /// the images and their transforms (2.25 times as large) lie.
  private func winogradBytes(_ plan: EditPlan, frames: Int) -> (weights: Double, workspace: Double) {
    let own = unet.convolutions(rows: plan.latentRows, columns: plan.latentColumns)
    let images = autoencoder.convolutions(rows: plan.latentRows, columns: plan.latentColumns)
    func bytes(_ shapes: [ConvolutionShape], images: Int) -> (weights: Double, workspace: Double) {
      let suited = shapes.filter(\.suitsWinograd)
      let workspace = suited.map { shape in
        4 * 3.25 * Double(images) * Double(shape.rows) * Double(shape.columns) * Double(shape.inputs + shape.outputs)
      }
      // Of the direct way's weights there are none then.
      let more = Double(4 * 4 - plan.precision.byteCount)
      return (suited.reduce(0) { $0 + more * $1.parameters }, workspace.max() ?? 0)
    }
    let parts = [bytes(own, images: frames), bytes(images.encode, images: 1), bytes(images.decode, images: 1)]
    return (parts.reduce(0) { $0 + $1.weights }, parts.map(\.workspace).max() ?? 0)
  }

  /// Activations of one pass: the skip connections, and what a transformer of the finest level holds at once (the
  /// feed-forward's eight widths beside its input, its norm and its result).
  private func unetBytes(_ plan: EditPlan, frames: Int) -> Double {
    var skips = 0.0
    var largest = 0.0
    let sides = unet.levelSides(rows: plan.latentRows, columns: plan.latentColumns)
    for (level, width) in unet.blockOutChannels.enumerated() {
      let plane = Double(frames) * Double(sides[level].rows * sides[level].columns) * Double(width) * 4
      skips += plane * Double(unet.layersPerBlock + 1)
      largest = max(largest, plane * (unet.downBlockHasAttention[level] ? 16 : 8))
    }
    return skips + largest
  }

  /// Activations of decoding one frame: a handful of the finest level's planes.
  private func autoencoderBytes(_ plan: EditPlan) -> Double {
    let widths = autoencoder.blockOutChannels
    let pixels = Double(plan.workingSize.width) * Double(plan.workingSize.height)
    return pixels * Double(widths.count > 1 ? max(widths[0], widths[1]) : widths[0]) * 4 * 6
  }
}

extension EditPlan {
  /// Peak bytes of a run over windows of this plan, predicted before it begins.
  /// - Parameters:
  ///   - frames: Of the clip; nil where nobody knows yet, which is taken for more than one window.
  ///   - convolutions: Of the device that the run is on.
  public func peakBytes(frames: Int?, convolutions: Device.Convolutions = .direct) -> Int {
    bytes(frames: frames) { estimate.peakBytes(self, window: $0, convolutions: convolutions) }
  }

  /// Refuses a run that would not fit, before it begins.
  /// - Parameter limit: Bytes; nil where nobody knows.
  /// - Throws: `EditError`.
  public func checkMemory(frames: Int?, limit: Int?) throws {
    guard let limit else { return }
    let peak = peakBytes(frames: frames)
    guard peak > limit else { return }
    throw EditError(
      .memory,
      "the edit needs about \(Numerals.bytes(peak)), the limit is \(Numerals.bytes(limit)); lower clip-length or size, "
        + "set record to recompute, or raise memory-limit")
  }

  /// How a run's convolutions are best computed: by Winograd's way, which is faster, where its memory fits.
  /// - Parameter memoryLimit: Bytes; nil where nobody knows.
  public func convolutions(frames: Int?, memoryLimit: Int?) -> Device.Convolutions {
    guard let memoryLimit else { return .direct }
    return peakBytes(frames: frames, convolutions: .winograd) <= memoryLimit ? .winograd : .direct
  }

  /// Bytes of the model's packed weights, which stay between the clips.
  public func weightBytes(convolutions: Device.Convolutions) -> Int {
    Int(min(estimate.weightBytes(self, convolutions: convolutions), 0x1p62))
  }

  /// Bytes of kept attention of the largest window.
  public func recordBytes(frames: Int?) -> Int {
    record == .recompute ? 0 : bytes(frames: frames) { estimate.recordBytes(self, window: $0).all }
  }

  private func bytes(frames: Int?, of window: (ClipWindow) -> Double) -> Int {
    let kinds = windowKinds(frames: frames ?? (clipLength ?? 1) * 2)
    return Int(min(kinds.map { window($0.window) }.max() ?? 0, 0x1p62))
  }

  /// Floating-point operations of the whole run.
  public func operations(frames: Int) -> Double {
    windowKinds(frames: frames).reduce(0) { total, kind in
      let works = edits.map { estimate.work(self, window: kind.window, edit: $0) }
      guard let first = works.first else { return total }
      let window = first.encode + first.invert + first.reconstruct + works.reduce(0) { $0 + $1.edit + $1.decode }
      return total + Double(kind.times) * window
    }
  }
}
