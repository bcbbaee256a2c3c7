import Dispatch
import Glibc
import MediaIO
import Synchronization
import Tensors

/// SIGINT and SIGTERM: the first one asks the work to stop, the second ends the process at once.
enum Interruption {
  /// Requested by the first signal.
  static let cancellation = Cancellation()

  private static let received = Atomic<Int32>(0)
  private static let queue = DispatchQueue(label: "fatezero.signals")

  /// From now on signals stop the work instead of the process. To be called once.
  static func watch() {
    for number in [SIGINT, SIGTERM] {
      // Without this the process ends before anybody is asked.
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      // The handler holds the source, which therefore lasts as long as the process.
      source.setEventHandler { withExtendedLifetime(source) { receive(number) } }
      source.activate()
    }
  }

  static var isRequested: Bool { cancellation.isRequested }

  /// How the process ends after a cancellation.
  static var status: CommandFailure.Status { received.load(ordering: .relaxed) == SIGTERM ? .terminated : .interrupted }

  private static func receive(_ number: Int32) {
    guard !cancellation.isRequested else {
      TemporaryOutputs.removeAll()
      _exit(128 + number)
    }
    received.store(number, ordering: .relaxed)
    cancellation.request()
    if StandardError.isTerminal { StandardError.line("\nstopping; once more to end at once") }
  }
}
