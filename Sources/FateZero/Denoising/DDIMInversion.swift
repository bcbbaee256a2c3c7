import StableDiffusion
import Tensors

/// DDIM upwards with one prompt and without guidance, recording the attention that the plan's edits need.
final class DDIMInversion: Trajectory {
  let phase = ClipEditor.Progress.Phase.invert
  let start: Tensor
  private let text: TextConditioning
  private let run: WindowRun
  private let records: Bool
  private var recording: RecordingAttention?

  init(_ latents: Tensor, text: TextConditioning, in run: WindowRun, records: Bool) {
    (start, self.text, self.run, self.records) = (latents, text, run, records)
  }

  func pass(from latents: Tensor, step: Int) -> NetworkPass {
    recording = records ? run.recording(step: step) : nil
    return NetworkPass(
      [latents], timestep: run.plan.scheduler.inversionTimestep(step), text: text,
      processor: recording ?? PlainAttention())
  }

  func advance(_ latents: Tensor, predictions: [Tensor], step: Int, device: Device) throws -> Tensor {
    try run.plan.scheduler.invert(latents, output: predictions[0], step: step, device: device)
  }

  func adjust(_ latents: Tensor, step: Int) throws -> Tensor {
    if let recording { try run.record.set(recording.entries, step: step) }
    recording = nil
    return latents
  }
}
