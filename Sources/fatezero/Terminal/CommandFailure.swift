import FateZero
import MediaIO
import Metrics

/// Why the command ends: one line for the user and the exit status (sysexits.h).
struct CommandFailure: Error, CustomStringConvertible {
  enum Status: Int32, CaseIterable {
    case usage = 64
    case data = 65
    case noInput = 66
    case noModel = 69
    case internalError = 70
    case memory = 71
    case cannotCreate = 73
    case inputOutput = 74
    case hungUp = 129
    case interrupted = 130
    case brokenPipe = 141
    case terminated = 143

    var meaning: String {
      switch self {
      case .usage: "the command line or a setting is wrong"
      case .data: "an input, a configuration or a model is corrupt or invalid"
      case .noInput: "the input does not exist or cannot be opened"
      case .noModel: "no model was found"
      case .internalError: "an error in fatezero itself"
      case .memory: "the edit would need more memory than it may use"
      case .cannotCreate: "the output exists already or cannot be created"
      case .inputOutput: "reading or writing failed"
      case .hungUp: "stopped by SIGHUP (the terminal went away)"
      case .interrupted: "stopped by SIGINT (Ctrl-C)"
      case .brokenPipe: "the reader of the output went away"
      case .terminated: "stopped by SIGTERM"
      }
    }
  }

  var status: Status
  /// Whether a signal ended the work.
  var isInterruption: Bool { [.hungUp, .interrupted, .terminated].contains(status) }
  /// Empty where nothing needs to be said.
  var message: String

  init(_ status: Status, _ message: String) {
    self.status = status
    self.message = message
  }

  var description: String { message }

  /// What an error of the layers below means for the command; nil for one of the argument parser's own.
  init?(_ error: any Error) {
    switch error {
    case let failure as CommandFailure: self = failure
    case let error as MetricsError: self.init(.data, error.description)
    case let error as MediaError:
      switch error.kind {
      case .noInput: self.init(.noInput, error.description)
      case .badData: self.init(.data, error.description)
      case .usage: self.init(.usage, error.description)
      case .brokenPipe: self.init(.brokenPipe, "")
      case .cannotCreate: self.init(.cannotCreate, error.description)
      case .io: self.init(.inputOutput, error.description)
      case .memory: self.init(.memory, error.description)
      case .cancelled: self.init(Interruption.status, "")
      }
    default:
      guard let category = ErrorCategory(error) else { return nil }
      self.init(Status(category), category == .cancelled ? "" : "\(error)")
    }
  }
}

extension CommandFailure.Status {
  fileprivate init(_ category: ErrorCategory) {
    switch category {
    case .settings, .inversionMismatch: self = .usage
    case .frames, .numerics, .modelDamaged, .modelUnsupported: self = .data
    case .memory: self = .memory
    case .modelNotFound: self = .noModel
    case .storage: self = .cannotCreate
    case .cancelled: self = Interruption.status
    case .fault: self = .internalError
    }
  }
}
