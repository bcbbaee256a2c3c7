/// A setting that cannot be used: what was given, where, and what would be accepted.
public struct SettingsError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The setting's name, as in `Knobs`; nil where several are concerned.
  public let name: String?
  public let reason: String

  public init(_ reason: String, in name: String? = nil) {
    self.name = name
    self.reason = reason
  }

  public var description: String { name.map { "\($0): \(reason)" } ?? reason }
}
