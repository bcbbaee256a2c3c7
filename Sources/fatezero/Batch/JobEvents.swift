import FateZero
import FoundationEssentials
import Glibc
import Text

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
  private var failure: CommandFailure?
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
    do { try StandardOutput.write(Self.withoutControls(String(decoding: data, as: UTF8.self)) + "\n") } catch {
      canWrite = false
      guard let error = error as? CommandFailure, error.status != .brokenPipe else { return }
      failure = error
      StandardError.line("fatezero: warning: the events cannot be written: \(error)")
    }
  }

  /// To be called when the work is done.
  /// - Throws: `CommandFailure` where events were lost that somebody would have read.
  func checkWritten() throws { if let failure { throw failure } }

  /// JSON whose strings write out what could steer a terminal; `JSONEncoder` does so below U+0020 only.
  private static func withoutControls(_ json: String) -> String {
    json.exchangingControls { scalar in
      let digits = String(scalar.value, radix: 16)
      return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
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
