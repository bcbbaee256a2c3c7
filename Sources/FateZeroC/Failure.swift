import CFateZero
import FateZero
import StableDiffusion
import Tensors

/// Why a call fails: its status, and the sentence for people.
struct Failure: Error {
  let status: fatezero_status
  let message: String

  init(_ status: fatezero_status, _ message: String) {
    self.status = status
    self.message = message
  }

  /// What an error of the layers below means for the caller.
  init(_ error: any Error) {
    switch error {
    case let failure as Failure: self = failure
    case let error as SettingsError: self.init(FATEZERO_SETTINGS, error.description)
    case let error as EditError:
      let status =
        switch error.kind {
        case .settings: FATEZERO_SETTINGS
        case .frames: FATEZERO_FRAMES
        case .memory: FATEZERO_MEMORY
        case .numerics: FATEZERO_NUMERICS
        }
      self.init(status, error.description)
    case let error as ModelError:
      let status =
        switch error.kind {
        case .notFound: FATEZERO_MODEL_NOT_FOUND
        case .badData: FATEZERO_MODEL_DAMAGED
        case .unsupported: FATEZERO_MODEL_UNSUPPORTED
        }
      self.init(status, error.description)
    case let error as InversionMismatch: self.init(FATEZERO_INVALID_STATE, error.description)
    case is CancellationRequested: self = .cancelled
    case let error as TensorError:
      let status =
        switch error.kind {
        case .operation: FATEZERO_INTERNAL
        case .memory: FATEZERO_MEMORY
        case .file: FATEZERO_MODEL_DAMAGED
        }
      self.init(status, error.description)
    default: self.init(FATEZERO_INTERNAL, "\(error)")
    }
  }

  static let cancelled = Failure(
    FATEZERO_CANCELLED, "the work was cancelled; fatezero_reset() makes the context usable again")

  static func argument(_ message: String) -> Failure { Failure(FATEZERO_INVALID_ARGUMENT, message) }
}
