import Synchronization

/// A loop while it runs on several threads: what to do, and what went wrong first.
final class ParallelLoop {
  private let body: (Int, Int) throws -> Void
  private let cancellations: [Cancellation]
  private let failure = Mutex<(any Error)?>(nil)
  private let failed = Atomic<Bool>(false)

  init(body: @escaping (Int, Int) throws -> Void, cancellations: [Cancellation]) {
    self.body = body
    self.cancellations = cancellations
  }

  /// Runs one item, unless one has failed.
  func run(_ item: Int, _ worker: Int) {
    guard !failed.load(ordering: .relaxed) else { return }
    do {
      for cancellation in cancellations { try cancellation.check() }
      try body(item, worker)
    } catch {
      failure.withLock { if $0 == nil { $0 = error } }
      failed.store(true, ordering: .relaxed)
    }
  }

  func finish() throws {
    if let error = failure.withLock({ $0 }) { throw error }
  }
}
