/// An edit that cannot be done or went wrong: what happened, where, and what to do about it.
public struct EditError: Error, CustomStringConvertible, Sendable {
  public enum Kind: Sendable, Hashable {
    /// The frames handed in cannot be used.
    case frames
    /// Settings, prompts and model do not fit together.
    case settings
    /// The run would need more memory than it may use.
    case memory
    /// The arithmetic left the numbers that a computer can hold.
    case numerics
  }

  public let kind: Kind
  public let description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}
