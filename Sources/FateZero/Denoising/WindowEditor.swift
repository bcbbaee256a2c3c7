import StableDiffusion
import Tensors

/// Inverts and edits the windows of a clip by the plan's method.
final class WindowEditor {
  let networks: WindowNetworks
  private var plan: EditPlan { networks.plan }

  init(_ networks: WindowNetworks) { self.networks = networks }

  /// What the plan's method keeps of the source.
  ///
  /// - Parameters:
  ///   - latents: z_0 of the window's own frames.
  ///   - carried: The frames of earlier windows that the window's coupling names, in its order.
  ///   - record: Empty; it takes what is kept.
  func invert(
    _ latents: Tensor, window: ClipWindow, carried: [CarriedFrame], record: AttentionRecord
  ) throws -> Inversion {
    let run = WindowRun(networks, window: window, carried: carried, record: record)
    return try plan.method.source(try networks.joined(carried.map { $0.inversion[0] }, latents), in: run)
  }

  /// An inversion whose latents were kept.
  func restored(_ stored: InversionCache.Stored, window: ClipWindow) throws -> Inversion {
    let record = AttentionRecord(folder: stored.record, isInMemory: false)
    return try WindowRun(networks, window: window, carried: [], record: record)
      .inversion(stored.latents, reconstruction: stored.reconstruction)
  }

  /// What an edit of a window comes to.
  struct Result {
    /// Edited, the carried frames first.
    let latents: Tensor
    /// For each kept frame x_0 ... x_N.
    let kept: [[Tensor]]
    /// The mean over the steps of the blending mask, where there is one.
    let mask: MeanMask?
    let observed: WindowObservation.Edit?
  }

  /// - Parameters:
  ///   - keeping: Frames of the run whose whole trajectory later windows will read.
  ///   - masks: The user's own, one for each frame of the run.
  ///   - observes: Whether what the words see and the masks cover is noted.
  func edit(
    _ index: Int, of inversion: Inversion, carried: [CarriedFrame], keeping: [Int] = [], masks: [SoftMask]? = nil,
    observes: Bool = false
  ) throws -> Result {
    // The inversion's pass took one run of the clip, this one takes two: its blocks fit nothing any more.
    networks.device.trimMemory()
    let window = inversion.window
    let run = WindowRun(networks, window: window, carried: carried, givenMasks: masks)
    let trajectory = try plan.method.trajectory(edit: index, of: inversion, in: run)
    networks.trace?.beginEdit(steps: plan.scheduler.steps)
    let seen = observes ? emptySum : nil
    var loop = run.loop(trajectory, seen: seen) { level in carried.map { $0.edits[index][level] } }
    var kept = try keeping.map { [try WindowEditor.copy(of: $0, in: loop.latents)] }
    while let latents = try loop.next() {
      for (position, frame) in keeping.enumerated() {
        kept[position].append(try WindowEditor.copy(of: frame, in: latents))
      }
      networks.trace?.addEditStep(latents, window: window)
    }
    let observed = WindowObservation.Edit(
      maps: seen?.maps(plan.edits[index].target, window: window), maskShares: run.maskHistory.shares)
    return Result(
      latents: loop.latents, kept: kept, mask: run.maskHistory.mean, observed: observes ? observed : nil)
  }

  private var emptySum: ObservingAttention.Sum? {
    plan.maskSites.first.map { ObservingAttention.Sum(rows: $0.rows, columns: $0.columns) }
  }

  /// Denoises from z_N with the source prompt, without guidance or fusion: what the inversion is worth, and where the
  /// source prompt's words are seen.
  /// - Returns: The latents, the carried frames first.
  func reconstructPlainly(_ inversion: Inversion) throws -> (latents: Tensor, maps: WindowObservation.WordMaps?) {
    let run = WindowRun(networks, window: inversion.window, carried: [])
    let sum = emptySum
    let reconstruction = DDIMDenoising(
      inversion.latents[inversion.latents.count - 1], as: .reconstruct, text: try run.sourceText(), in: run)
    var loop = run.loop(reconstruction, seen: sum)
    while try loop.next() != nil {}
    return (loop.latents, plan.source.flatMap { sum?.maps($0, window: inversion.window) })
  }

  /// One frame's latents by themselves: a view would keep the whole window.
  static func copy(of frame: Int, in latents: Tensor) throws -> Tensor {
    try Tensor(latents.rows(frame..<frame + 1).floats, shape: [1] + latents.shape.dropFirst())
  }
}
