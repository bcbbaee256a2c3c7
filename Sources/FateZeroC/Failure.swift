import CFateZero
import FateZero

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
    if let failure = error as? Failure {
      self = failure
      return
    }
    switch ErrorCategory(error) {
    case .settings: self.init(FATEZERO_SETTINGS, "\(error)")
    case .frames: self.init(FATEZERO_FRAMES, "\(error)")
    case .memory: self.init(FATEZERO_MEMORY, "\(error)")
    case .numerics: self.init(FATEZERO_NUMERICS, "\(error)")
    case .modelNotFound: self.init(FATEZERO_MODEL_NOT_FOUND, "\(error)")
    case .modelDamaged: self.init(FATEZERO_MODEL_DAMAGED, "\(error)")
    case .modelUnsupported: self.init(FATEZERO_MODEL_UNSUPPORTED, "\(error)")
    case .inversionMismatch: self.init(FATEZERO_INVALID_STATE, "\(error)")
    case .cancelled: self = .cancelled
    case .storage, .fault, nil: self.init(FATEZERO_INTERNAL, "\(error)")
    }
  }

  static let cancelled = Failure(
    FATEZERO_CANCELLED, "the work was cancelled; fatezero_reset() makes the context usable again")

  static func argument(_ message: String) -> Failure { Failure(FATEZERO_INVALID_ARGUMENT, message) }
}
