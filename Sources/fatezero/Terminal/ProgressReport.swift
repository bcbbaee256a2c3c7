import FateZero
import Glibc
import Tensors
import Text

/// Tells how far a run is: on standard error for people, and, where asked, on a file or descriptor for programs.
///
/// For people: one line that is rewritten on a terminal; elsewhere a line when a phase is done and at most one every
/// ten seconds besides.
///
/// For programs (`--progress`): blocks of `key=value` lines in ffmpeg's manner: `frame` (frames written),
/// `out_time_us`, `window`, `windows`, `phase` (encode, invert, reconstruct, edit, decode), `edit`, `step`, `steps`,
/// `percent`, `elapsed_us`, `left_us`, and last `progress=continue`, or `progress=end` in the final block. `N/A` is
/// not known.
final class ProgressReport {
  /// Told of each step, the share of the work that is done, 0...1, and the seconds that are thought to be left.
  typealias Observer = (ClipEditor.Progress, _ share: Double?, _ secondsLeft: Double?) -> Void

  private let editCount: Int
  private let observer: Observer
  private let clock = ContinuousClock()
  private let begin: ContinuousClock.Instant
  /// Of the work from when the model was loaded: loading says nothing about the speed of the rest.
  private var remaining = RemainingTime(expected: nil)
  private let descriptor: Int32?
  private var canWrite = true
  /// Floating-point operations of the whole run; nil while the number of frames is unknown.
  var totalOperations: Double?
  var windowCount: Int?
  private var framesWritten = 0
  private var outTime = 0.0
  private var latest: ClipEditor.Progress?
  private var lastLine: ContinuousClock.Instant
  private var lineLength = 0

  private static let lineInterval = Duration.seconds(10)

  /// - Parameters:
  ///   - target: `pipe:N` or the path of a file or FIFO.
  ///   - framesOnOutput: Standard output carries frames, and nothing else.
  init(editCount: Int, target: String?, framesOnOutput: Bool, observer: @escaping Observer) throws {
    if framesOnOutput, target == "pipe:\(STDOUT_FILENO)" || target == "/dev/stdout" {
      throw CommandFailure(.usage, "--progress: standard output carries the frames; take another pipe or a file")
    }
    (self.editCount, self.observer) = (editCount, observer)
    begin = clock.now
    lastLine = begin
    descriptor = try target.map(Self.open)
  }

  private static func open(_ target: String) throws -> Int32 {
    if let digits = target.dropping(prefix: "pipe:") {
      guard let number = Int32(digits), number >= 0, fcntl(number, F_GETFD) >= 0 else {
        throw CommandFailure(.usage, "--progress \(target): there is no such open descriptor")
      }
      return number
    }
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
    var descriptor = Glibc.open(target, flags | O_NONBLOCK, 0o666)
    // A FIFO without a reader yet.
    while descriptor < 0, errno == ENXIO, isFIFO(target) {
      try Interruption.cancellation.check()
      usleep(100_000)
      descriptor = Glibc.open(target, flags | O_NONBLOCK, 0o666)
    }
    guard descriptor >= 0 else {
      throw CommandFailure(.cannotCreate, "--progress \(target): \(String(cString: strerror(errno)))")
    }
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
    return descriptor
  }

  private static func isFIFO(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
  }

  /// The model is loaded; frames come now.
  ///
  /// - Parameter expectedSeconds: How long the work is thought to take; nil while the number of frames is unknown.
  func beginWork(expectedSeconds: Double?) { remaining = RemainingTime(expected: expectedSeconds) }

  func update(_ progress: ClipEditor.Progress) {
    latest = progress
    observer(progress, share, left)
    writeBlock(ending: "continue")
    if StandardError.isTerminal {
      rewrite(line(progress))
    } else if progress.step == progress.steps || clock.now - lastLine >= Self.lineInterval {
      lastLine = clock.now
      StandardError.line(line(progress))
    }
  }

  /// - Parameter end: When the last written frame ends, in seconds of the clip.
  func written(frames: Int, until end: Double) {
    framesWritten += frames
    outTime = end
  }

  /// The last word of a run that succeeded.
  func finish() {
    writeBlock(ending: "end")
    clearLine()
    StandardError.line("done in \(Numerals.duration(elapsed))")
  }

  /// Leaves the terminal's line to whoever writes next.
  func clearLine() {
    guard lineLength > 0 else { return }
    StandardError.write("\r" + String(repeating: " ", count: lineLength) + "\r")
    lineLength = 0
  }

  // MARK: - Parts

  private var elapsed: Double { (clock.now - begin).inSeconds }

  /// Share of the run that is done, 0...1.
  private var share: Double? {
    guard let totalOperations, totalOperations > 0, let latest else { return nil }
    let operations = totalOperations - latest.savedOperations
    return operations > 0 ? min(latest.operations / operations, 1) : nil
  }

  private var left: Double? { share.flatMap { $0 > 0 ? remaining.left(share: $0) : nil } }

  private func line(_ progress: ClipEditor.Progress) -> String {
    var parts: [String] = []
    if windowCount != 1 { parts.append("window \(progress.window + 1)\(windowCount.map { "/\($0)" } ?? "")") }
    let phase = progress.phase.words
    parts.append(phase.verb + (phase.edit.map { editCount > 1 ? " \($0 + 1)/\(editCount)" : "" } ?? ""))
    parts.append("\(phase.unit) \(progress.step)/\(progress.steps)")
    if let share { parts.append("\(Int(share * 100)) %") }
    if let left { parts.append("\(Numerals.duration(left)) left") }
    return parts.joined(separator: "  ")
  }

  private func rewrite(_ text: String) {
    StandardError.write("\r" + text + String(repeating: " ", count: max(lineLength - text.count, 0)))
    lineLength = text.count
  }

  private func writeBlock(ending: String) {
    guard let descriptor, canWrite else { return }
    var lines = ["frame=\(framesWritten)", "out_time_us=\(Int(min(max(outTime * 1e6, -0x1p62), 0x1p62)))"]
    if let latest {
      let phase = latest.phase.words
      lines += [
        "window=\(latest.window + 1)", "windows=\(windowCount.map { "\($0)" } ?? "N/A")", "phase=\(phase.name)",
        "edit=\(phase.edit.map { "\($0 + 1)" } ?? "N/A")", "step=\(latest.step)", "steps=\(latest.steps)",
      ]
    }
    lines += [
      "percent=\(share.map { Numerals.fixed($0 * 100, digits: 1) } ?? "N/A")", "elapsed_us=\(Int(elapsed * 1e6))",
      "left_us=\(left.map { "\(Int(min($0, 1e12) * 1e6))" } ?? "N/A")", "progress=\(ending)",
    ]
    // A reader that went away does not stop the edit.
    canWrite = FileDescriptorText.write(lines.joined(separator: "\n") + "\n", to: descriptor)
  }

  deinit { if let descriptor, descriptor > STDERR_FILENO { close(descriptor) } }
}

extension ClipEditor.Progress.Phase {
  /// How the phase is called in progress files and on the terminal, which edit it belongs to, and what it counts.
  fileprivate var words: (name: String, verb: String, edit: Int?, unit: String) {
    switch self {
    case .encode: (name, "encoding", nil, "frame")
    case .invert: (name, "inverting", nil, "step")
    case .reconstruct: (name, "reconstructing", nil, "step")
    case .edit(let edit): (name, "editing", edit, "step")
    case .decode(let edit): (name, "decoding", edit, "frame")
    }
  }
}
