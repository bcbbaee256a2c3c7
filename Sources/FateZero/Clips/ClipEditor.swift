import StableDiffusion
import Tensors

/// Edits a clip of any length: frames go in, windows of edited frames come out, as many as went in and in their order.
///
///     let editor = ClipEditor(plan: plan) { _ in engine }
///     for frame in clip { if let window = try editor.push(frame) { show(window) } }
///     if let window = try editor.finish() { show(window) }
///
/// A clip longer than the plan's clip length is edited window by window; only one window is in memory. Later windows carry
/// the frames of earlier ones that their coupling names.
public final class ClipEditor {
  /// How far the current window is.
  public struct Progress: Sendable {
    public enum Phase: Sendable, Equatable {
      case encode, invert, reconstruct
      case edit(Int)
      /// nil: of the reconstruction that a report shows.
      case decode(edit: Int?)

      /// `encode`, `invert`, `reconstruct`, `edit` or `decode`.
      public var name: String {
        switch self {
        case .encode: "encode"
        case .invert: "invert"
        case .reconstruct: "reconstruct"
        case .edit: "edit"
        case .decode: "decode"
        }
      }
    }
    /// Windows before this one.
    public var window: Int
    /// In this window.
    public var frames: Int
    public var phase: Phase
    /// Steps (or frames, of encoding and decoding) of this phase that are done, of how many. A window begins with step 0 of
    /// its first phase.
    public var step: Int, steps: Int
    /// Floating-point operations done since the editor was made; against `EditPlan.operations` this is the share of the run.
    public var operations: Double
    /// Of those that the run was thought to take, those that it need not do: their inversions come from the cache.
    public var savedOperations: Double
    /// Of this window, those done and all.
    public var windowOperations: (done: Double, all: Double)
    /// Share of this window's work that is done, 0...1.
    public var windowShare: Double {
      let (done, all) = windowOperations
      // The last of many sums is all but for rounding.
      return all > 0 ? (done > all * (1 - 1e-9) ? 1 : done / all) : 0
    }
  }

  /// A finished window.
  public struct Window: Sendable {
    /// For each edit of the plan its frames.
    public let edits: [[EditedFrame]]
    /// For each edit its blending mask; nil where nothing is blended.
    public let masks: [Mask?]
    /// nil where nobody observes.
    public var observation: WindowObservation?
  }

  /// The blending mask of a window's edit, its mean over the steps that it was used at.
  public struct Mask: Sendable {
    let mean: MeanMask
    let transform: FrameTransform

    /// Mean share of the frames that is edited.
    public var share: Float { mean.share }

    /// The mask as frames of the result's size: white is edited at all steps, black at none.
    public func frames() throws -> [EditedFrame] {
      try mean.pictures(transform.workingSize).map { EditedFrame($0, transform) }
    }
  }

  /// Which windows of a clip are worked on.
  public enum Selection: Sendable, Equatable {
    case all
    /// These, counted from 0, and those that they carry frames of.
    case only(Range<Int>)
    /// None: all were finished before.
    case finished
  }

  /// What computes: a model on the device that it was loaded on.
  public struct Engine: Sendable {
    public let device: Device
    public let model: StableDiffusionModel

    public init(device: Device, model: StableDiffusionModel) {
      self.device = device
      self.model = model
    }
  }

  /// Of a clip that is one window: as it fits the frames that have come.
  public private(set) var plan: EditPlan
  private let makeEditor: (EditPlan) throws -> WindowEditor
  private var madeEditor: WindowEditor?
  private let progress: (Progress) -> Void
  private let memoryLimit: Int?
  private let selection: Selection
  private let cancellation: Cancellation
  private let cache: InversionCache?
  private let results: WindowResults?
  private let warn: (String) -> Void
  private let observes: Bool
  private let trace: Trace?
  /// Of the window in work: when each phase began.
  private var phases: [(name: String, began: ContinuousClock.Instant)] = []
  /// Of the pictures, and of the masks, of all windows so far.
  private var contents = ContentDigest(), maskContents = ContentDigest()
  private var pictures: [Tensor] = []
  /// Of the pictures, where the plan has masks.
  private var masks: [SoftMask] = []
  private var windowIndex = 0
  private var operations = 0.0
  private var savedOperations = 0.0
  private var anchor: CarriedFrame?
  private var previous: CarriedFrame?

