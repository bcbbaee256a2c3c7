import FoundationEssentials
import StableDiffusion

/// Defaults that come with a model: `fatezero.json` in its folder, an object of setting names and values.
///
///     {"guidance-scale": 3.5, "cross-replace": "0.8,tiger=0.0:0.4"}
public enum ModelDefaults {
  public static let fileName = "fatezero.json"

  /// Reads the file's bytes. Values are text in the notation of `Settings.set(_:to:)`, numbers or booleans.
  /// - Throws: `SettingsError` for what is no such object, names no setting or holds a value that does not fit.
  public static func layer(json: [UInt8]) throws -> Settings.Layer {
    let values: [String: Value]
    do {
      values = try JSONDecoder().decode([String: Value].self, from: Data(json))
    } catch {
      throw SettingsError(
        "\(fileName) is not a JSON object of setting names with text, numbers, true or false as values")
    }
    let layer = values.sorted { $0.key < $1.key }.map { (name: $0.key, text: $0.value.text) }
    var trial = Settings()
    for entry in layer {
      if (["edit", "model", "preset", "source"] + ModelOptions.names).contains(entry.name) {
        throw SettingsError("a model's \(fileName) cannot set this", in: entry.name)
      }
      if Knobs.ofMachine.contains(entry.name) {
        throw SettingsError(
          "a model's \(fileName) cannot set this: it may say how an edit is made, not where files go or what of the machine "
            + "is used; remove it from the file", in: entry.name)
      }
      do {
        try trial.set(entry.name, to: entry.text)
      } catch let error as SettingsError {
        throw SettingsError("\(fileName): \(error.reason)", in: error.name ?? entry.name)
      }
    }
    return layer
  }

  /// The defaults of an opened model; empty where it has none.
  /// - Throws: `ModelError`.
  public static func layer(of model: Checkpoint) throws -> Settings.Layer {
    guard let text = model.recommendedSettings else { return [] }
    do {
      return try layer(json: Array(text.utf8))
    } catch let error as SettingsError {
      throw ModelError(.badData, "\(model.path)/\(error.description)")
    }
  }

  private struct Value: Decodable {
    let text: String

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let value = try? container.decode(Bool.self) {
        text = "\(value)"
      } else if let value = try? container.decode(Int.self) {
        text = "\(value)"
      } else if let value = try? container.decode(Double.self) {
        text = "\(value)"
      } else {
        text = try container.decode(String.self)
      }
    }
  }
}
