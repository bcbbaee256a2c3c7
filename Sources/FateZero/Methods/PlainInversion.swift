import StableDiffusion
import Tensors

/// DDIM inversion, then denoising with the target prompt: nothing of the source's attention is kept.
public struct PlainInversion: EditingMethod {
  static let inversionName = "DDIM"

  public let name = "none"
  public let sourceName = PlainInversion.inversionName

  public init() {}

  public func source(_ latents: Tensor, in run: WindowRun) throws -> Inversion {
    try run.inversion(try run.invert(latents, records: false))
  }

  public func trajectory(edit index: Int, of source: Inversion, in run: WindowRun) throws -> any Trajectory {
    DDIMDenoising(
      source.latents[source.latents.count - 1], as: .edit(index), text: try run.targetText(edit: index),
      guidanceScale: run.plan.edits[index].settings.guidanceScale, in: run)
  }
}