  /// - Parameters:
  ///   - selection: Windows that are not selected give nothing; their frames are needed all the same.
  ///   - engine: Asked for once, before the first window's work, for the plan as it is then. Networks that are not loaded
  ///     are when they are needed; those that the plan has no room for leave.
  ///   - cancellation: Stops the run from another thread: the call in progress throws `CancellationRequested`.
  ///   - memoryLimit: Bytes; with the whole clip as one window, frames beyond what fits are refused as they come.
  ///   - cache: Where inversions may come from, and go to for later runs.
  ///   - results: Where finished windows may come from, and go to until the run has ended.
  ///   - observes: Whether windows come with an observation. Each then takes one more pass per step.
  ///   - trace: Collects the numbers of a run of one window.
  ///   - progress: Called on the thread that calls the editor.
  ///   - warn: Takes what the user should know of, a sentence each.
  ///   - poll: Called some times a second while a window is in work, on the same thread.
  public init(
    plan: EditPlan, selection: Selection = .all, cancellation: Cancellation = Cancellation(), memoryLimit: Int? = nil,
    cache: InversionCache? = nil, results: WindowResults? = nil, observes: Bool = false, trace: Trace? = nil,
    progress: @escaping (Progress) -> Void = { _ in }, warn: @escaping (String) -> Void = { _ in },
    poll: (() -> Void)? = nil, engine: @escaping (EditPlan) throws -> Engine
  ) {
    self.plan = plan
    self.selection = selection
    self.cancellation = cancellation
    self.progress = progress
    self.memoryLimit = memoryLimit
    self.cache = cache
    self.results = results
    self.warn = warn
    self.observes = observes
    self.trace = trace
    makeEditor = { plan in
      let engine = try engine(plan)
      return WindowEditor(
        try WindowNetworks(
          plan: plan, model: engine.model, device: engine.device, cancellation: cancellation, trace: trace, poll: poll))
    }
  }

  private func windowEditor() throws -> WindowEditor {
    if let madeEditor { return madeEditor }
    let editor = try makeEditor(plan)
    editor.networks.warn = warn
    madeEditor = editor
    return editor
  }

  private func fit(frames: Int) throws {
    guard let memoryLimit, plan.peakBytes(frames: frames) > memoryLimit else { return }
    plan = plan.fitted(frames: frames, limit: memoryLimit)
    guard plan.peakBytes(frames: frames) > memoryLimit else { return }
    throw EditError(
      .memory,
      "the whole clip as one window does not fit: \(frames) frames need more than the limit of \(Numerals.bytes(memoryLimit)); "
        + "set clip-length\(plan.isRecordInMemory ? ", record-dir, or record to recompute" : "")")
  }

  /// Passes of the UNet so far.
  public var passes: Int { madeEditor?.networks.passes ?? 0 }

  /// Takes the clip's next frame. Returns a window when this frame completes one.
  /// - Throws: `EditError` for a frame of another size or one that no memory is left for.
  public func push(_ frame: some FrameRows) throws -> Window? { try push(frame, mask: Frame?.none) }

  /// - Parameter mask: Of the frame's size, where the plan says that masks are given: white is edited, black is kept, and
  ///   grey mixes both.
  public func push(_ frame: some FrameRows, mask: (some FrameRows)?) throws -> Window? {
    try check(frame.size)
    guard (mask != nil) == (plan.mask != nil) else {
      throw EditError(.frames, mask == nil ? "a frame comes without its mask" : "the plan has no masks")
    }
    if plan.clipLength == nil { try fit(frames: pictures.count + 1) }
    if let mask {
      try check(mask.size)
      masks.append(
        SoftMask(try plan.transform.picture(of: mask), factor: plan.workingSize.width / plan.latentColumns))
    }
    pictures.append(try plan.transform.picture(of: frame))
    return pictures.count == plan.clipLength ? try editWindow() : nil
  }

  /// Edits the frames that are left, a window shorter than the others. To be called once, at the end of the clip.
  public func finish() throws -> Window? { pictures.isEmpty ? nil : try editWindow() }

  /// Frames that wait for their window to fill.
  public var pendingFrames: Int { pictures.count }

  /// Inverts a clip as one window, for any number of edits with `edit(_:)`, of this editor or of another.
  public func invert(_ frames: [some FrameRows]) throws -> Inversion {
    guard !frames.isEmpty else { throw EditError(.frames, "there is no frame to invert") }
    for frame in frames { try check(frame.size) }
    let pictures = try frames.map { try plan.transform.picture(of: $0) }
    let window = plan.window(index: 0, count: frames.count)
    let editor = try windowEditor()
    follow(window, of: editor, stages: [.inversion])
    return try invert(pictures, window: window, carried: [], by: editor)
  }

