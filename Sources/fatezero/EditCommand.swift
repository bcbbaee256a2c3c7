import ArgumentParser
import FateZero
import Glibc
import MediaIO
import StableDiffusion
import Tensors

/// `fatezero edit`: a clip in, an edited clip out.
struct EditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "edit",
    abstract:
      "Edit a clip: invert it with the source prompt, keep what the attention saw, denoise with the edit's prompt.",
    discussion: """
      fatezero edit in.mp4 out.mp4 --edit "a [cat -> tiger] on the grass"
      fatezero edit in.mp4 out.mp4 --preset style --source "a cat" --edit "watercolor of a cat"
      ffmpeg -i in.mp4 -f yuv4mpegpipe - | fatezero edit - - --edit "a [cat -> tiger]" | ffmpeg -i - out.mp4

      The result has the clip's own size, rate, sound and metadata. Standard output carries frames only; messages \
      and progress go to standard error. Ctrl-C stops within seconds and leaves no file behind; a second one ends at \
      once. Exit statuses: see fatezero --help.
      """)

  @OptionGroup var options: EditOptions

  func run() throws {
    Interruption.watch()
    let job = try EditJob(options)
    guard let input = job.input, let output = job.output else {
      throw CommandFailure(.usage, "INPUT and OUTPUT are needed; see fatezero help edit")
    }
    let outputs = try OutputName.names(output, edits: job.edits.map(\.edit))
    if output == "-", isatty(STDOUT_FILENO) == 1 {
      throw CommandFailure(.usage, "frames are not written to a terminal; redirect standard output or name a file")
    }
    let progress = try ProgressReport(
      editCount: job.edits.count, target: options.progress, framesOnOutput: output == "-")
    let tell = { (text: String) in
      progress.clearLine()
      StandardError.line("fatezero: \(text)")
    }
    let warn = { (text: String) in tell("warning: \(text)") }
    defer { progress.clearLine() }

    if let note = job.modelNote { tell(note) }
    job.directory.assumptions.forEach(tell)
    let opened = try StableDiffusionModel(job.directory, device: nil)
    let reader = try MediaReader(
      path: input, options: job.inputOptions, warn: warn, isCancelled: { Interruption.isRequested })
    let plan = try EditPlan(
      model: opened, edits: job.edits, frameSize: FrameSize(width: reader.info.width, height: reader.info.height),
      geometry: job.geometry, mask: options.givenMask)
    let frameCount = reader.info.estimatedFrameCount
    plan.warnings.forEach(warn)
    if let path = options.trace {
      try Self.checkTrace(path, beside: [input] + outputs, windows: frameCount.map { plan.windows(frames: $0).count })
    }
    try plan.checkMemory(frames: frameCount, limit: job.memoryLimit)

    let writers = try outputs.enumerated().map { index, path in
      try MediaWriter(
        path: path, options: options.writing.options(metadata: job.metadata(edit: index)), source: reader,
        width: plan.outputSize.width, height: plan.outputSize.height, warn: warn,
        isCancelled: { Interruption.isRequested })
    }

    let cache = try options.caching.open(tell: tell)
    let page = try options.report.map {
      try EditReport(folder: $0, job: job, plan: plan, frames: frameCount, overwrite: options.writing.overwrite)
    }
    let givenMask = try options.mask.map { try MaskInput(path: $0, size: plan.frameSize, warn: warn) }
    let masks = try options.maskOutput.map { path in
      try MaskOutput(
        try Self.maskPaths(path, beside: [input] + outputs, edits: job.edits), plan: plan,
        overwrite: options.writing.overwrite ? .replace : .refuse, source: reader, warn: warn)
    }

    let device = try Device(
      threads: job.edits[0].threads, precision: plan.precision,
      convolutions: plan.convolutions(frames: frameCount, memoryLimit: job.memoryLimit))
    let report = PlanReport(
      job: job, plan: plan, frames: frameCount,
      operationsPerSecond: try MachineSpeed.operationsPerSecond(device, cancellation: Interruption.cancellation),
      memoryLimit: job.memoryLimit)
    tell("\(report.headline); \(report.time)")
    for (path, writer) in zip(outputs, writers) { tell("\(path == "-" ? "standard output" : path): \(writer.summary)") }

    let cancellation = Interruption.cancellation
    let model = try device.perform(cancellation: cancellation) {
      try StableDiffusionModel(job.directory, device: device)
    }
    let trace = options.trace.map { _ in Trace() }
    progress.totalOperations = frameCount.map { plan.operations(frames: $0) }
    progress.windowCount = frameCount.map { plan.windows(frames: $0).count }
    let engine = ClipEditor.Engine(device: device, model: model)
    let editor = ClipEditor(
      plan: plan, cancellation: cancellation, memoryLimit: job.memoryLimit, cache: cache,
      observes: page != nil, trace: trace,
      progress: progress.update, warn: warn
    ) { engine }
    progress.beginWork(expectedSeconds: frameCount.map { _ in report.seconds })

    // Frames wait here for their edited ones: what is written has the timestamps of what was read.
    var waiting: [VideoFrame] = []
    // The window's, where the report shows them.
    var originals: [FateZero.Frame] = []
    var count = 0
    func write(_ window: ClipEditor.Window) throws {
      for (writer, frames) in zip(writers, window.edits) {
        for (original, edited) in zip(waiting, frames) {
          let frame = try edited.frame()
          try writer.write(
            VideoFrame(
              width: frame.width, height: frame.height, pixels: frame.pixels, timestamp: original.timestamp,
              duration: original.duration))
        }
      }
      try masks?.write(window, at: waiting)
      try page?.add(window, frames: originals)
      originals = []
      if let last = waiting.last {
        progress.written(
          frames: waiting.count,
          until: (Double(last.timestamp) + Double(last.duration)) * reader.info.timeBase.value)
      }
      waiting = []
    }
    while let frame = try reader.nextFrame() {
      count += 1
      waiting.append(
        VideoFrame(
          width: frame.width, height: frame.height, pixels: [], timestamp: frame.timestamp, duration: frame.duration))
      let picture = try Frame(width: frame.width, height: frame.height, pixels: frame.pixels)
      if page != nil { originals.append(picture) }
      if let window = try editor.push(picture, mask: givenMask?.nextFrame()) { try write(window) }
    }
    if let wanted = job.wantedFrames, count < wanted {
      throw CommandFailure(
        .data,
        "\(reader.name) has \(Numerals.count(count, "frame")) where the configuration takes \(wanted); set --frames to "
          + "take fewer")
    }
    if let window = try editor.finish() { try write(window) }
    try givenMask?.finish(warn: warn)
    for writer in writers { try writer.finish() }
    try masks?.finish()
    try page?.finish()
    if let report = options.report { tell("\(report)/index.html explains the edit") }
    if let trace, let path = options.trace {
      do { try trace.write(to: path) } catch let error as ModelError {
        throw CommandFailure(.inputOutput, error.description)
      }
    }
    cache?.runEnded()
    progress.finish()
  }

  private static func maskPaths(_ pattern: String, beside clips: [String], edits: [Settings]) throws -> [String] {
    let paths = try OutputName.names(pattern, edits: edits.map(\.edit))
    if let path = paths.first(where: { clips.contains($0) || $0 == "-" }) {
      throw CommandFailure(.usage, "--mask-output \(path): that is the clip; name another file")
    }
    return paths
  }

  /// Finds out before the work what would spoil it at its end.
  private static func checkTrace(_ path: String, beside clips: [String], windows: Int?) throws {
    if clips.contains(path) { throw CommandFailure(.usage, "--trace \(path): that is the clip; name another file") }
    try OutputName.checkFolder(of: path, option: "--trace")
    if let windows, windows > 1 {
      throw CommandFailure(
        .usage,
        "--trace holds one window, and this clip has \(windows); raise clip-length (0 is the whole clip) or take fewer "
          + "frames")
    }
  }
}

extension PlanReport {
  /// One line before work begins.
  var headline: String {
    let count = frames.map { Numerals.count($0, "frame") } ?? "frames"
    return "\(count) of \(plan.frameSize), edited at \(plan.workingSize)"
      + (frames.map { plan.windows(frames: $0).count }.map { $0 > 1 ? " in \($0) windows" : "" } ?? "")
  }
}
