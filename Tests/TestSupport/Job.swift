import FoundationEssentials
import Glibc

/// What a finished program left behind.
public struct Outcome {
  /// The exit status; 128 + the signal that ended it, as a shell says.
  public let status: Int32
  public let output: Data
  public let errors: String
  /// Largest resident set seen, in KiB.
  public let peakMemory: Int
}

/// A running program, its output going to files.
public final class Job {
  public let pid: pid_t
  private let outputPath: String
  private let errorsPath: String
  private var peakMemory = 0

  /// Starts `arguments[0]` with empty standard input and default signal handling.
  public init(arguments: [String], environment: [String], output: String, errors: String) throws {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var all = sigset_t()
    var none = sigset_t()
    sigfillset(&all)
    sigemptyset(&none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))

    let argv = arguments.map { strdup($0) } + [nil]
    let envp = environment.map { strdup($0) } + [nil]
    defer { (argv + envp).forEach { free($0) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, arguments[0], &actions, &attributes, argv, envp)
    guard code == 0 else { throw WorkbenchError.system("posix_spawn", code) }
    self.pid = pid
    outputPath = output
    errorsPath = errors
  }

  /// What it has written to standard error so far.
  public var errorsSoFar: String { Self.text(errorsPath) }

  /// What it has written to standard output so far.
  public var outputSoFar: String { Self.text(outputPath) }

  /// Whether it has ended; `wait` still tells how.
  public var hasEnded: Bool {
    var information = siginfo_t()
    waitid(P_PID, id_t(pid), &information, WEXITED | WNOHANG | WNOWAIT)
    return information.si_signo != 0
  }

  public func signal(_ signal: Int32) {
    kill(pid, signal)
  }

  /// Waits for the end.
  /// - Parameter seconds: After so many it is killed.
  /// - Throws: `WorkbenchError.hangs` then.
  public func wait(seconds: Int = 900) throws -> Outcome {
    var status: Int32 = 0
    let start = ContinuousClock.now
    while true {
      let ended = waitpid(pid, &status, WNOHANG)
      if ended == pid { break }
      guard ended == 0 || errno == EINTR else { throw WorkbenchError.system("waitpid", errno) }
      // The high-water mark only grows, so the last look before the end is the peak.
      peakMemory = max(peakMemory, highWaterMark())
      if start.duration(to: .now) > .seconds(seconds) {
        kill(pid, SIGKILL)
        waitpid(pid, &status, 0)
        throw WorkbenchError.hangs(seconds: seconds, errors: errorsSoFar)
      }
      usleep(10_000)
    }
    let signal = status & 0x7f
    return Outcome(
      status: signal == 0 ? (status >> 8) & 0xff : 128 + signal,
      output: (try? Data(contentsOf: URL(filePath: outputPath))) ?? Data(), errors: Self.text(errorsPath),
      peakMemory: peakMemory)
  }

  private func highWaterMark() -> Int {
    for line in Self.text("/proc/\(pid)/status").split(separator: "\n") where line.hasPrefix("VmHWM:") {
      return Int(line.split(separator: " ", omittingEmptySubsequences: true).dropFirst().first ?? "") ?? 0
    }
    return 0
  }

  private static func text(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
      bytes += buffer[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
