import StableDiffusion

/// The settings that decide how a model is read, before it can recommend any.
public enum ModelOptions {
  /// A model's own recommendations cannot change these.
  static let names = ["prediction-type", "unet", "vae", "lora", "embedding"]

  /// - Throws: `SettingsError`.
  public static func checkpoint(_ layer: Settings.Layer) throws -> Checkpoint.Options {
    var settings = Settings()
    for entry in layer where names.contains(entry.name) { try settings.set(entry.name, to: entry.text) }
    return Checkpoint.Options(
      predictionType: settings.predictionType.type, unet: settings.unet, vae: settings.vae, loras: settings.loras,
      embeddings: settings.embeddings)
  }
}
