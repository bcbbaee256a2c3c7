import FateZero
import StableDiffusion
import Tensors

/// The model that was loaded last, for runs that need the same one.
final class EngineStore {
  private struct Key: Equatable {
    let path: String, identity: String
    let options: Checkpoint.Options
    let threads: Int
    let precision: Device.Precision
    let convolutions: Device.Convolutions
  }
  private var latest: (key: Key, device: Device, model: StableDiffusionModel?)?

  /// The device that a job's model is on, or will be loaded on. What was loaded on another goes: two do not fit.
  func device(of job: EditJob, plan: EditPlan) throws -> Device {
    let key = Key(
      path: job.directory.path, identity: job.directory.identity, options: job.modelOptions,
      threads: job.edits[0].threads, precision: plan.precision, convolutions: plan.convolutions)
    if let latest, latest.key == key { return latest.device }
    latest = nil
    let device = try Device(threads: key.threads, precision: key.precision, convolutions: key.convolutions)
    latest = (key, device, nil)
    return device
  }

  /// With the weights that the plan begins with, if the model was not there yet.
  func engine(of job: EditJob, plan: EditPlan) throws -> ClipEditor.Engine {
    let device = try device(of: job, plan: plan)
    if let model = latest?.model { return ClipEditor.Engine(device: device, model: model) }
    let model = try device.perform(cancellation: Interruption.cancellation) {
      try StableDiffusionModel(job.directory, device: device, components: plan.firstComponents)
    }
    latest?.model = model
    return ClipEditor.Engine(device: device, model: model)
  }
}
