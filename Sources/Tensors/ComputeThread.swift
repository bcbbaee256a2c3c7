import Glibc
import Synchronization

/// The thread on which all devices of the process compute: one call of `Device.perform` at a time, in the order in which
/// they come.
///
/// libgomp keeps a team of threads for every thread that ever asked for one. Were callers to compute on threads of their
/// own, each would leave such a team behind. Besides, this thread has a stack whose size is known, takes no signals that are
/// meant for the program, and leaves the program's own OpenMP settings alone. The first call starts it; it lasts as long as
/// the process.
final class ComputeThread: @unchecked Sendable {
  static let shared = ComputeThread()

  /// What follows is read and written with `mutex` held, but for the identity.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  /// A job was added.
  private let arrival = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  /// A job was begun or finished.
  private let change = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var jobs: [Job] = []
  /// Of the process in which the thread was started: a fork has none.
  private var process: pid_t = 0
  /// `pthread_self()` of the thread; 0 before it runs.
  private let identity = Atomic<UInt>(0)

  private static let stackSize = 8 << 20
  /// Nanoseconds between two looks at the cancellation and two calls of `whileWaiting`.
  private static let interval = 100_000_000

  private final class Job {
    enum State { case waiting, running, done }
    let body: () -> Void
    var state = State.waiting
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  private init() {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(arrival, &attributes)
    pthread_cond_init(change, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  /// Whether the caller runs on the thread.
  var isCurrent: Bool { identity.load(ordering: .relaxed) == UInt(pthread_self()) }

  /// Runs `body` on the thread and returns when it is done; at once where the caller runs on the thread already.
  /// - Parameters:
  ///   - cancellation: Ends the wait for a turn.
  ///   - whileWaiting: Called some times a second on the calling thread, whether `body` waits or runs.
  /// - Throws: `CancellationRequested`, `body` was not run then; `TensorError` where no thread can be started.
  func run(cancellation: Cancellation?, whileWaiting: (() -> Void)?, _ body: () -> Void) throws {
    if isCurrent { return body() }
    try withoutActuallyEscaping(body) { body in
      let job = Job(body)
      pthread_mutex_lock(mutex)
      defer { pthread_mutex_unlock(mutex) }
      try start()
      jobs.append(job)
      pthread_cond_signal(arrival)
      while job.state != .done {
        if job.state == .waiting, let cancellation, cancellation.isRequested {
          jobs.removeAll { $0 === job }
          throw CancellationRequested()
        }
        if cancellation == nil, whileWaiting == nil {
          pthread_cond_wait(change, mutex)
        } else if waitForChange() == ETIMEDOUT, let whileWaiting {
          pthread_mutex_unlock(mutex)
          whileWaiting()
          pthread_mutex_lock(mutex)
        }
      }
    }
  }

  private func waitForChange() -> CInt {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    let nanoseconds = time.tv_nsec + ComputeThread.interval
    time.tv_sec += nanoseconds / 1_000_000_000
    time.tv_nsec = nanoseconds % 1_000_000_000
    return pthread_cond_timedwait(change, mutex, &time)
  }

  /// Starts the thread, once.
  private func start() throws {
    guard process != getpid() else { return }
    guard process == 0 else {
      throw TensorError("this process was forked from one that computes, and cannot; start a new program instead")
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, ComputeThread.stackSize)
    pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
    // A thread inherits its mask, and so do those that libgomp starts from it. What a thread does wrong itself stays its own.
    var (all, before) = (sigset_t(), sigset_t())
    sigfillset(&all)
    for signal in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT] { sigdelset(&all, signal) }
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    let status = pthread_create(
      &thread, &attributes,
      { _ in
        ComputeThread.shared.work()
        return nil
      }, nil)
    guard status == 0 else { throw TensorError("no thread could be started: \(String(cString: strerror(status)))") }
    process = getpid()
  }

  private func work() {
    identity.store(UInt(pthread_self()), ordering: .relaxed)
    pthread_mutex_lock(mutex)
    while true {
      while jobs.isEmpty { pthread_cond_wait(arrival, mutex) }
      let job = jobs.removeFirst()
      job.state = .running
      pthread_mutex_unlock(mutex)
      job.body()
      pthread_mutex_lock(mutex)
      job.state = .done
      pthread_cond_broadcast(change)
    }
  }
}