  /// Edits a clip that was inverted under the same source, model, size, steps and coupling. Attention that the inversion did
  /// not record is computed again.
  /// - Throws: `InversionMismatch`, `EditError` where the plan has masks, which an inversion does not hold.
  public func edit(_ inversion: Inversion) throws -> Window {
    try inversion.check(plan)
    guard plan.mask == nil else { throw EditError(.settings, "an inversion has no masks; push the frames with theirs") }
    let editor = try windowEditor()
    follow(inversion.window, of: editor, stages: [.edit])
    let results = try plan.edits.indices.map { try edit($0, of: inversion, by: editor) }
    return Window(edits: results.map(\.frames), masks: results.map(\.mask))
  }

  private func check(_ size: FrameSize) throws {
    guard size == plan.frameSize else {
      throw EditError(.frames, "a frame has \(size) pixels where the clip began with \(plan.frameSize)")
    }
  }

  /// Whether the window is selected, or carries a frame into one that is.
  private func isNeeded(_ index: Int) -> Bool {
    guard case .only(let selected) = selection else { return true }
    let next = plan.window(index: 1, count: 1)
    return selected.contains(index)
      || index < selected.upperBound && (next.carriesPrevious || index == 0 && next.carriesAnchor)
  }

  /// Whether all selected windows are edited: frames that come now give nothing.
  public var hasEditedSelection: Bool {
    if case .only(let selected) = selection { windowIndex >= selected.upperBound } else { false }
  }

  private func editWindow() throws -> Window? {
    // Taken first: after a failure the next frame begins a new window.
    let (pictures, ownMasks) = (self.pictures, self.masks)
    (self.pictures, self.masks) = ([], [])
    if trace != nil, windowIndex > 0 {
      throw EditError(.settings, "trace: a trace holds one window; raise clip-length or take fewer frames")
    }
    let window = plan.window(index: windowIndex, count: pictures.count)
    let keys = cache == nil && results == nil ? nil : windowKeys(pictures, masks: ownMasks, window: window)
    guard isNeeded(windowIndex) else {
      follow(window, of: nil, stages: [])
      windowIndex += 1
      return nil
    }
    let carried = [window.carriesAnchor ? anchor : nil, window.carriesPrevious ? previous : nil].compactMap { $0 }
    let masks = plan.mask == nil ? nil : carried.compactMap(\.mask) + ownMasks
    // The frames whose trajectory later windows read: the anchor, once, and the window's last.
    let next = plan.window(index: 1, count: 1)
    let keepsAnchor = windowIndex == 0 && next.carriesAnchor
    let keeping = (keepsAnchor ? [(window.count - 1) / 2] : []) + (next.carriesPrevious ? [window.total - 1] : [])
    func remember(_ kept: [CarriedFrame]) {
      if keepsAnchor { anchor = kept.first }
      if next.carriesPrevious { previous = kept.last }
      windowIndex += 1
    }

    phases = []
    // A trace and an observation hold what only the window's own run knows.
    let results = trace == nil && !observes && plan.clipLength != nil ? self.results : nil
    func findResult() -> Window? {
      guard let results, let keys,
        let result = results.find(
          keys.result, plan: plan, window: window, kept: keeping.count, masks: keeping.map { masks?[$0] })
      else { return nil }
      follow(window, of: nil, stages: [])
      if selection == .all { results.tell("window \(windowIndex + 1) was finished by an earlier run") }
      remember(result.kept)
      return Window(
        edits: result.pictures.map { $0.map { EditedFrame($0, plan.transform) } },
        masks: result.masks.map { $0.map { Mask(mean: $0, transform: plan.transform) } })
    }
    if let window = findResult() { return window }
    if selection == .finished {
      throw EditError(
        .frames,
        "window \(windowIndex + 1) is not among those that were finished: the clip, the model, the settings or the program "
          + "are not those of before")
    }
    let claim = try results.flatMap { results in
      try keys.flatMap { try results.claim($0.result, cancellation: cancellation) }
    }
    defer { withExtendedLifetime(claim) {} }
    // Whoever had it before may have finished it.
    if claim != nil, let window = findResult() { return window }

    let editor = try windowEditor()
    let inversion = try invert(pictures, window: window, carried: carried, key: keys?.inversion, by: editor)
    let plain = observes ? try editor.reconstructPlainly(inversion) : nil
    let plainPictures = try plain.map { plain in
      try editor.networks.decode(plain.latents.rows(window.carried..<window.total), edit: nil)
    }
    let edits = try plan.edits.indices.map {
      try edit($0, of: inversion, by: editor, carried: carried, keeping: keeping, masks: masks)
    }
    let kept = try keeping.enumerated().map { position, frame in
      CarriedFrame(
        inversion: try inversion.latents.map { try WindowEditor.copy(of: frame, in: $0) },
        reconstruction: try inversion.reconstruction?.map { try WindowEditor.copy(of: frame, in: $0) },
        edits: edits.map { $0.kept[position] }, mask: masks?[frame])
    }
    remember(kept)
    if let results, let keys {
      let result = WindowResults.Result(
        pictures: edits.map { $0.frames.map(\.picture) }, masks: edits.map { $0.mask?.mean }, kept: kept)
      do { try results.keep(result, key: keys.result) } catch {
        // Where windows are all that a run makes, one that is lost is a failure.
        guard selection == .all else { throw error }
        results.tell("warning: the finished window is not kept: \(error)")
      }
    }
    let observation = plainPictures.map { pictures in
      WindowObservation(
        source: plain?.maps, reconstruction: pictures.map { EditedFrame($0, plan.transform) },
        edits: edits.compactMap(\.observed), seconds: phaseSeconds())
    }
    return Window(edits: edits.map(\.frames), masks: edits.map(\.mask), observation: observation)
  }

