import StableDiffusion

/// Checkpoints that were opened, for runs that name the same ones.
final class CheckpointStore {
  private struct Key: Hashable {
    let path: String
    let options: Checkpoint.Options
  }
  private var checkpoints: [Key: Checkpoint] = [:]
  private var models: [Key: StableDiffusionModel] = [:]

  /// - Throws: `ModelError`.
  func checkpoint(_ path: String, _ options: Checkpoint.Options) throws -> Checkpoint {
    let key = Key(path: path, options: options)
    if let known = checkpoints[key] { return known }
    let opened = try Checkpoint(path: path, options: options)
    checkpoints[key] = opened
    return opened
  }

  /// The job's model without its weights.
  /// - Throws: `ModelError`.
  func model(of job: EditJob) throws -> StableDiffusionModel {
    let key = Key(path: job.directory.path, options: job.modelOptions)
    if let known = models[key] { return known }
    let model = try StableDiffusionModel(job.directory, device: nil)
    models[key] = model
    return model
  }
}
