import StableDiffusion
import Tensors

/// A way through noise levels: an inversion, a reconstruction, an edit. A `DenoisingLoop` takes its steps, as many as the
/// plan's scheduler has, counted from 0.
public protocol Trajectory: AnyObject {
  /// What progress and errors call it.
  var phase: ClipEditor.Progress.Phase { get }
  /// Where it begins: (frames, rows, columns, channels), the carried frames first.
  var start: Tensor { get }

  /// What the network is asked at a step, with what processes its attention.
  func pass(from latents: Tensor, step: Int) throws -> NetworkPass
  /// The scheduler's step.
  /// - Parameter predictions: What the network answered, one for each run of the pass.
  func advance(_ latents: Tensor, predictions: [Tensor], step: Int, device: Device) throws -> Tensor
  /// What becomes of finite latents after the scheduler's step; without a definition, nothing.
  func adjust(_ latents: Tensor, step: Int) throws -> Tensor
}

extension Trajectory {
  public func adjust(_ latents: Tensor, step: Int) throws -> Tensor { latents }
}

/// The steps of a trajectory, one by one: each asks the network, moves the latents, checks that they are finite and reports.
///
///     var loop = run.loop(trajectory)
///     while let latents = try loop.next() { ... }
struct DenoisingLoop {
  /// Of the level that was reached last.
  private(set) var latents: Tensor
  private var step = 0
  private let trajectory: any Trajectory
  private let networks: WindowNetworks
  private let window: ClipWindow
  /// For a level, counted from 0, the latents of the frames that follow the trajectory of their own window; nil: none do.
  private let carried: ((_ level: Int) -> [Tensor])?
  private let seen: ObservingAttention.Sum?

  init(
    _ trajectory: any Trajectory, networks: WindowNetworks, window: ClipWindow, carried: ((_ level: Int) -> [Tensor])?,
    seen: ObservingAttention.Sum?
  ) {
    (self.trajectory, self.networks, self.window) = (trajectory, networks, window)
    (self.carried, self.seen) = (carried, seen)
    latents = trajectory.start
  }

  /// Takes a step.
  /// - Returns: The latents that it reached; nil after the last step.
  /// - Throws: `EditError`, `CancellationRequested`.
  mutating func next() throws -> Tensor? {
    guard step < networks.plan.scheduler.steps else { return nil }
    var next = try advance()
    next = try trajectory.adjust(next, step: step)
    if let carried {
      next = try networks.joined(carried(step + 1), next.rows(window.carried..<window.total))
    }
    latents = next
    step += 1
    networks.report(trajectory.phase, step)
    return latents
  }

  /// All levels, from the start to the last.
  mutating func all() throws -> [Tensor] {
    var levels = [latents]
    while let next = try next() { levels.append(next) }
    return levels
  }

  private func advance() throws -> Tensor {
    var pass = try trajectory.pass(from: latents, step: step)
    if let seen { pass.processor = ObservingAttention(pass.processor, sites: networks.plan.maskSites, sum: seen) }
    let predictions = try networks.predict(pass, window: window)
    let next = try networks.perform {
      try trajectory.advance(latents, predictions: predictions, step: step, device: networks.device)
    }
    guard next.isFinite else { throw try failure(of: pass) }
    return next
  }

  /// Names the first layer whose output left the numbers. The pass is repeated with plain attention to find it.
  private func failure(of failed: NetworkPass) throws -> EditError {
    var pass = failed
    pass.processor = PlainAttention()
    var culprit: String?
    _ = try networks.predict(pass, window: window) { layer, output in
      if culprit == nil, !output.isFinite { culprit = layer }
    }
    let layer = culprit.map { "it began in the layer \($0)" } ?? "it began in the fused attention or the guidance"
    return EditError(
      .numerics,
      "the latents are not finite after \(trajectory.phase.noun) step \(step + 1) of \(networks.plan.scheduler.steps) "
        + "(timestep \(pass.timestep)); \(layer). Check the checkpoint's weights, or lower guidance-scale and word-weights"
    )
  }
}

extension ClipEditor.Progress.Phase {
  fileprivate var noun: String {
    switch self {
    case .invert: "inversion"
    case .reconstruct: "reconstruction"
    case .encode, .edit, .decode: name
    }
  }
}
