import ArgumentParser
import FateZero
import MediaIO
import StableDiffusion
import Tensors

/// `fatezero plan`: everything that can be known before any work.
struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract:
      "Print what an edit would do: tokens and their alignment, words kept, replaced and blended, coupled layers, "
      + "windows, memory and time. Takes the options of edit; without INPUT a clip of the working size is assumed.")

  @OptionGroup var options: EditOptions

  func run() throws {
    try Interruption.watch()
    let job = try EditJob(options)
    let opened = try StableDiffusionModel(job.directory, device: nil)
    let (size, frames) = try clip(of: job, model: opened)
    let memoryLimit = job.memoryLimit
    let plan = try EditPlan(
      model: opened, edits: job.edits, frameSize: size, geometry: job.geometry, mask: options.givenMask
    ).fitted(frames: frames, limit: memoryLimit)
    let device = try Device(threads: job.edits[0].threads, precision: plan.precision)
    let report = PlanReport(
      job: job, plan: plan, frames: frames,
      operationsPerSecond: try MachineSpeed.operationsPerSecond(device, cancellation: Interruption.cancellation),
      memoryLimit: memoryLimit, observes: options.report != nil)
    try StandardOutput.lines(report.lines)
  }

  /// Size and number of the frames: the clip's, or what would be worked on.
  private func clip(of job: EditJob, model: StableDiffusionModel) throws -> (FrameSize, Int?) {
    if let input = job.input {
      let reader = try MediaReader(
        path: input, options: job.inputOptions, warn: { StandardError.line("fatezero: warning: \($0)") },
        isCancelled: { Interruption.isRequested })
      return (FrameSize(width: reader.info.width, height: reader.info.height), try reader.frameCount())
    }
    let frames = job.inputOptions.frames ?? (job.edits[0].clipLength == 0 ? nil : job.edits[0].clipLength)
    if let size = job.inputOptions.videoSize { return (FrameSize(width: size.width, height: size.height), frames) }
    if job.edits[0].size == nil, let side = job.configuredSide {
      return (FrameSize(width: side, height: side), frames)
    }
    return (EditPlan.assumedFrameSize(job.edits[0], model: model), frames)
  }
}

extension EditJob {
  /// Bytes the edit may plan to use; nil where nobody says.
  var memoryLimit: Int? { edits[0].usableMemory }
}