  private func phaseSeconds() -> [(phase: String, seconds: Double)] {
    let ends = phases.dropFirst().map(\.began) + [ContinuousClock.now]
    return zip(phases, ends).map { ($0.name, ($1 - $0.began).inSeconds) }
  }

  /// The window's inversion, from the cache where it is there.
  private func invert(
    _ pictures: [Tensor], window: ClipWindow, carried: [CarriedFrame], key: String?, by editor: WindowEditor
  ) throws -> Inversion {
    guard let cache, let key else {
      follow(window, of: editor, stages: [.inversion, .edit])
      return try invert(pictures, window: window, carried: carried, by: editor)
    }
    func findInversion() throws -> Inversion? {
      // A trace holds what only an inversion's own run knows.
      guard trace == nil, let stored = cache.find(key, plan: plan, frames: window.total) else { return nil }
      follow(window, of: editor, stages: [.edit])
      let inversion = try editor.restored(stored, window: window)
      cache.tellFound(inversion, plan: plan, windowIndex: windowIndex)
      return inversion
    }
    if let found = try findInversion() { return found }
    let claim = try cache.claim(key, cancellation: cancellation)
    defer { withExtendedLifetime(claim) {} }
    if let found = try findInversion() { return found }
    follow(window, of: editor, stages: [.inversion, .edit])
    let draft = cache.begin(key, plan: plan, window: window)
    var inversion = try invert(pictures, window: window, carried: carried, cached: draft?.record, by: editor)
    if let draft, let record = cache.finish(draft, inversion, plan: plan), plan.recordFolder != nil {
      inversion.record = AttentionRecord(folder: record, isInMemory: false)
    }
    return inversion
  }

  /// - Parameter cached: Where the attention is written for later runs.
  private func invert(
    _ pictures: [Tensor], window: ClipWindow, carried: [CarriedFrame], cached: RecordFolder? = nil,
    by editor: WindowEditor
  ) throws -> Inversion {
    var folder = cached
    if let place = plan.recordFolder, cached == nil, plan.estimate.recordBytes(plan, window: window).all > 0 {
      do { folder = try RecordFolder.temporary(in: place) } catch let error as StorageError {
        throw SettingsError(error.description, in: "record-dir")
      }
    }
    let inversion = try editor.invert(
      try editor.networks.encode(pictures), window: window, carried: carried,
      record: AttentionRecord(folder: folder, isInMemory: plan.recordFolder == nil))
    if plan.recordFolder != nil, let failure = inversion.record.failure {
      warn("some of the source's attention is not kept and is computed again: \(failure)")
    }
    return inversion
  }

