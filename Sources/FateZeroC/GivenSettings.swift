import FateZero

/// What the caller has set, in the notation of `fatezero_set()`.
struct GivenSettings {
  private(set) var layer: Settings.Layer = []
  /// Changes with the settings.
  private(set) var revision = 0

  /// - Throws: `SettingsError` for a value out of range. What settings say about each other is found when they are used.
  mutating func replace(by layer: Settings.Layer) throws {
    for entry in layer { try GivenSettings.check(entry.name, entry.text) }
    self.layer = layer
    revision += 1
  }

  /// - Parameter text: nil for the default.
  mutating func set(_ name: String, to text: String?) throws {
    try GivenSettings.check(name, text ?? Settings().text(of: name) ?? "")
    layer.removeAll { $0.name == name }
    if let text { layer.append((name, text)) }
    revision += 1
  }

  func text(of name: String) -> String? { layer.last { $0.name == name }?.text }

  private static func check(_ name: String, _ text: String) throws {
    var trial = Settings()
    try trial.set(name, to: text)
  }
}
