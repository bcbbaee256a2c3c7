import FateZero

/// Settings, `NAME=TEXT` each, with zero bytes between: what can be set is read back as a text that sets the same.
struct SettingsTarget: FuzzTarget {
  static let name = "settings"
  static let maximumLength = 1024
  init(scratch: ScratchFolder) {}

  /// Where no setting has the name, its first byte chooses one, so that few inputs are lost.
  static func layer(_ input: [UInt8]) -> Settings.Layer {
    input.parts(atMost: 64).compactMap { part in
      let sides = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      guard sides.count == 2 else { return nil }
      let knob = Knobs.named(Array(sides[0]).text) ?? Knobs.all[Int(sides[0].first ?? 0) % Knobs.all.count]
      return (knob.name, Array(sides[1]).text)
    }
  }

  func run(_ input: [UInt8]) throws {
    let layer = Self.layer(input)
    for entry in layer {
      var settings = Settings()
      guard (try? settings.set(entry.name, to: entry.text)) != nil else { continue }
      for knob in Knobs.all where knob.name != "preset" {
        let text = settings.text(of: knob.name) ?? ""
        var again = Settings()
        do { try again.set(knob.name, to: text) } catch {
          throw BrokenPromise(description: "\(knob.name): \(text.debugDescription) is not read back: \(error)")
        }
        let second = again.text(of: knob.name) ?? ""
        try promise(
          second.utf8.elementsEqual(text.utf8),
          "\(knob.name): \(text.debugDescription) is read back as \(second.debugDescription)")
      }
      try? settings.validate()
    }
    _ = try? Settings(layers: [layer])
  }
}
