import FateZero
import Files
import Glibc
import MediaIO
import StableDiffusion
import Tensors

/// One run of an edit: reads a clip, edits it window by window, and writes what comes out.
final class EditRun {
  /// What of an edit is done.
  enum Work {
    case everything
    /// Some windows of the clip, counted from 0, are finished and kept; no clip is written.
    case windows(Range<Int>, WindowResults)
    /// The clip is written from windows that are finished.
    case joining(WindowResults)
  }

  private let options: EditOptions
  private let work: Work
  private let checkpoints: CheckpointStore
  private let engines: EngineStore
  private let note: (String) -> Void
  private let job: EditJob
  private let progress: ProgressReport
  private var writers: [MediaWriter] = []
  private var masks: MaskOutput?
  private var page: EditReport?
  /// Frames wait here for their edited ones: what is written has the timestamps of what was read.
  private var waiting: [VideoFrame] = []
  /// The window's, where the report shows them.
  private var originals: [FateZero.Frame] = []

  /// - Parameters:
  ///   - note: Takes what is said on standard error too, a sentence each.
  ///   - onProgress: Called with each step, its share of the work, 0...1, and the seconds that are thought to be left.
  /// - Throws: `CommandFailure` and what the parts throw, for options that do not go together.
  init(
    _ options: EditOptions, work: Work = .everything, checkpoints: CheckpointStore = CheckpointStore(),
    engines: EngineStore, note: @escaping (String) -> Void = { _ in },
    onProgress: @escaping ProgressReport.Observer = { _, _, _ in }
  ) throws {
    (self.options, self.work, self.checkpoints, self.engines, self.note) = (options, work, checkpoints, engines, note)
    job = try EditJob(options, checkpoints: checkpoints)
    guard job.input != nil, let output = job.output else {
      throw CommandFailure(.usage, "INPUT and OUTPUT are needed; see fatezero help edit")
    }
    progress = try ProgressReport(
      editCount: job.edits.count, target: options.progress, framesOnOutput: output == "-", observer: onProgress)
  }

  private func tell(_ text: String) {
    progress.clearLine()
    StandardError.line("fatezero: \(text)")
    note(text)
  }

  private func warn(_ text: String) { tell("warning: \(text)") }

  /// What can be known before any work.
  private struct Preparation {
    let reader: MediaReader
    let plan: EditPlan
    /// nil where the clip does not say.
    let frames: Int?
    let outputs: [String]
    /// Bytes; decided once: of the machine's memory there is less when the model is loaded.
    let memoryLimit: Int?
  }

  /// - Throws: For whatever would fail before the first window.
  private func prepare(warn: @escaping (String) -> Void) throws -> Preparation {
    let (input, output) = (job.input ?? "", job.output ?? "")
    let outputs: [String] =
      if case .windows = work { [] } else { try OutputName.names(output, edits: job.edits.map(\.edit)) }
    if outputs == ["-"], isatty(STDOUT_FILENO) == 1 {
      throw CommandFailure(.usage, "frames are not written to a terminal; redirect standard output or name a file")
    }
    let reader = try MediaReader(
      path: input, options: job.inputOptions, warn: warn, isCancelled: { Interruption.isRequested })
    var plan = try EditPlan(
      model: try checkpoints.model(of: job), edits: job.edits,
      frameSize: FrameSize(width: reader.info.width, height: reader.info.height), geometry: job.geometry,
      mask: options.givenMask)
    let frames = reader.info.estimatedFrameCount
    plan.warnings.forEach(warn)
    if let path = options.trace {
      try checkTrace(path, beside: [input] + outputs, windows: frames.map { plan.windows(frames: $0).count })
    }
    let memoryLimit = job.memoryLimit
    plan = plan.fitted(frames: frames, limit: memoryLimit)
    try plan.checkMemory(frames: frames, limit: memoryLimit)
    return Preparation(reader: reader, plan: plan, frames: frames, outputs: outputs, memoryLimit: memoryLimit)
  }

  /// Finds out what would fail before the first window, and writes nothing.
  /// - Throws: What `run` would.
  func check() throws {
    let prepared = try prepare { _ in }
    for path in prepared.outputs where options.writing.videoCodec == nil {
      _ = try MediaWriter.defaultCodec(for: path, format: options.writing.outputFormat)
    }
    _ = try options.mask.map {
      try MaskInput(path: $0, size: prepared.plan.frameSize, memoryLimit: prepared.memoryLimit) { _ in }
    }
    if options.maskOutput != nil { try MaskOutput.check(prepared.plan) }
  }

  /// Reads the clip to its end: containers may say too much or too little.
  /// - Throws: What `run` would before the first window, with its outputs opened and left again.
  func countFrames() throws -> (plan: EditPlan, frames: Int) {
    let prepared = try prepare(warn: warn)
    _ = try writers(of: prepared)
    var frames = 0
    while try prepared.reader.nextFrame() != nil { frames += 1 }
    guard frames > 0 else { throw CommandFailure(.data, "\(prepared.reader.name) has no frame") }
    return (prepared.plan, frames)
  }

  private func writers(of prepared: Preparation) throws -> [MediaWriter] {
    try prepared.outputs.enumerated().map { index, path in
      try MediaWriter(
        path: path, options: options.writing.options(metadata: job.metadata(edit: index)), source: prepared.reader,
        width: prepared.plan.outputSize.width, height: prepared.plan.outputSize.height, warn: warn,
        isCancelled: { Interruption.isRequested })
    }
  }

