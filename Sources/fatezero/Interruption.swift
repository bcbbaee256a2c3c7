import Dispatch
import Glibc
import Synchronization
import Tensors

/// SIGINT and SIGTERM: the first one asks the work to stop, the second ends the process at once.
enum Interruption {
  /// Requested by the first signal.
  static let cancellation = Cancellation()

  private static let received = Atomic<Int32>(0)
  private static let queue = DispatchQueue(label: "fatezero.signals")
  private static let sources = [SIGINT, SIGTERM].map { number in
    // Without this the process ends before anybody is asked.
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
    source.setEventHandler { receive(number) }
    source.activate()
    return source
  }

  /// From now on signals stop the work instead of the process.
  static func watch() { _ = sources }

  static var isRequested: Bool { cancellation.isRequested }

  /// How the process ends after a cancellation.
  static var status: CommandFailure.Status { received.load(ordering: .relaxed) == SIGTERM ? .terminated : .interrupted }

  private static func receive(_ number: Int32) {
    guard !cancellation.isRequested else { _exit(128 + number) }
    received.store(number, ordering: .relaxed)
    cancellation.request()
    if StandardError.isTerminal { StandardError.line("\nstopping; once more to end at once") }
  }
}
