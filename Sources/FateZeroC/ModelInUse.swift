import CFateZero
import FateZero
import StableDiffusion
import Synchronization
import Tensors

/// The model of a context: opened to check settings, loaded to edit.
final class ModelInUse {
  /// A model whose headers are read.
  struct Opened {
    let directory: Checkpoint
    let model: StableDiffusionModel
    let recommended: Settings.Layer

    fileprivate init(path: String, options: Checkpoint.Options) throws {
      directory = try Checkpoint(path: path, options: options)
      model = try StableDiffusionModel(directory, device: nil)
      recommended = try ModelDefaults.layer(of: directory)
    }
  }

  private struct Loaded {
    let threads: Int
    let engine: ClipEditor.Engine
  }

  private(set) var opened: Opened?
  private var loaded: Loaded?
  /// What the machine does of an edit's operations in a second, as far as is known.
  private(set) var operationsPerSecond: Double?

  func isOpen(path: String, options: Checkpoint.Options) -> Bool {
    opened?.directory.path == path && opened?.directory.options == options
  }

  /// Opens the model at `path` unless it is that one already.
  func open(path: String, options: Checkpoint.Options) throws -> Opened {
    if let opened, isOpen(path: path, options: options) { return opened }
    // First gone, then made: there may be no room for both.
    (opened, loaded) = (nil, nil)
    let opened = try Opened(path: path, options: options)
    self.opened = opened
    return opened
  }

  /// Bytes that an edit of `plan` will find in use.
  func heldBytes(_ plan: EditPlan) -> Int {
    loaded.map { plan.weightBytes(of: $0.engine.model.loaded, convolutions: $0.engine.device.convolutions) } ?? 0
  }

  /// The opened model on a device, with the weights that the plan begins with.
  /// - Parameter progress: Told the parts that are done, of how many; on the calling thread.
  func load(
    for plan: EditPlan, threads: Int, cancellation: Cancellation, progress: @escaping (Int, Int) -> Void,
    poll: @escaping () -> Void
  ) throws -> ClipEditor.Engine {
    guard let opened else { throw Failure(FATEZERO_INTERNAL, "no model was opened") }
    if let loaded, loaded.threads == threads, loaded.engine.device.precision == plan.precision,
      loaded.engine.device.convolutions == plan.convolutions
    {
      return loaded.engine
    }
    loaded = nil
    let device = try Device(threads: threads, precision: plan.precision, convolutions: plan.convolutions)
    let components = plan.firstComponents
    let done = Counter()
    var told = -1
    func tell() {
      while told < done.count {
        told += 1
        progress(told, components.count)
      }
    }
    tell()
    operationsPerSecond = try MachineSpeed.operationsPerSecond(device, cancellation: cancellation)
    let wait = {
      tell()
      poll()
    }
    let model = try device.perform(cancellation: cancellation, whileWaiting: wait) {
      try StableDiffusionModel(opened.directory, device: device, components: components) { _ in done.add() }
    }
    tell()
    let engine = ClipEditor.Engine(device: device, model: model)
    loaded = Loaded(threads: threads, engine: engine)
    return engine
  }

  /// A window's speed tells better than the guess before it.
  func learn(operations: Double, seconds: Double) {
    if operations > 0, seconds > 0 { operationsPerSecond = operations / seconds }
  }

  private final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    var count: Int { value.load(ordering: .relaxed) }
    func add() { value.add(1, ordering: .relaxed) }
  }
}
