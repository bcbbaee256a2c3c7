import CKernels

/// Where tensors are computed: one implementation of the operators, its threads and its memory.
///
/// Every operator is a method here (`Device+Linear.swift`, `Device+Attention.swift`, ...), takes float32 tensors and
/// returns new ones (what is multiplied next, and nothing else, may be factors: see `Precision`), and looks at the
/// cancellation of the running `perform` before it begins. Operators run one at a time, on one thread of the process (`ComputeThread`), and each uses all of its device's threads. For the same operands
/// and thread count the results are the same, byte for byte.
///
/// Not-a-number and infinities are carried through as IEEE arithmetic does; no operator looks for them.
public final class Device: @unchecked Sendable {
  /// The libraries that do the heavy arithmetic.
  public enum Engine: String, Sendable, CaseIterable {
    /// oneDNN: fast.
    case oneDNN = "onednn"
    /// OpenBLAS and plain loops: portable, what the fast one is tested against.
    case openBLAS = "openblas"
  }

  /// What matrix products, convolutions and attention multiply. All else is computed in float32, and so are sums.
  public enum Precision: String, Sendable, CaseIterable {
    case float32 = "f32"
    /// Factors rounded to bfloat16, of a relative error of 2^-9: up to twice as fast, in half of the weights' memory. By
    /// oneDNN, on processors that have such arithmetic (AVX512-BF16).
    case bfloat16 = "bf16"

    /// Of one number.
    public var byteCount: Int { factorType.byteCount }

    /// How factors are stored: numbers that are only multiplied, rounded once and not at every product.
    public var factorType: ElementType { self == .bfloat16 ? .bfloat16 : .float32 }

    /// The fastest that this machine's processor computes.
    public static var fastest: Precision { kernel_has_bfloat16() ? .bfloat16 : .float32 }
  }

  /// How 3x3 convolutions of many channels are computed.
  public enum Convolutions: Sendable {
    /// As they are defined.
    case direct
    /// By Winograd's minimal filtering where that is faster (oneDNN 2 with AVX-512, from 64 channels and 16x16 pixels
    /// up): the same to rounding, in float32 whatever the precision, for four times the memory of their weights and a
    /// workspace.
    case winograd

    /// Whether this machine's processor and oneDNN have them.
    public var isAvailable: Bool { self == .direct || OneDNNWinograd.isAvailable }
  }

  public let engine: Engine
  public let precision: Precision
  public let convolutions: Convolutions
  /// Number of threads, at least 1.
  public let threads: Int
  let pool = MemoryPool()
  let matrices: any MatrixEngine
  /// What an operator computes in; one at a time does. Read and written on the compute thread.
  private var scratch: TensorStorage?
  /// Of the calls of `perform` that are running, outermost first. Read and written on the compute thread.
  private var cancellations: [Cancellation] = []

  private static let threadLimit = 1024

  /// - Parameter threads: 0 means the CPUs of the process's affinity mask; at most 1024.
  /// - Throws: `TensorError` for another number of threads, or where the engine cannot be set up or has no such precision.
  public init(
    engine: Engine = .oneDNN, threads: Int = 0, precision: Precision = .float32, convolutions: Convolutions = .direct
  ) throws {
    guard 0...Device.threadLimit ~= threads else {
      throw TensorError("\(threads) threads: give a number from 0 (all CPUs) to \(Device.threadLimit)")
    }
    guard precision == .float32 || engine == .oneDNN && Precision.fastest == precision else {
      throw TensorError("this processor has no bf16 arithmetic (AVX512-BF16); set precision to f32 or auto")
    }
    self.engine = engine
    self.precision = precision
    self.convolutions = convolutions.isAvailable ? convolutions : .direct
    let threads = Device.threadCount(threads)
    // libgomp ends the process where it cannot have the threads that it was told to use.
    guard kernel_can_start(CInt(threads - 1)) else {
      throw TensorError(
        "this process may not have \(threads) threads more (of ulimit -u or its control group); set threads to a lower number"
      )
    }
    self.threads = threads
    matrices =
      switch engine {
      case .oneDNN: try OneDNNEngine(precision: precision)
      case .openBLAS: OpenBLASEngine()
      }
  }

  /// How many threads a device has where so many are asked for.
  static func threadCount(_ asked: Int) -> Int {
    asked == 0 ? min(Int(kernel_available_cpus()), threadLimit) : asked
  }

  /// Runs `body` with this device's thread count on the compute thread, to which callers come in turn: so do concurrent
  /// edits. `cancellation` is what the operators inside `body` look at, besides those of the calls around this one, and what
  /// ends the wait for a turn. Calls may nest.
  /// - Parameter whileWaiting: Called some times a second on the calling thread.
  public func perform<Value>(
    cancellation: Cancellation? = nil, whileWaiting: (() -> Void)? = nil, _ body: () throws -> Value
  ) throws -> Value {
    var outcome: Result<Value, any Error>?
    try ComputeThread.shared.run(cancellation: cancellation, whileWaiting: whileWaiting) {
      let before = kernel_thread_count()
      kernel_set_thread_count(CInt(threads))
      if let cancellation { cancellations.append(cancellation) }
      outcome = Result(catching: body)
      if cancellation != nil { cancellations.removeLast() }
      kernel_set_thread_count(before)
    }
    guard let outcome else { throw TensorError("a computation ended without a result") }
    return try outcome.get()
  }

