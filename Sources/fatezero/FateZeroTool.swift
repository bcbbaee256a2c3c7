import ArgumentParser
import FateZero
import Glibc
import Tensors

/// The `fatezero` command.
@main struct FateZeroTool: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fatezero",
    abstract:
      "Edits a video by its words: inverts the clip with DDIM, keeps what the attention saw, and denoises with the "
      + "new words while that attention holds motion, layout and background in place.",
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
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      guard let failure = CommandFailure(error) else { exit(withError: error) }
      if !failure.message.isEmpty { StandardError.line("fatezero: \(failure.message)") }
      Glibc.exit(failure.status.rawValue)
    }
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
