import CFateZero
import FateZero
import StableDiffusion
import Tensors

/// What a context does, for one caller at a time: settings, the model, and the clip in work.
final class Session {
  let cancellation: Cancellation
  var callbacks = Callbacks()

  /// What the caller has set.
  private var given: Settings.Layer = []
  /// Changes with the settings.
  private var revision = 0
  private var opened: OpenedModel?
  private var loaded: LoadedModel?
  private var clip: ClipInWork?
  /// Edited frames that wait to be received, the next one last.
  private var ready: [EditedPicture] = []

  init(cancellation: Cancellation) { self.cancellation = cancellation }

  // MARK: - Settings

  func configure(_ layer: Settings.Layer) throws {
    for entry in layer { try Session.check(entry.name, entry.text) }
    given = layer
    revision += 1
  }

  func set(_ name: String, to text: String?) throws {
    if let text {
      try Session.check(name, text)
    } else if Knobs.named(name) == nil {
      try Session.check(name, "")
    }
    given.removeAll { $0.name == name }
    if let text { given.append((name, text)) }
    revision += 1
  }

  /// What one setting says about itself; what several say about each other is found by `check()`.
  private static func check(_ name: String, _ text: String) throws {
    var trial = Settings()
    try trial.set(name, to: text)
  }

  /// nil for an unknown name.
  func get(_ name: String) -> String? {
    switch name {
    case "preset": return given.last { $0.name == "preset" }?.text ?? ""
    case "model":
      let asked = given.last { $0.name == "model" }?.text ?? ""
      return opened.flatMap { $0.revision == revision ? $0.directory.path : nil } ?? asked
    default:
      let recommended = opened.flatMap { $0.revision == revision ? $0.recommended : nil } ?? []
      guard let settings = try? Settings(layers: [recommended, given]) else {
        // Settings that contradict each other are told as they were given.
        return given.last { $0.name == name }?.text ?? Settings().text(of: name)
      }
      return settings.text(of: name)
    }
  }

  func check() throws {
    try checkCancellation()
    let (model, settings) = try settle()
    let size = EditPlan.assumedFrameSize(settings, model: model)
    _ = try EditPlan(model: model, edits: [settings], frameSize: size)
  }

  /// The opened model and the settings in effect.
  private func settle() throws -> (model: StableDiffusionModel, settings: Settings) {
    let name = given.last { $0.name == "model" }?.text
    let path = try ModelLocation.find(name)
    if opened?.directory.path != path {
      if let note = ModelLocation.note(name) { callbacks.log(FATEZERO_LOG_INFORMATION, note) }
      opened = try OpenedModel(path: path)
      if loaded?.path != path { loaded = nil }
    }
    guard let opened else { throw Failure(FATEZERO_INTERNAL, "the model was not opened") }
    let settings = try Settings(layers: [opened.recommended, given])
    self.opened?.revision = revision
    return (opened.model, settings)
  }

  // MARK: - Streams

  func push(_ picture: Picture) throws {
    try checkCancellation()
    let clip = try clip(for: picture.size, frames: nil)
    let (frame, alpha) = try picture.read()
    try take(frame, Waiting(pts: picture.pts, alpha: alpha), into: clip)
  }

  /// - Returns: Whether there was a frame.
  func receive(into picture: Picture, setPTS: (Int64) -> Void) throws -> Bool {
    try checkCancellation()
    guard let edited = ready.last else { return false }
    try edited.write(into: picture)
    setPTS(edited.pts)
    ready.removeLast()
    return true
  }

  func drain() throws {
    try checkCancellation()
    guard let clip else { return }
    self.clip = nil
    let window = try clip.editor.finish()
    finish(window, of: clip)
  }

  func reset() {
    clip = nil
    ready = []
    cancellation.reset()
  }

  /// The clip that a frame belongs to.
  /// - Parameter frames: Of the clip, where that is known.
  private func clip(for size: FrameSize, frames: Int?) throws -> ClipInWork {
    if let clip, clip.revision == revision || clip.editor.pendingFrames > 0 { return clip }
    clip = nil
    let (model, settings) = try settle()
    let plan = try plan(settings, model: model, frameSize: size, frames: frames)
    let made = ClipInWork(editor: editor(plan, settings: settings, frames: frames), revision: revision)
    clip = made
    return made
  }

  private func take(_ frame: Frame, _ waiting: Waiting, into clip: ClipInWork) throws {
    guard FrameSize(width: frame.width, height: frame.height) == clip.editor.plan.frameSize else {
      throw Failure(
        FATEZERO_FRAMES,
        "a frame has \(frame.width)x\(frame.height) pixels where the clip began with \(clip.editor.plan.frameSize); drain "
          + "before a clip of another size")
    }
    clip.waiting.append(waiting)
    do {
      finish(try clip.editor.push(frame), of: clip)
    } catch {
      self.clip = nil
      throw error
    }
  }