  /// Throws `CancellationRequested` if the running `perform` was cancelled. Outside of one there is nothing to cancel.
  public func checkCancellation() throws {
    guard ComputeThread.shared.isCurrent else { return }
    for cancellation in cancellations { try cancellation.check() }
  }

  /// Gives the memory kept between passes back to the system.
  public func trimMemory() {
    // Where no thread can be started nothing was computed, and there is nothing to give back.
    try? perform {
      scratch = nil
      pool.trim()
    }
  }

  /// Bytes of the results in use, of the memory kept for others and of the workspace.
  var heldByteCount: Int { pool.byteCount + (scratch?.byteCount ?? 0) }

  /// Memory for the inside of one operator, which is not to be kept: the next one computes in the same. Unlike a block of
  /// the pool there is one for all sizes.
  func workspace(byteCount: Int) throws -> TensorStorage {
    if let scratch, scratch.byteCount >= byteCount { return scratch }
    scratch = nil
    let made = try TensorStorage(byteCount: byteCount)
    scratch = made
    return made
  }

  /// What every operator runs in.
  func run<Value>(_ body: () throws -> Value) throws -> Value {
    try perform {
      try checkCancellation()
      return try body()
    }
  }
}

// MARK: - Parallel loops

extension Device {
  /// Calls `body(item, worker)` for each of 0 ..< items on this device's threads; 0 <= worker < threads. Which worker
  /// gets which item is not fixed, so an item must not depend on it. The first error ends the loop, as does a
  /// cancellation.
  /// - Parameter operations: Arithmetic of all items together; little of it stays on the calling thread.
  func parallel(_ items: Int, operations: Int = .max, _ body: (_ item: Int, _ worker: Int) throws -> Void) throws {
    let threads = operations < Device.smallWork ? 1 : threads
    try withoutActuallyEscaping(body) { body in
      let loop = ParallelLoop(body: body, cancellations: cancellations)
      kernel_parallel(
        items, CInt(threads),
        { context, item, worker in
          guard let context else { return }
          Unmanaged<ParallelLoop>.fromOpaque(context).takeUnretainedValue().run(item, Int(worker))
        }, Unmanaged.passUnretained(loop).toOpaque())
      try withExtendedLifetime(loop) { try loop.finish() }
    }
  }

  /// Cuts 0 ..< count into pieces of `grain` (the last one shorter) that run in parallel.
  func parallel(count: Int, grain: Int, _ body: (Range<Int>) -> Void) throws {
    let grain = max(grain, 1)
    try parallel((count + grain - 1) / grain) { item, _ in
      body(item * grain..<min((item + 1) * grain, count))
    }
  }

  /// The same numbers in the memory of another tensor of that shape and element type.
  func copy(_ x: Tensor, into y: Tensor) throws {
    let (source, target) = (x.bytes, y.mutableBytes)
    try parallel(count: y.byteCount, grain: 16 * Device.grain) {
      (target + $0.lowerBound).copyMemory(from: source + $0.lowerBound, byteCount: $0.count)
    }
  }

  /// Arithmetic under which waking the other threads, and waiting for them where the cores are shared with other
  /// programs, costs more than they save.
  static let smallWork = 2_000_000

  /// Floats that one item of an elementwise loop handles: some cache lines more than the cost of handing it out.
  static let grain = 16384
}

// MARK: - Operands and results

extension Device {
  /// A tensor to be filled, from the pool: with float32 numbers, or with factors.
  func makeResult(_ shape: [Int], asFactors: Bool = false) throws -> Tensor {
    guard let count = Tensor.count(of: shape) else { throw TensorError("the shape \(shape) is not one of a tensor") }
    let type = asFactors ? precision.factorType : .float32
    return Tensor(
      shape: shape, elementType: type, storage: try TensorStorage(byteCount: count * type.byteCount, pool: pool))
  }

  /// Whether a tensor's numbers are rounded to what the device multiplies.
  func holdsFactors(_ x: Tensor) -> Bool { x.elementType == precision.factorType }

  /// Throws unless `x` is factors or can be read as float32 in place.
  func requireFactors(_ x: Tensor, in operation: String) throws { try precision.requireFactors(x, in: operation) }

  /// Throws unless `tensor` can be read as float32 in place.
  func requireFloat32(_ tensors: Tensor?..., in operation: String) throws {
    for case let tensor? in tensors { try Precision.float32.requireFactors(tensor, in: operation) }
  }
}

extension Device.Precision {
  /// Throws unless `x` is factors of a device of this precision or can be read as float32 in place.
  func requireFactors(_ x: Tensor, in operation: String) throws {
    guard x.isReadableAsFloat || x.elementType == .bfloat16 && self == .bfloat16 else {
      throw TensorError("\(operation) needs float32, not \(x.elementType) of shape \(x.shape): convert it first")
    }
  }
}

extension Tensor {
  /// Whether `floatPointer` may be used: float32, on a multiple of its size.
  var isReadableAsFloat: Bool {
    elementType == .float32 && UInt(bitPattern: bytes) % UInt(MemoryLayout<Float>.alignment) == 0
  }
}
