import FateZero
import FoundationEssentials
import StableDiffusion

/// The model that is shipped, opened without its weights.
struct ToyWorld {
  static let path = URL(filePath: #filePath).appending(path: "../../../../Models/toyworld").standardized.path

  let model: StableDiffusionModel

  init() throws { model = try StableDiffusionModel(Checkpoint(path: Self.path), device: nil) }

  func plan(_ layer: Settings.Layer, frameSize: FrameSize = FrameSize(width: 64, height: 64)) throws -> EditPlan {
    let settings = try Settings(layers: [[("edit", "a [cat -> tiger] on the grass"), ("steps", "3")], layer])
    return try EditPlan(model: model, edits: [settings], frameSize: frameSize)
  }
}
