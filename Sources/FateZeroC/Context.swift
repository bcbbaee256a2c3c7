import CFateZero
import Synchronization
import Tensors
import Text

/// What a `fatezero_context *` points to.
final class Context: @unchecked Sendable {
  let cancellation = Cancellation()
  /// Whether a call is in progress. Who sets it owns what follows.
  private let isBusy = Atomic<Bool>(false)
  private let session: Session
  private var error = CText()
  private var value = CText()

  init() { session = Session(cancellation: cancellation) }

  /// Runs one call of the interface; errors become their status and their sentence.
  func call(_ body: (Session) throws -> fatezero_status) -> fatezero_status {
    // A callback that calls back, or two threads at once: refused, since waiting could be forever.
    guard begin() else { return FATEZERO_INVALID_STATE }
    defer { end() }
    do {
      return try body(session)
    } catch {
      let failure = Failure(error)
      self.error.set(failure.message.visibleLines)
      return failure.status
    }
  }

  func get(_ name: String) -> UnsafePointer<CChar>? {
    guard begin() else { return nil }
    defer { end() }
    guard let text = session.get(name) else { return nil }
    value.set(text)
    return value.base
  }

  var errorText: UnsafePointer<CChar> {
    guard begin() else {
      return CText.constant("another call with this context is in progress; it belongs to one thread at a time")
    }
    defer { end() }
    return error.base
  }

  private func begin() -> Bool {
    isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
  }

  private func end() { isBusy.store(false, ordering: .releasing) }
}

/// Handles: what C holds counts as one reference.
enum Handle {
  static func make(_ object: AnyObject) -> OpaquePointer { OpaquePointer(Unmanaged.passRetained(object).toOpaque()) }

  static func object<Object: AnyObject>(_ pointer: OpaquePointer?, as type: Object.Type) -> Object? {
    pointer.map { Unmanaged<Object>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
  }

  static func release<Object: AnyObject>(_ pointer: OpaquePointer?, as type: Object.Type) {
    if let pointer { Unmanaged<Object>.fromOpaque(UnsafeRawPointer(pointer)).release() }
  }
}