  private func finish(_ window: ClipEditor.Window?, of clip: ClipInWork) {
    guard let window, let frames = window.edits.first else { return }
    tell(window, clip.editor.plan, waiting: clip.waiting, index: clip.windows)
    clip.windows += 1
    let edited = zip(frames, clip.waiting).map { EditedPicture(frame: $0, alpha: $1.alpha, pts: $1.pts) }
    clip.waiting = []
    ready = edited.reversed() + ready
  }

  // MARK: - Whole clips

  func edit(_ source: [Picture], into result: [Picture], setPTS: (Int, Int64) -> Void) throws {
    try checkCancellation()
    guard clip?.waiting.isEmpty ?? true, ready.isEmpty else {
      throw Failure(
        FATEZERO_INVALID_STATE, "frames of another clip are in work; drain and receive them, or reset the context")
    }
    clip = nil
    guard let first = source.first else { return }
    defer {
      clip = nil
      ready = []
    }
    var written = 0
    func write() throws {
      while let edited = ready.popLast() {
        try edited.write(into: result[written])
        setPTS(written, edited.pts)
        written += 1
      }
    }
    _ = try clip(for: first.size, frames: source.count)
    for picture in source {
      try push(picture)
      try write()
    }
    try drain()
    try write()
  }

  func invert(_ source: [Picture]) throws -> InvertedClip {
    try checkCancellation()
    guard let first = source.first else { throw Failure.argument("count is 0") }
    var (model, settings) = try settle()
    settings.clipLength = 0
    // Without an edit what it takes to keep the source is recorded.
    if settings.edit.isEmpty { settings.edit = settings.source ?? "" }
    let plan = try plan(settings, model: model, frameSize: first.size, frames: source.count)
    let editor = editor(plan, settings: settings, frames: source.count)
    let read = try source.map { try $0.read() }
    return InvertedClip(
      inversion: try editor.invert(read.map(\.frame)),
      waiting: zip(source, read).map { Waiting(pts: $0.pts, alpha: $1.alpha) })
  }

  func edit(_ inverted: InvertedClip, into result: [Picture], setPTS: (Int, Int64) -> Void) throws {
    try checkCancellation()
    var (model, settings) = try settle()
    settings.clipLength = 0
    let inversion = inverted.inversion
    let plan = try plan(settings, model: model, frameSize: inversion.frameSize, frames: inversion.frameCount)
    let editor = editor(plan, settings: settings, frames: inversion.frameCount)
    let window = try editor.edit(inversion)
    tell(window, plan, waiting: inverted.waiting, index: 0)
    for (index, frame) in (window.edits.first ?? []).enumerated() {
      let waiting = inverted.waiting[index]
      try EditedPicture(frame: frame, alpha: waiting.alpha, pts: waiting.pts).write(into: result[index])
      setPTS(index, waiting.pts)
    }
  }

  // MARK: - Work

  private func checkCancellation() throws {
    pollCancellation()
    if cancellation.isRequested { throw Failure.cancelled }
  }

  private func pollCancellation() {
    if callbacks.wantsCancellation { cancellation.request() }
  }

  /// - Parameter frames: Of the clip, where that is known.
  private func plan(
    _ settings: Settings, model: StableDiffusionModel, frameSize: FrameSize, frames: Int?
  ) throws -> EditPlan {
    let plan = try EditPlan(model: model, edits: [settings], frameSize: frameSize)
    for warning in plan.warnings { callbacks.log(FATEZERO_LOG_WARNING, warning) }
    try plan.checkMemory(frames: frames, limit: memoryLimit(settings))
    return plan
  }

  /// Bytes that an edit may plan to use, what this context holds already among them.
  private func memoryLimit(_ settings: Settings) -> Int? { settings.usableMemory }

  private func editor(_ plan: EditPlan, settings: Settings, frames: Int?) -> ClipEditor {
    let limit = memoryLimit(settings)
    var remaining = RemainingTime(expected: nil)
    return ClipEditor(plan: plan, cancellation: cancellation, memoryLimit: limit) { [unowned self] progress in
      pollCancellation()
      if progress.step == 0, progress.windowOperations.done == 0 {
        remaining = RemainingTime(
          expected: loaded?.operationsPerSecond.map { progress.windowOperations.all / $0 })
        windowTime = remaining
      }
      tell(progress, left: remaining.left(share: progress.windowShare))
    } engine: { [unowned self] in
      try load(threads: settings.threads, convolutions: plan.convolutions(frames: frames, memoryLimit: limit))
    }
  }

