import StableDiffusion
import Tensors

/// How a clip is edited: what is computed of the source once for all edits of a window, and which way through the noise
/// levels each edit takes. A window knows its method through this protocol alone.
///
/// A method without inversion returns `WindowRun.inversion([latents])` as its source; a trajectory may put any number of runs
/// of the clip into one pass and has its own step of the scheduler.
public protocol EditingMethod: Sendable {
  /// Finished windows of methods of other names are not taken for this one's.
  var name: String { get }
  /// Inversions are shared by methods whose `source` computes the same: those with the same name here.
  var sourceName: String { get }

  /// Latents of each frame that `source` keeps: N + 1 of an inversion over N steps, 1 where only z_0 is kept.
  func sourceLevels(steps: Int) -> Int

  /// The attention of the source that the edit reads, at which steps. It is recorded in one pass for all edits.
  /// - Parameter maskSites: The cross-attention layers that blending masks are taken from.
  func needs(of edit: PlannedEdit, steps: Int, maskSites: [AttentionSite]) -> RecordingNeeds

  /// What all edits of a window share.
  /// - Parameter latents: z_0 of the run's frames, carried ones first.
  func source(_ latents: Tensor, in run: WindowRun) throws -> Inversion

  /// The way of one edit of the plan, of which the last latents are the result.
  func trajectory(edit index: Int, of source: Inversion, in run: WindowRun) throws -> any Trajectory
}

extension EditingMethod {
  public var sourceName: String { name }
  public func sourceLevels(steps: Int) -> Int { steps + 1 }
  public func needs(of edit: PlannedEdit, steps: Int, maskSites: [AttentionSite]) -> RecordingNeeds {
    RecordingNeeds(maxTokens: edit.settings.fusionMaxTokens)
  }
}

extension Settings.AttentionSource {
  var method: any EditingMethod {
    switch self {
    case .inversion: InversionAttention()
    case .reconstruction: ReconstructionAttention()
    case .none: PlainInversion()
    }
  }
}
