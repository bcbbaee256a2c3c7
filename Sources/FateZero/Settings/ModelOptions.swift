import Glibc
import StableDiffusion
import Text

/// The settings that decide how a model is read, before it can recommend any.
public enum ModelOptions {
  /// A model's own recommendations cannot change these.
  static let names = ["prediction-type", "unet", "vae", "lora", "embedding"]
  private static let promptNames = Set(Settings.Prompt.allCases.map(\.rawValue))

  /// - Parameters:
  ///   - layer: With the prompts, whose LoRA tags are taken where their files are found.
  ///   - model: The place of the model.
  /// - Throws: `SettingsError`.
  public static func checkpoint(_ layer: Settings.Layer, model: String) throws -> Checkpoint.Options {
    var settings = Settings()
    for entry in layer where names.contains(entry.name) { try settings.set(entry.name, to: entry.text) }
    var loras = settings.loras
    for entry in layer where promptNames.contains(entry.name) {
      var prompt = Settings()
      try prompt.set(entry.name, to: entry.text)
      for tag in prompt.loraTags where !loras.contains(where: { isNamed(tag.name, $0) }) {
        if let file = file(of: tag, beside: model) { loras.append(Checkpoint.LoRA(path: file, weight: tag.weight)) }
      }
    }
    return Checkpoint.Options(
      predictionType: settings.predictionType.type, unet: settings.unet, vae: settings.vae, loras: loras,
      embeddings: settings.embeddings)
  }

  // MARK: LoRA tags

  /// What became of a tag, as a sentence.
  static func note(on tag: WebUISyntax.LoRATag, loras: [Checkpoint.LoRA]) -> String {
    guard let lora = loras.first(where: { isNamed(tag.name, $0) }) else {
      return
        "\(tag.description) is left out: there is no \(tag.name).safetensors beside the model, nor in its folder's lora, "
        + "Lora or loras; give the file as lora"
    }
    return "\(tag.description) is read as lora \(lora.path):\(lora.weight)"
  }

  private static func isNamed(_ name: String, _ lora: Checkpoint.LoRA) -> Bool {
    let file = lora.path.pieces(at: "/").last ?? ""
    return file == name || endings.contains { file == name + $0 }
  }

  private static let endings = [".safetensors", ".pt", ".ckpt", ".bin"]

  /// The file that a tag means: in the model's folder, in one for LoRA within it, or in one beside it, as the web UI and
  /// ComfyUI have them.
  private static func file(of tag: WebUISyntax.LoRATag, beside model: String) -> String? {
    // A tag names a file, and no way to one.
    guard !tag.name.utf8.contains(UInt8(ascii: "/")), !tag.name.utf8.contains(0) else { return nil }
    let folder = Folder.exists(model) ? model : model.lastPlace(ofScalar: "/").map { String(model[..<$0]) } ?? "."
    let places = ["lora", "Lora", "loras", "LoRA"]
    let folders = [folder] + places.map { "\(folder)/\($0)" } + places.map { "\(folder)/../\($0)" }
    for folder in folders {
      for ending in endings {
        let path = "\(folder)/\(tag.name)\(ending)"
        if access(path, R_OK) == 0, !Folder.exists(path) { return path }
      }
    }
    return nil
  }
}
