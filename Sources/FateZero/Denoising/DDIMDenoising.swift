import StableDiffusion
import Tensors

/// DDIM downwards from z_N, with guidance where the text has an unconditional run, recording the attention that the plan's
/// edits need where it is asked to.
final class DDIMDenoising: Trajectory {
  let phase: ClipEditor.Progress.Phase
  let start: Tensor
  private var steps: Int { run.plan.scheduler.steps }
  private let text: TextConditioning
  private let guidanceScale: Float
  private let run: WindowRun
  private let records: Bool
  private var recording: RecordingAttention?

  init(
    _ latents: Tensor, as phase: ClipEditor.Progress.Phase, text: TextConditioning, guidanceScale: Float = 1,
    in run: WindowRun, records: Bool = false
  ) {
    self.phase = phase
    (start, self.text, self.guidanceScale) = (latents, text, guidanceScale)
    (self.run, self.records) = (run, records)
  }

  func pass(from latents: Tensor, step: Int) -> NetworkPass {
    recording = records ? run.recording(step: steps - 1 - step) : nil
    return NetworkPass(
      guiding: latents, timestep: run.plan.scheduler.timesteps[step], text: text,
      processor: recording ?? PlainAttention())
  }

  func advance(_ latents: Tensor, predictions: [Tensor], step: Int, device: Device) throws -> Tensor {
    try run.plan.scheduler.denoise(
      latents, output: try device.guided(predictions, scale: guidanceScale), step: step, device: device)
  }

  func adjust(_ latents: Tensor, step: Int) throws -> Tensor {
    if let recording { try run.record.set(recording.entries, step: steps - 1 - step) }
    recording = nil
    return latents
  }
}
