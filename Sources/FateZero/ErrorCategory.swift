import StableDiffusion
import Tensors

/// What went wrong, of any error that the engine throws: exit statuses and the statuses of the C interface, and with them
/// GStreamer's domains, derive from it.
public enum ErrorCategory: Sendable, CaseIterable {
  /// Settings, prompts and model do not fit together.
  case settings
  /// The frames handed in cannot be used.
  case frames
  case memory
  /// The arithmetic left the numbers that a computer can hold.
  case numerics
  case modelNotFound, modelDamaged, modelUnsupported
  /// An inversion was made under other settings.
  case inversionMismatch
  /// A folder or file of the engine's own cannot be made, read or written.
  case storage
  case cancelled
  /// An error in the engine itself.
  case fault

  /// nil for an error of another library.
  public init?(_ error: any Error) {
    switch error {
    case is SettingsError: self = .settings
    case let error as EditError:
      switch error.kind {
      case .settings: self = .settings
      case .frames: self = .frames
      case .memory: self = .memory
      case .numerics: self = .numerics
      }
    case let error as ModelError:
      switch error.kind {
      case .notFound: self = .modelNotFound
      case .badData: self = .modelDamaged
      case .unsupported: self = .modelUnsupported
      }
    case is InversionMismatch: self = .inversionMismatch
    case is StorageError: self = .storage
    case is CancellationRequested: self = .cancelled
    case let error as TensorError:
      switch error.kind {
      case .operation: self = .fault
      case .memory: self = .memory
      case .file: self = .modelDamaged
      }
    default: return nil
    }
  }
}