  /// Names of the window's inversion and of its result: digests of all that they depend on. For the inversion these are the
  /// window's pictures (and those of the windows before, where frames of theirs come along), the model and the settings.
  private func windowKeys(_ pictures: [Tensor], masks: [SoftMask], window: ClipWindow) -> (
    inversion: String, result: String
  ) {
    let own = ContentDigest()
    for picture in pictures { own.add(picture) }
    contents.add(own.text)
    for mask in masks { maskContents.add(mask.values) }
    let inversion = ContentDigest()
    inversion.add(window.carried > 0 ? contents.text : own.text)
    for text in plan.inversionBasis.texts + ["\(Version.text)", "\(window.carriesAnchor) \(window.carriesPrevious)"] {
      inversion.add(text)
    }
    if let tiling = plan.tiling { inversion.add("tiles \(tiling.side)") }
    // A reconstruction is guided.
    if plan.reconstructionTokens != nil {
      inversion.add("\(plan.edits[0].settings.guidanceScale) \(plan.negativeTokens[0])")
    }

    let result = ContentDigest()
    for text in [inversion.text, contents.text, maskContents.text, plan.mask?.rawValue ?? ""] { result.add(text) }
    // Where the model lies and what may be used of the machine changes no frame.
    let places = Set(["model"] + Knobs.ofMachine)
    for edit in plan.edits {
      for knob in Knobs.all where !places.contains(knob.name) { result.add(edit.settings.text(of: knob.name) ?? "") }
    }
    // Maps are rounded in another way; what is computed again is what was kept.
    result.add(plan.record == .maps ? "maps" : "")
    result.add(plan.method.name)
    return (inversion.text, result.text)
  }

  /// - Returns: The edit's frames, and for each kept frame its trajectory.
  private func edit(
    _ index: Int, of inversion: Inversion, by editor: WindowEditor, carried: [CarriedFrame] = [], keeping: [Int] = [],
    masks: [SoftMask]? = nil
  ) throws -> (frames: [EditedFrame], kept: [[Tensor]], mask: Mask?, observed: WindowObservation.Edit?) {
    let window = inversion.window
    let result = try editor.edit(
      index, of: inversion, carried: carried, keeping: keeping, masks: masks, observes: observes)
    let pictures = try editor.networks.decode(result.latents.rows(window.carried..<window.total), edit: index)
    if let trace { pictures.forEach { trace.addImage($0, of: window.count) } }
    return (
      pictures.map { EditedFrame($0, plan.transform) }, result.kept,
      result.mask.map { Mask(mean: $0, transform: plan.transform) }, result.observed
    )
  }

  private enum Stage { case inversion, edit }

  /// Turns the window editor's reports into progress, weighted by the work behind them.
  ///
  /// - Parameter editor: nil where nothing is to be done.
  private func follow(_ window: ClipWindow, of editor: WindowEditor?, stages: Set<Stage>) {
    let works = plan.edits.map { plan.estimate.work(plan, window: window, edit: $0) }
    guard let first = works.first else { return }
    let inversionWork = first.encode + first.invert + first.reconstruct
    let editWork = works.reduce(observes ? first.observe : 0) { $0 + $1.edit + $1.decode }
    let total =
      (stages.contains(.inversion) ? inversionWork : 0)
      + (stages.contains(.edit) ? editWork : 0)
    if !stages.contains(.inversion) { savedOperations += inversionWork }
    if !stages.contains(.edit) { savedOperations += editWork }
    let (before, saved) = (operations, savedOperations)
    let steps = plan.scheduler.steps
    let index = windowIndex
    // A run may reconstruct twice, for its attention and for an observation.
    let reconstructions = (first.reconstruct > 0 ? 1 : 0) + (observes ? 1 : 0)
    let reconstruct = first.reconstruct + (observes ? first.observe - first.decode : 0)
    let costs = { (phase: Progress.Phase) -> (ofStep: Double, count: Int) in
      let (cost, count) =
        switch phase {
        case .encode: (first.encode, window.count)
        case .invert: (first.invert, steps)
        case .reconstruct: (reconstruct / Double(max(reconstructions, 1)), steps)
        case .edit(let edit): (works[edit].edit, steps)
        case .decode(let edit): (works[edit ?? 0].decode, window.count)
        }
      return (cost / Double(count), count)
    }
    let tell = { [weak self] (phase: Progress.Phase, step: Int) in
      guard let self else { return }
      let (cost, count) = costs(phase)
      if phases.last?.name != phase.name { phases.append((phase.name, .now)) }
      if step > 0 { operations += cost }
      progress(
        Progress(
          window: index, frames: window.count, phase: phase, step: step, steps: count, operations: operations,
          savedOperations: saved, windowOperations: (operations - before, total)))
    }
    editor?.networks.report = tell
    if !stages.isEmpty { tell(stages.contains(.inversion) ? .encode : .edit(0), 0) }
  }
}
