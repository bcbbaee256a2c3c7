import Glibc
import MediaIO
import Synchronization
import Tensors

/// SIGINT, SIGTERM and SIGHUP: the first one asks the work to stop, the second ends the process at once.
enum Interruption {
  /// Requested by the first signal.
  static let cancellation = Cancellation()

  private static let received = Atomic<Int32>(0)
  /// Takes the number of each signal from its handler, which may do little else.
  private static let outlet = Atomic<Int32>(-1)

  /// From now on signals stop the work instead of the process. To be called once.
  /// - Throws: `CommandFailure` where the system gives no thread that waits for them.
  static func watch() throws {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { throw failure(errno) }
    // Out of the way of what --progress pipe:3 may mean.
    ends = ends.map { end in
      defer { close(end) }
      return fcntl(end, F_DUPFD_CLOEXEC, 100)
    }
    guard !ends.contains(-1) else { throw failure(errno) }
    outlet.store(ends[1], ordering: .relaxed)
    // Not libdispatch's: where the system gives no thread, that one asks for ever.
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { end in
        Interruption.wait(on: Int32(Int(bitPattern: end)))
        return nil
      }, UnsafeMutableRawPointer(bitPattern: Int(ends[0])))
    guard status == 0 else { throw failure(status) }
    pthread_detach(thread)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      let before = signal(number) { number in
        let code = errno
        var byte = UInt8(truncatingIfNeeded: number)
        _ = write(Interruption.outlet.load(ordering: .relaxed), &byte, 1)
        errno = code
      }
      // What nohup starts outlives its terminal.
      if number == SIGHUP, isIgnored(before) { signal(number, SIG_IGN) }
    }
  }

  private static func failure(_ code: Int32) -> CommandFailure {
    CommandFailure(
      .memory,
      "the system gives no thread (\(String(cString: strerror(code)))); raise the limit of processes (ulimit -u)")
  }

  private static func isIgnored(_ handler: sighandler_t?) -> Bool {
    unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  static var isRequested: Bool { cancellation.isRequested }

  /// How the process ends after a cancellation.
  static var status: CommandFailure.Status {
    switch received.load(ordering: .relaxed) {
    case SIGTERM: .terminated
    case SIGHUP: .hungUp
    default: .interrupted
    }
  }

  private static func wait(on end: Int32) {
    var byte: UInt8 = 0
    while true {
      let count = read(end, &byte, 1)
      if count == 1 { receive(Int32(byte)) } else if count == 0 || errno != EINTR { return }
    }
  }

  private static func receive(_ number: Int32) {
    guard !cancellation.isRequested else {
      TemporaryOutputs.removeAll()
      _exit(128 + number)
    }
    received.store(number, ordering: .relaxed)
    cancellation.request()
    if StandardError.isTerminal { StandardError.write("\nstopping; once more to end at once\n") }
  }
}