  private var windowTime = RemainingTime(expected: nil)

  /// The opened model's weights on a device.
  private func load(threads: Int, convolutions: Device.Convolutions) throws -> ClipEditor.Engine {
    guard let opened else { throw Failure(FATEZERO_INTERNAL, "the model was not opened") }
    if let loaded, loaded.path == opened.directory.path, loaded.threads == threads,
      loaded.engine.device.convolutions == convolutions
    {
      return loaded.engine
    }
    // First gone, then made: there may be no room for both.
    loaded = nil
    let device = try Device(threads: threads, convolutions: convolutions)
    let speed = try MachineSpeed.operationsPerSecond(device, cancellation: cancellation)
    var part: Int32 = 0
    func tell() {
      var progress = fatezero_progress()
      (progress.phase, progress.step, progress.steps) = (FATEZERO_PHASE_LOAD, part, 3)
      progress.seconds_left = -1
      callbacks.progress(progress)
      pollCancellation()
    }
    tell()
    let model = try device.perform(cancellation: cancellation) {
      try StableDiffusionModel(opened.directory, device: device) { _ in
        part += 1
        tell()
      }
    }
    let engine = ClipEditor.Engine(device: device, model: model)
    loaded = LoadedModel(
      path: opened.directory.path, threads: threads, engine: engine, operationsPerSecond: speed)
    return engine
  }

  private func tell(_ progress: ClipEditor.Progress, left: Double?) {
    var told = fatezero_progress()
    told.window = Int64(progress.window)
    told.frames = Int64(progress.frames)
    told.phase =
      switch progress.phase {
      case .encode: FATEZERO_PHASE_ENCODE
      case .invert: FATEZERO_PHASE_INVERT
      case .reconstruct: FATEZERO_PHASE_RECONSTRUCT
      case .edit: FATEZERO_PHASE_EDIT
      case .decode: FATEZERO_PHASE_DECODE
      }
    (told.step, told.steps) = (Int32(clamping: progress.step), Int32(clamping: progress.steps))
    told.fraction = progress.windowShare
    told.seconds_left = left ?? -1
    callbacks.progress(told)
  }

  private func tell(_ window: ClipEditor.Window, _ plan: EditPlan, waiting: [Waiting], index: Int) {
    var told = fatezero_window()
    told.window = Int64(index)
    told.frames = Int64(waiting.count)
    (told.first_pts, told.last_pts) = (waiting.first?.pts ?? Int64.min, waiting.last?.pts ?? Int64.min)
    told.seconds = windowTime.elapsed
    told.peak_memory = Int64(MachineMemory.peakResident)
    told.mask_share = window.masks.first.flatMap { $0 }.map { Double($0.share) } ?? -1
    callbacks.window(told, words: plan.edits.first?.fate(source: plan.source)?.exchanged ?? "")
  }
}

/// A model whose headers are read.
struct OpenedModel {
  let directory: ModelDirectory
  let model: StableDiffusionModel
  let recommended: Settings.Layer
  /// Of the settings that it was found to fit.
  var revision = -1

  init(path: String) throws {
    directory = try ModelDirectory(path: path)
    model = try StableDiffusionModel(directory, device: nil)
    recommended = try ModelDefaults.layer(of: directory)
  }
}

/// A model whose weights are packed.
struct LoadedModel {
  let path: String
  let threads: Int
  let engine: ClipEditor.Engine
  let operationsPerSecond: Double?
}

/// A clip between its first frame and its end.
final class ClipInWork {
  let editor: ClipEditor
  /// Of the settings that it was begun under.
  let revision: Int
  /// What the frames in work need beside their colours.
  var waiting: [Waiting] = []
  /// Edited so far.
  var windows = 0

  init(editor: ClipEditor, revision: Int) {
    self.editor = editor
    self.revision = revision
  }
}

/// What is handed back with an edited frame as it came.
struct Waiting {
  let pts: Int64
  let alpha: [UInt8]?
}

/// An inversion, and what its frames need beside their colours.
final class InvertedClip: Sendable {
  let inversion: Inversion
  let waiting: [Waiting]

  init(inversion: Inversion, waiting: [Waiting]) {
    self.inversion = inversion
    self.waiting = waiting
  }
}

/// An edited frame that waits to be received.
struct EditedPicture {
  let frame: Frame
  let alpha: [UInt8]?
  let pts: Int64

  func write(into picture: Picture) throws {
    guard picture.size == FrameSize(width: frame.width, height: frame.height) else {
      throw Failure(
        FATEZERO_FRAMES, "frame has room for \(picture.size) pixels where the clip has \(frame.width)x\(frame.height)")
    }
    picture.write(frame, alpha: alpha)
  }
}
