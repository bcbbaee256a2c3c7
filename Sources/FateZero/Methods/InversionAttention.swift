import StableDiffusion
import Tensors

/// FateZero: DDIM inversion that records its attention, and edits that fuse with it.
public struct InversionAttention: EditingMethod {
  public let name = "inversion"
  public let sourceName = PlainInversion.inversionName

  public init() {}

  public func needs(of edit: PlannedEdit, steps: Int, maskSites: [AttentionSite]) -> RecordingNeeds {
    FusedEdit.needs(of: edit, steps: steps, maskSites: maskSites)
  }

  public func source(_ latents: Tensor, in run: WindowRun) throws -> Inversion {
    try run.inversion(try run.invert(latents, records: true))
  }

  public func trajectory(edit index: Int, of source: Inversion, in run: WindowRun) throws -> any Trajectory {
    try FusedEdit(index, of: source, in: run)
  }
}
