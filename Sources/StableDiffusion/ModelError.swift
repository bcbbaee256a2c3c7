/// A model that cannot be used: what is wrong, where, and what to do about it.
public struct ModelError: Error, CustomStringConvertible, Sendable {
  public enum Kind: Sendable, Hashable {
    /// A file or folder that should be there is not.
    case notFound
    /// A file is damaged, or says something that cannot be.
    case badData
    /// A file is sound, but asks for something that this implementation does not do.
    case unsupported
  }

  public let kind: Kind
  public let description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}
