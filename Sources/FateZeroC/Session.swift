import CFateZero
import FateZero
import StableDiffusion
import Tensors

/// What a context does, for one caller at a time: settings, the model, and the clip in work.
final class Session {
  let cancellation: Cancellation
  var callbacks = Callbacks()
  private var given = GivenSettings()
  private let model = ModelInUse()
  /// Revision of the settings that `check()` or a clip has found to fit the opened model.
  private var settledRevision: Int?
  private var clip: ClipInWork?
  /// Edited frames that wait to be received, the next one last.
  private var ready: [EditedPicture] = []
  /// Of the window in work.
  private var time = RemainingTime(expected: nil)

  init(cancellation: Cancellation) { self.cancellation = cancellation }

  // MARK: - Settings

  func configure(_ layer: Settings.Layer) throws { try given.replace(by: layer) }

  func set(_ name: String, to text: String?) throws { try given.set(name, to: text) }

  /// nil for an unknown name.
  func get(_ name: String) -> String? {
    let isSettled = settledRevision == given.revision
    switch name {
    case "preset": return given.text(of: name) ?? ""
    case "model": return (isSettled ? model.opened?.directory.path : nil) ?? given.text(of: name) ?? ""
    default:
      let recommended = isSettled ? model.opened?.recommended ?? [] : []
      // Settings that contradict each other are told as they were given.
      guard let settings = try? Settings(layers: [recommended, given.layer]) else {
        return given.text(of: name) ?? Settings().text(of: name)
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
    settledRevision = nil
    let name = given.text(of: "model")
    let path = try ModelLocation.find(name)
    let options = try ModelOptions.checkpoint(given.layer, model: path)
    let isOpen = model.isOpen(path: path, options: options)
    if !isOpen, let note = ModelLocation.note(name) {
      callbacks.log(FATEZERO_LOG_INFORMATION, note)
    }
    let opened = try model.open(path: path, options: options)
    if !isOpen { opened.directory.assumptions.forEach { callbacks.log(FATEZERO_LOG_INFORMATION, $0) } }
    let settings = try Settings(layers: [opened.recommended, given.layer])
    settledRevision = given.revision
    return (opened.model, settings)
  }

  // MARK: - Streams

  func push(_ picture: Picture) throws {
    try checkCancellation()
    let clip = try clip(for: picture.size, frames: nil)
    guard picture.size == clip.editor.plan.frameSize else {
      throw Failure(
        FATEZERO_FRAMES,
        "the frame has \(picture.size) pixels where the clip began with \(clip.editor.plan.frameSize); drain before a clip "
          + "of another size")
    }
    let alpha = try picture.alpha()
    do {
      clip.waiting.append(Waiting(pts: picture.pts, alpha: alpha))
      finish(try clip.editor.push(picture), of: clip)
    } catch {
      self.clip = nil
      throw error
    }
  }

  /// - Returns: Whether there was a frame.
  func receive(into picture: Picture, setPTS: (Int64) -> Void) throws -> Bool {
    try checkCancellation()
    guard let edited = ready.last else { return false }
    try picture.write(edited.frame, alpha: edited.waiting.alpha)
    setPTS(edited.waiting.pts)
    ready.removeLast()
    return true
  }

  func drain() throws {
    try checkCancellation()
    guard let clip else { return }
    self.clip = nil
    finish(try clip.editor.finish(), of: clip)
  }

  func reset() {
    clip = nil
    ready = []
    cancellation.reset()
  }

  /// The clip that the next frame belongs to.
  /// - Parameter frames: Of the clip, where that is known.
  private func clip(for size: FrameSize, frames: Int?) throws -> ClipInWork {
    // New settings hold from the next window on.
    if let clip, clip.revision == given.revision || !clip.waiting.isEmpty { return clip }
    clip = nil
    let (model, settings) = try settle()
    let plan = try EditPlan(model: model, edits: [settings], frameSize: size)
    let made = ClipInWork(
      editor: try editor(plan, settings: settings, frames: frames), revision: given.revision)
    clip = made
    return made
  }

  private func finish(_ window: ClipEditor.Window?, of clip: ClipInWork) {
    guard let window else { return }
    tell(window, clip.editor.plan, waiting: clip.waiting, index: clip.windows)
    clip.windows += 1
    ready = zip(window.edits[0], clip.waiting).map(EditedPicture.init).reversed() + ready
    clip.waiting = []
  }

  // MARK: - Whole clips

  func edit(_ source: [Picture], into result: [Picture], setPTS: (Int, Int64) -> Void) throws {
    try checkCancellation()
    guard clip?.waiting.isEmpty ?? true, ready.isEmpty else {
      throw Failure(
        FATEZERO_INVALID_STATE, "frames of another clip are in work; drain and receive them, or reset the context")
    }
    clip = nil
    defer {
      clip = nil
      ready = []
    }
    var written = 0
    func write() throws {
      while let edited = ready.popLast() {
        try result[written].write(edited.frame, alpha: edited.waiting.alpha)
        setPTS(written, edited.waiting.pts)
        written += 1
      }
    }
    _ = try clip(for: source[0].size, frames: source.count)
    for picture in source {
      try push(picture)
      try write()
    }
    try drain()
    try write()
  }

  func invert(_ source: [Picture]) throws -> InvertedClip {
    try checkCancellation()
    var (model, settings) = try settle()
    settings.clipLength = 0
    // Without an edit, what it takes to keep the source is recorded.
    if settings.edit.isEmpty { settings.edit = settings.source ?? "" }
    let plan = try EditPlan(model: model, edits: [settings], frameSize: source[0].size)
    let editor = try editor(plan, settings: settings, frames: source.count)
    let waiting = try source.map { Waiting(pts: $0.pts, alpha: try $0.alpha()) }
    return InvertedClip(inversion: try editor.invert(source), waiting: waiting)
  }

  func edit(_ inverted: InvertedClip, into result: [Picture], setPTS: (Int, Int64) -> Void) throws {
    try checkCancellation()
    var (model, settings) = try settle()
    settings.clipLength = 0
    let inversion = inverted.inversion
    // What it has kept stays.
    if settings.record == .auto { settings.record = inversion.keepsAttention ? .queriesKeys : .recompute }
    let plan = try EditPlan(model: model, edits: [settings], frameSize: inversion.frameSize)
    try inversion.check(plan)
    let editor = try editor(
      plan, settings: settings, frames: inversion.frameCount, heldBytes: inversion.byteCount)
    let window = try editor.edit(inversion)
    tell(window, plan, waiting: inverted.waiting, index: 0)
    for (index, edited) in zip(window.edits[0], inverted.waiting).map(EditedPicture.init).enumerated() {
      try result[index].write(edited.frame, alpha: edited.waiting.alpha)
      setPTS(index, edited.waiting.pts)
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

  /// An editor whose work fits the memory.
  /// - Parameters:
  ///   - frames: Of the clip, where that is known.
  ///   - heldBytes: Of what the work needs, those in use already, besides the model's.
  private func editor(
    _ plan: EditPlan, settings: Settings, frames: Int?, heldBytes: Int = 0
  ) throws -> ClipEditor {
    for warning in plan.warnings { callbacks.log(FATEZERO_LOG_WARNING, warning) }
    var limit = settings.usableMemory
    // What the machine has available lacks what is held; a limit of the caller's does not.
    if settings.memoryLimit == 0 { limit = limit.map { $0 + model.heldBytes(plan) + heldBytes } }
    let plan = plan.fitted(frames: frames, limit: limit)
    try plan.checkMemory(frames: frames, limit: limit)
    if let opened = model.opened {
      callbacks.log(
        FATEZERO_LOG_INFORMATION,
        "frames of \(plan.frameSize), edited at \(plan.workingSize) with the model \(opened.directory.path) "
          + "(\(opened.directory.identity)) in \(plan.precision.rawValue)"
          + (plan.economiesText.map { "; to save memory: \($0)" } ?? ""))
    }
    let poll = { [unowned self] in pollCancellation() }
    return ClipEditor(
      plan: plan, cancellation: cancellation, memoryLimit: limit,
      progress: { [unowned self] progress in
        if progress.windowOperations.done == 0 {
          time = RemainingTime(expected: model.operationsPerSecond.map { progress.windowOperations.all / $0 })
        }
        tell(progress)
        poll()
        if progress.windowShare == 1 { model.learn(operations: progress.windowOperations.all, seconds: time.elapsed) }
      }, warn: { [unowned self] in callbacks.log(FATEZERO_LOG_WARNING, $0) }, poll: poll,
      engine: { [unowned self] plan in
        try model.load(
          for: plan, threads: settings.threads, cancellation: cancellation,
          progress: { [unowned self] part, parts in
            callbacks.progress(phase: FATEZERO_PHASE_LOAD, step: part, steps: parts)
            poll()
          }, poll: poll)
      })
  }

  private func tell(_ progress: ClipEditor.Progress) {
    let phase =
      switch progress.phase {
      case .encode: FATEZERO_PHASE_ENCODE
      case .invert: FATEZERO_PHASE_INVERT
      case .reconstruct: FATEZERO_PHASE_RECONSTRUCT
      case .edit: FATEZERO_PHASE_EDIT
      case .decode: FATEZERO_PHASE_DECODE
      }
    callbacks.progress(
      phase: phase, step: progress.step, steps: progress.steps, window: progress.window, frames: progress.frames,
      share: progress.windowShare, left: time.left(share: progress.windowShare))
  }

  private func tell(_ window: ClipEditor.Window, _ plan: EditPlan, waiting: [Waiting], index: Int) {
    callbacks.window(
      index: index, waiting: waiting, seconds: time.elapsed,
      words: plan.edits[0].fate(source: plan.source)?.exchanged ?? "", maskShare: window.masks[0]?.share)
  }
}

/// A clip between its first frame and its end.
final class ClipInWork {
  let editor: ClipEditor
  /// Of the settings that it was begun under.
  let revision: Int
  /// What the frames of the window in work have beside their colours.
  var waiting: [Waiting] = []
  /// Edited so far.
  var windows = 0

  init(editor: ClipEditor, revision: Int) {
    self.editor = editor
    self.revision = revision
  }
}

/// What is handed back with an edited frame as it came.
struct Waiting: Sendable {
  let pts: Int64
  let alpha: AlphaPlane?
}

/// An edited frame that waits to be received.
struct EditedPicture {
  let frame: EditedFrame
  let waiting: Waiting

  init(_ frame: EditedFrame, _ waiting: Waiting) { (self.frame, self.waiting) = (frame, waiting) }
}

/// An inversion, and what its frames have beside their colours.
final class InvertedClip: Sendable {
  let inversion: Inversion
  let waiting: [Waiting]

  init(inversion: Inversion, waiting: [Waiting]) {
    self.inversion = inversion
    self.waiting = waiting
  }
}