  func run() throws {
    defer {
      progress.clearLine()
      // They warn through this run, and what was not finished goes when they do.
      (writers, masks, page) = ([], nil, nil)
    }
    if let note = job.modelNote { tell(note) }
    job.directory.assumptions.forEach(tell)
    let prepared = try prepare(warn: warn)
    let (reader, plan, frameCount, outputs) = (prepared.reader, prepared.plan, prepared.frames, prepared.outputs)
    writers = try writers(of: prepared)
    let storage = try options.caching.open(tell: tell)
    if let folder = options.report {
      do {
        page = try EditReport(
          folder: folder, job: job, plan: plan, frames: frameCount, overwrite: options.writing.overwrite)
      } catch let error as FileError { warn("there will be no report: \(error)") }
    }
    let givenMask = try options.mask.map {
      try MaskInput(path: $0, size: plan.frameSize, memoryLimit: prepared.memoryLimit, warn: warn)
    }
    if !outputs.isEmpty {
      masks = try options.maskOutput.map { path in
        try MaskOutput(
          try maskPaths(path, beside: [job.input ?? ""] + outputs), plan: plan,
          overwrite: options.writing.overwrite ? .replace : .refuse, source: reader, warn: warn)
      }
    }

    let windowCount = frameCount.map { plan.windows(frames: $0).count }
    let (selection, results): (ClipEditor.Selection, WindowResults?) =
      switch work {
      case .everything: (.all, storage?.windows)
      case .windows(let range, let results): (.only(range), results)
      case .joining(let results): (.finished, results)
      }
    let engine = { [engines, job] in try engines.engine(of: job, plan: $0) }
    var expected: Double?
    if selection != .finished {
      let device = try engines.device(of: job, plan: plan)
      let report = PlanReport(
        job: job, plan: plan, frames: frameCount,
        operationsPerSecond: try MachineSpeed.operationsPerSecond(device, cancellation: Interruption.cancellation),
        memoryLimit: prepared.memoryLimit, observes: page != nil)
      if case .only(let range) = selection {
        tell("windows \(range.lowerBound + 1) to \(range.upperBound) of \(report.headline)")
      } else {
        tell("\(report.headline); \(report.time)")
        expected = frameCount.map { _ in report.seconds }
      }
      _ = try engine(plan)
    }
    for (path, writer) in zip(outputs, writers) { tell("\(path == "-" ? "standard output" : path): \(writer.summary)") }

    let trace = options.trace.map { _ in Trace() }
    progress.totalOperations = frameCount.map { count in
      // Of a share of the windows: what lies behind is not counted, and what lies before is spared when it is met.
      guard case .only(let range) = selection, let length = plan.clipLength else {
        return plan.operations(frames: count, observes: page != nil)
      }
      return plan.operations(frames: min(count, range.upperBound * length))
    }
    progress.windowCount = windowCount
    let editor = ClipEditor(
      plan: plan, selection: selection, cancellation: Interruption.cancellation, memoryLimit: prepared.memoryLimit,
      cache: storage?.inversions, results: results, observes: page != nil, trace: trace, progress: progress.update,
      warn: warn, engine: engine)
    progress.beginWork(expectedSeconds: expected)

    var count = 0
    while !editor.hasEditedSelection, let frame = try reader.nextFrame() {
      count += 1
      waiting.append(
        VideoFrame(
          width: frame.width, height: frame.height, pixels: [], timestamp: frame.timestamp, duration: frame.duration))
      let picture = try Frame(width: frame.width, height: frame.height, pixels: frame.pixels)
      if page != nil { originals.append(picture) }
      if let window = try editor.push(picture, mask: givenMask?.nextFrame()) { try write(window, of: reader) }
    }
    if let wanted = job.wantedFrames, count < wanted, !editor.hasEditedSelection {
      throw CommandFailure(
        .data,
        "\(reader.name) has \(Numerals.count(count, "frame")) where the configuration takes \(wanted); set --frames to "
          + "take fewer")
    }
    if !editor.hasEditedSelection, let window = try editor.finish() { try write(window, of: reader) }
    if case .windows = work {
      guard editor.hasEditedSelection else {
        throw CommandFailure(
          .data, "\(reader.name) has \(Numerals.count(count, "frame")) only; it had more when the jobs were planned")
      }
    } else {
      try givenMask?.finish(warn: warn)
    }
    for writer in writers { try writer.finish() }
    try masks?.finish()
    try report { try $0.finish() }
    if page != nil, let folder = options.report { tell("\(folder)/index.html explains the edit") }
    if let trace, let path = options.trace {
      do { try trace.write(to: path) } catch let error as ModelError {
        throw CommandFailure(.inputOutput, error.description)
      }
    }
    storage?.windows.runEnded()
    progress.finish()
  }

  private func write(_ window: ClipEditor.Window, of reader: MediaReader) throws {
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
    try report { try $0.add(window, frames: originals) }
    originals = []
    if let last = waiting.last {
      progress.written(
        frames: waiting.count,
        until: (Double(last.timestamp) + Double(last.duration)) * reader.info.timeBase.value)
    }
    waiting = []
  }

  /// Works on the report, if there is one. What keeps it from the disk costs the report and not the edit.
  private func report(_ body: (EditReport) throws -> Void) throws {
    guard let page else { return }
    do { try body(page) } catch let error as FileError {
      warn("there is no report: \(error)")
      page.abandon()
      self.page = nil
    }
  }

  private func maskPaths(_ pattern: String, beside clips: [String]) throws -> [String] {
    let paths = try OutputName.names(pattern, edits: job.edits.map(\.edit))
    if let path = paths.first(where: { clips.contains($0) || $0 == "-" }) {
      throw CommandFailure(.usage, "--mask-output \(path): that is the clip; name another file")
    }
    return paths
  }

  /// Finds out before the work what would spoil it at its end.
  private func checkTrace(_ path: String, beside clips: [String], windows: Int?) throws {
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
      + (plan.economiesText.map { "; to save memory: \($0)" } ?? "")
  }
}
