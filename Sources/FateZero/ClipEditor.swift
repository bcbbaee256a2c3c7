import StableDiffusion
import Tensors

/// Edits a clip of any length: frames go in, windows of edited frames come out, as many as went in and in their order.
///
///     let editor = try ClipEditor(plan: plan, model: model, device: device)
///     for frame in clip { if let window = try editor.push(frame) { show(window) } }
///     if let window = try editor.finish() { show(window) }
///
/// A clip longer than the plan's clip length is edited window by window; only one window is in memory. Later windows carry
/// the frames of earlier ones that their coupling names.
public final class ClipEditor {
  /// How far the current window is.
  public struct Progress: Sendable, Equatable {
    public enum Phase: Sendable, Equatable {
      case encode, invert, reconstruct
      case edit(Int)
      case decode(edit: Int)
    }
    /// Windows before this one.
    public var window: Int
    public var phase: Phase
    /// Steps (or frames, of encoding and decoding) of this phase that are done, of how many.
    public var step: Int, steps: Int
    /// Floating-point operations done since the editor was made; against `EditPlan.operations` this is the share of the run.
    public var operations: Double
  }

  /// A finished window.
  public struct Window: Sendable {
    /// For each edit of the plan its frames.
    public let edits: [[Frame]]
  }

  public let plan: EditPlan
  private let editor: WindowEditor
  private let progress: (Progress) -> Void
  private let memoryLimit: Int?
  private var pictures: [Tensor] = []
  private var windowIndex = 0
  private var operations = 0.0
  private var anchor: CarriedFrame?
  private var previous: CarriedFrame?

  /// - Parameters:
  ///   - model: Loaded on `device`.
  ///   - cancellation: Stops the run from another thread: the call in progress throws `CancellationRequested`.
  ///   - memoryLimit: Bytes; with the whole clip as one window, frames beyond what fits are refused as they come.
  ///   - trace: Collects the numbers of a run of one window.
  public init(
    plan: EditPlan, model: StableDiffusionModel, device: Device, cancellation: Cancellation = Cancellation(),
    memoryLimit: Int? = nil, trace: Trace? = nil, progress: @escaping (Progress) -> Void = { _ in }
  ) throws {
    self.plan = plan
    self.progress = progress
    self.memoryLimit = memoryLimit
    editor = try WindowEditor(plan: plan, model: model, device: device, cancellation: cancellation, trace: trace)
  }

  private func checkMemory(frames: Int) throws {
    guard let memoryLimit, plan.peakBytes(frames: frames) > memoryLimit else { return }
    throw EditError(
      .memory,
      "the whole clip as one window does not fit: \(frames) frames need more than the limit of \(memoryLimit >> 20) MiB; "
        + "set clip-length, or record to recompute")
  }

  /// Passes of the UNet so far.
  public var passes: Int { editor.passes }

  /// Takes the clip's next frame. Returns a window when this frame completes one.
  /// - Throws: `EditError` for a frame of another size or one that no memory is left for.
  public func push(_ frame: Frame) throws -> Window? {
    guard FrameSize(width: frame.width, height: frame.height) == plan.frameSize else {
      throw EditError(
        .frames, "a frame has \(frame.width)x\(frame.height) pixels where the clip began with \(plan.frameSize)")
    }
    if plan.clipLength == nil { try checkMemory(frames: pictures.count + 1) }
    pictures.append(try plan.transform.picture(of: frame))
    return pictures.count == plan.clipLength ? try editWindow() : nil
  }

  /// Edits the frames that are left, a window shorter than the others. To be called once, at the end of the clip.
  public func finish() throws -> Window? { pictures.isEmpty ? nil : try editWindow() }

  private func editWindow() throws -> Window {
    // Taken first: after a failure the next frame begins a new window.
    let pictures = self.pictures
    self.pictures = []
    if editor.trace != nil, windowIndex > 0 {
      throw EditError(.settings, "trace: a trace holds one window; raise clip-length or take fewer frames")
    }
    let window = plan.window(index: windowIndex, count: pictures.count)
    follow(window)
    let carried = [window.carriesAnchor ? anchor : nil, window.carriesPrevious ? previous : nil].compactMap { $0 }
    let inversion = try editor.invert(try editor.encode(pictures), window: window, carried: carried)

    // The frames whose trajectory later windows read: the anchor, once, and the window's last.
    let next = plan.window(index: 1, count: 1)
    let keepsAnchor = windowIndex == 0 && next.carriesAnchor
    let keeping = (keepsAnchor ? [(window.count - 1) / 2] : []) + (next.carriesPrevious ? [window.total - 1] : [])
    var edited: [[Frame]] = []
    var trajectories: [[[Tensor]]] = []
    for index in plan.edits.indices {
      let result = try editor.edit(index, of: inversion, carried: carried, keeping: keeping)
      var frames: [Frame] = []
      try editor.decode(result.latents.rows(window.carried..<window.total), edit: index) { _, picture in
        editor.trace?.addImage(picture, of: window.count, size: plan.workingSize)
        frames.append(try plan.transform.frame(from: picture))
      }
      edited.append(frames)
      trajectories.append(result.kept)
    }
    let kept = try keeping.enumerated().map { position, frame in
      CarriedFrame(
        inversion: try inversion.latents.map { try WindowEditor.copy(of: frame, in: $0) },
        reconstruction: try inversion.reconstruction?.map { try WindowEditor.copy(of: frame, in: $0) },
        edits: trajectories.map { $0[position] })
    }
    if keepsAnchor { anchor = kept.first }
    if next.carriesPrevious { previous = kept.last }
    windowIndex += 1
    return Window(edits: edited)
  }

  /// Turns the window editor's reports into progress, weighted by the work behind them.
  private func follow(_ window: ClipWindow) {
    let works = plan.edits.map { plan.estimate.work(plan, window: window, edit: $0) }
    let steps = plan.scheduler.steps
    let index = windowIndex
    editor.report = { [weak self] phase, step in
      guard let self, let first = works.first else { return }
      let (cost, count) =
        switch phase {
        case .encode: (first.encode, window.count)
        case .invert: (first.invert, steps)
        case .reconstruct: (first.reconstruct, steps)
        case .edit(let edit): (works[edit].edit, steps)
        case .decode(let edit): (works[edit].decode, window.count)
        }
      operations += cost / Double(count)
      progress(Progress(window: index, phase: phase, step: step, steps: count, operations: operations))
    }
  }
}
