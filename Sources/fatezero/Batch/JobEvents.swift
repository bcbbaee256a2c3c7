import FateZero
import FoundationEssentials
import Glibc

/// What happens to jobs, one JSON object per line on standard output (docs/batch.md).
final class JobEvents {
  struct Event: Encodable {
    enum Kind: String, Encodable {
      case planned, skipped, started, progress, note, finished, failed, interrupted, ended
    }
    var event: Kind
    /// ISO 8601, UTC; set when it is written.
    var time = ""
    /// From 1.
    var job: Int?
    var jobs: Int?
    var name: String?
    var output: String?
    var reason: String?
    var message: String?
    var status: Int32?
    var window: Int?
    var phase: String?
    var step: Int?
    var steps: Int?
    var percent: Double?
    var secondsLeft: Double?
    var seconds: Double?
    var peakBytes: Int?
    var finished: Int?
    var skipped: Int?
    var failed: Int?
    var version: String?
  }

  private let encoder = JSONEncoder()
  private var canWrite = true
  private var latestProgress: ContinuousClock.Instant?

  init() {
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  }

  static var now: String { Date().formatted(.iso8601) }

  func send(_ event: Event) {
    guard canWrite else { return }
    var event = event
    event.time = Self.now
    guard let data = try? encoder.encode(event) else { return }
    // A reader that went away does not stop the work.
    canWrite = FileDescriptorText.write(String(decoding: data, as: UTF8.self) + "\n", to: STDOUT_FILENO)
    if !canWrite, errno != EPIPE {
      StandardError.line("fatezero: warning: the events cannot be written: \(String(cString: strerror(errno)))")
    }
  }

  /// Sends what a phase's end is, and of the steps between at most one a second.
  func send(_ progress: ClipEditor.Progress, share: Double?, secondsLeft: Double?, job: Int) {
    let now = ContinuousClock.now
    if progress.step < progress.steps, let latestProgress, now - latestProgress < .seconds(1) { return }
    latestProgress = now
    func rounded(_ value: Double?) -> Double? { value.map { ($0 * 10).rounded() / 10 } }
    send(
      Event(
        event: .progress, job: job, window: progress.window + 1, phase: progress.phase.name, step: progress.step,
        steps: progress.steps, percent: rounded(share.map { $0 * 100 }), secondsLeft: rounded(secondsLeft)))
  }
}
