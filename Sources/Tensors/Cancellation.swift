import Synchronization

/// A switch that stops work from another thread. Operators look at it before they begin, long ones also on the way.
public final class Cancellation: Sendable {
  private let requested = Atomic<Bool>(false)
  public init() {}
  public var isRequested: Bool { requested.load(ordering: .relaxed) }
  public func request() { requested.store(true, ordering: .relaxed) }
  /// Makes the switch usable again.
  public func reset() { requested.store(false, ordering: .relaxed) }
  /// - Throws: `CancellationRequested` once `request()` was called.
  public func check() throws { if isRequested { throw CancellationRequested() } }
}

/// The work was stopped from outside; nothing is wrong.
public struct CancellationRequested: Error, Sendable { public init() {} }
