import StableDiffusion
import Tensors

/// What a run goes without where memory is short, the cheapest first. Each costs time; the frames are the same, but for the
/// rounding of passes of another size.
public enum Economy: Int, Sendable, CaseIterable, Comparable {
  /// The text encoder is there until the prompts are encoded, the autoencoder while it encodes and decodes. It is loaded
  /// again for each of them.
  case encodersLeave
  /// The UNet is not there while the autoencoder works, and is loaded again for each window's inversion and edit.
  case unetLeaves
  /// The two halves of classifier-free guidance are two passes instead of one of twice the frames.
  case splitGuidance
  /// The source's attention is computed again for each step of an edit instead of kept.
  case recomputedAttention

  public static func < (a: Economy, b: Economy) -> Bool { a.rawValue < b.rawValue }

  var leaving: Set<ModelComponent> {
    switch self {
    case .encodersLeave: [.textEncoder, .vae]
    case .unetLeaves: [.unet]
    case .splitGuidance, .recomputedAttention: []
    }
  }
}

extension EditPlan {
  /// The same plan in the fastest way that fits; where none does, in the most frugal one.
  ///
  /// Economies are made from the cheapest on until the run fits, and those that it fits without are then taken back, the
  /// costliest first. Tiles, which change the frames, are the last resort.
  /// - Parameters:
  ///   - frames: Of the clip; nil where nobody knows yet, which is taken for more than one window.
  ///   - limit: Bytes; nil where nobody knows: then nothing is saved, and nothing taken for speed.
  public func fitted(frames: Int?, limit: Int?) -> EditPlan {
    var plan = self
    (plan.convolutions, plan.economies, plan.tiling) = (.direct, [], nil)
    guard let limit else { return plan }
    func fits(_ plan: EditPlan) -> Bool { plan.peakBytes(frames: frames) <= limit }
    if Device.Convolutions.winograd.isAvailable {
      plan.convolutions = .winograd
      if fits(plan) { return plan }
      plan.convolutions = .direct
    }
    for economy in Economy.allCases where !fits(plan) && allows(economy) { plan.economies.insert(economy) }
    let tilings = AutoencoderTiling.candidates(rows: latentRows, columns: latentColumns)
    for tiling in tilings where !fits(plan) { plan.tiling = tiling }
    guard fits(plan) else { return plan }
    for economy in plan.economies.sorted(by: >) {
      plan.economies.remove(economy)
      if !fits(plan) { plan.economies.insert(economy) }
    }
    return plan
  }

  /// Whether an economy saves something that the user did not choose.
  private func allows(_ economy: Economy) -> Bool {
    switch economy {
    case .encodersLeave, .unetLeaves: true
    case .splitGuidance: edits.contains { $0.settings.guidanceScale > 1 }
    case .recomputedAttention: isRecordOpen
    }
  }

  /// Networks that leave when others work.
  var leaving: Set<ModelComponent> { economies.reduce(into: []) { $0.formUnion($1.leaving) } }

  /// Networks whose weights are there for the whole run.
  var staying: Set<ModelComponent> { Set(ModelComponent.allCases).subtracting(leaving) }

  /// Networks that are loaded before the first window: those that stay, and the one that works first.
  public var firstComponents: Set<ModelComponent> { staying.union([.textEncoder]) }

  /// The economies and tiles in words; nil where there are none.
  public var economiesText: String? {
    let isInTurns = leaving.count == ModelComponent.allCases.count
    var texts = economies.sorted().compactMap { economy -> String? in
      switch economy {
      case .encodersLeave: isInTurns ? "one network resident at a time" : "text encoder and autoencoder leave"
      case .unetLeaves: isInTurns ? nil : "the UNet leaves"
      case .splitGuidance: "guidance in two passes"
      case .recomputedAttention: "attention recomputed"
      }
    }
    if let tiling {
      let side = tiling.side * workingSize.width / latentColumns
      texts.append("the autoencoder works in tiles of \(side)x\(side)")
    }
    return texts.isEmpty ? nil : texts.joined(separator: ", ")
  }
}
