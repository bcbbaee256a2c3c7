import ArgumentParser
import FateZero
import Glibc
import Tensors
import Text

/// The `fatezero` command.
@main struct FateZeroTool: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fatezero",
    abstract:
      "Edits a video with a text prompt: inverts the clip with DDIM, records its attention, and denoises with the new "
      + "prompt while that attention preserves motion, layout and background.",
    usage: """
      fatezero edit INPUT OUTPUT --edit "a [cat -> tiger] on the grass"
      fatezero plan INPUT --edit "a [cat -> tiger] on the grass"
      fatezero inspect MODEL
      fatezero metrics SOURCE RESULT
      fatezero ffmpeg-filter --input INPUT --edit "a [cat -> tiger] on the grass"
      """,
    discussion: """
      Exit status:
        0    everything was written
      \(CommandFailure.Status.table)

      Environment:
        FATEZERO_MODEL   folder of the model where --model is not given
        OMP_WAIT_POLICY  active: threads spin while they wait for each other, which is a little faster on an idle machine
                         and many times slower on a busy one (default: passive)

      Completions for a shell: fatezero --generate-completion-script bash|zsh|fish
      """,
    version: toolVersion,
    subcommands: [
      EditCommand.self, PlanCommand.self, InspectCommand.self, MetricsCommand.self, CacheCommand.self,
      BatchCommand.self,
      PlanJobsCommand.self, RunJobCommand.self, JoinCommand.self, FFmpegFilterCommand.self,
    ])

  static func main() {
    WaitPolicy.sleepUnlessChosen()
    // What is opened later must not take the place of a standard stream that came closed.
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
      _ = open("/dev/null", O_RDWR)
    }
    // A reader that goes away is an error of the write, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    var status: Int32 = 0
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch { status = end(with: error) }
    // The libraries' own ends are left out: OpenBLAS's waits for threads that the system may have refused it.
    _exit(status)
  }

  /// Says what is to be said of an error, or of a wish for help.
  /// - Returns: The exit status.
  private static func end(with error: any Error) -> Int32 {
    if let failure = CommandFailure(error) {
      if !failure.message.isEmpty { StandardError.line("fatezero: \(failure.message)") }
      return failure.status.rawValue
    }
    let (status, message) = (exitCode(for: error).rawValue, fullMessage(for: error).visibleText)
    guard status == 0 else {
      StandardError.write(message + "\n")
      return status
    }
    do { try StandardOutput.write(message + "\n") } catch { return end(with: error) }
    return 0
  }
}

let toolVersion = "\(Version.text)"

extension CommandFailure.Status {
  fileprivate static var table: String {
    allCases.map { status in
      let code = "\(status.rawValue)"
      return "  \(code)\(String(repeating: " ", count: 5 - code.count))\(status.meaning)"
    }.joined(separator: "\n")
  }
}
