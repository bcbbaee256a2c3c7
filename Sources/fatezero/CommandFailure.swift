/// Why the command ends: one line for the user and the exit status (sysexits.h).
struct CommandFailure: Error, CustomStringConvertible {
  enum Status: Int32, CaseIterable {
    case usage = 64
    case data = 65
    case noInput = 66
    case noModel = 69
    case internalError = 70
    case cannotCreate = 73
    case inputOutput = 74
    case interrupted = 130
    case brokenPipe = 141

    var meaning: String {
      switch self {
      case .usage: "the command line or a setting is wrong"
      case .data: "the input, a configuration or a model holds something that cannot be used"
      case .noInput: "the input does not exist or cannot be opened"
      case .noModel: "no model was found"
      case .internalError: "an error in fatezero itself"
      case .cannotCreate: "the output cannot be created"
      case .inputOutput: "reading or writing failed"
      case .interrupted: "stopped by SIGINT (Ctrl-C) or SIGTERM"
      case .brokenPipe: "the reader of the output went away"
      }
    }
  }

  var status: Status
  var message: String

  init(_ status: Status, _ message: String) {
    self.status = status
    self.message = message
  }

  var description: String { message }
}
