import StableDiffusion
import Tensors

/// The ablation of the paper's figure 3a: the source is denoised again from z_N with guidance, and edits fuse with the
/// attention of that pass.
public struct ReconstructionAttention: EditingMethod {
  public let name = "reconstruction"

  public init() {}

  public func needs(of edit: PlannedEdit, steps: Int, maskSites: [AttentionSite]) -> RecordingNeeds {
    FusedEdit.needs(of: edit, steps: steps, maskSites: maskSites)
  }

  public func source(_ latents: Tensor, in run: WindowRun) throws -> Inversion {
    let levels = try run.invert(latents, records: false)
    guard let text = try run.prompts().reconstruction else { return try run.inversion(levels) }
    let reconstruction = DDIMDenoising(
      levels[levels.count - 1], as: .reconstruct, text: text,
      guidanceScale: run.plan.edits[0].settings.guidanceScale, in: run, records: true)
    var loop = run.loop(reconstruction) { level in run.carried.compactMap { $0.reconstruction?[level] } }
    let states = try loop.all()
    run.networks.trace?.setReconstruction(Array(states.dropFirst()), window: run.window)
    return try run.inversion(levels, reconstruction: states)
  }

  public func trajectory(edit index: Int, of source: Inversion, in run: WindowRun) throws -> any Trajectory {
    try FusedEdit(index, of: source, in: run)
  }
}
