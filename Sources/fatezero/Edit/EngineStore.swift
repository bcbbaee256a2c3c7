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
  private var latest: (key: Key, engine: ClipEditor.Engine)?

  /// The device that a job's model is on, or will be loaded on.
  func device(of job: EditJob, plan: EditPlan, frames: Int?) throws -> Device {
    let key = key(job, plan, frames)
    if let latest, latest.key == key { return latest.engine.device }
    return try Device(threads: key.threads, precision: key.precision, convolutions: key.convolutions)
  }

  func engine(of job: EditJob, plan: EditPlan, frames: Int?, device: Device) throws -> ClipEditor.Engine {
    let key = key(job, plan, frames)
    if let latest, latest.key == key { return latest.engine }
    // Two do not fit.
    latest = nil
    let model = try device.perform(cancellation: Interruption.cancellation) {
      try StableDiffusionModel(job.directory, device: device)
    }
    let engine = ClipEditor.Engine(device: device, model: model)
    latest = (key, engine)
    return engine
  }

  private func key(_ job: EditJob, _ plan: EditPlan, _ frames: Int?) -> Key {
    Key(
      path: job.directory.path, identity: job.directory.identity, options: job.modelOptions,
      threads: job.edits[0].threads, precision: plan.precision,
      convolutions: plan.convolutions(frames: frames, memoryLimit: job.memoryLimit))
  }
}
