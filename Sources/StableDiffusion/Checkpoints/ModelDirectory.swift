import Text

/// A checkpoint as diffusers lays it out: `model_index.json`, `unet/`, `vae/`, `text_encoder/`, `tokenizer/`,
/// `scheduler/`.
enum ModelDirectory {
  static let index = "model_index.json"

  /// Of each network the file without a variant is taken, else the `.fp16` one; safetensors before `.bin`.
  static func parts(_ path: String, variant: String?) throws -> Checkpoint.Parts {
    try check(path)
    let unet = try UNetConfiguration(path: path + "/unet/config.json")
    let autoencoder = try AutoencoderConfiguration(path: path + "/vae/config.json")
    let textEncoder = try TextEncoderConfiguration(path: path + "/text_encoder/config.json")
    let scheduler = try SchedulerConfiguration(path: path + "/scheduler/scheduler_config.json")
    if let variant { try WeightLocation.checkVariant(variant, in: path) }
    func weights(_ component: ModelComponent) throws -> any WeightFile {
      try openWeightFile(try WeightLocation.find(component, in: "\(path)/\(component.rawValue)", variant: variant))
    }
    let settings = path + "/fatezero.json"
    return Checkpoint.Parts(
      unet: unet, autoencoder: autoencoder, textEncoder: textEncoder, scheduler: scheduler,
      unetWeights: try weights(.unet), autoencoderWeights: try weights(.vae),
      textEncoderWeights: try weights(.textEncoder),
      tokenizerFolder: path + "/tokenizer", padToken: nil,
      recommendedSettings: fileExists(settings)
        ? String(decoding: try fileBytes(settings, limit: 1 << 16), as: UTF8.self) : nil, assumptions: [])
  }

  /// The checkpoint in a folder that is not laid out as diffusers does, if it has exactly one: what is in the Hugging
  /// Face cache after one file was downloaded.
  static func singleFile(in path: String) -> String? {
    guard !fileExists("\(path)/\(index)"), !folderExists("\(path)/unet") else { return nil }
    let files = folderEntries(path).filter { $0.ends(with: ".safetensors") || $0.ends(with: ".ckpt") }
    return files.count == 1 ? "\(path)/\(files[0])" : nil
  }

  private static func check(_ path: String) throws {
    let index = "\(path)/\(Self.index)"
    guard fileExists(index) else {
      throw ModelError(
        .notFound, "\(path) is not a model: it has no model_index.json; give the folder that diffusers saved")
    }
    let json = try JSONObject(path: index)
    for (part, what) in [
      ("text_encoder_2", "Stable Diffusion XL or 3"), ("transformer", "a diffusion transformer"), ("prior", "unCLIP"),
    ]
    where json.has(part) && json.values[part] != .array([.null, .null]) {
      throw ModelError(
        .unsupported,
        "\(index) has a \(part): this is \(what), which is not implemented; use a Stable Diffusion 1.x or 2.x model")
    }
    let missing = ["unet", "vae", "text_encoder", "tokenizer", "scheduler"].filter { !folderExists(path + "/" + $0) }
    guard missing.isEmpty else {
      throw ModelError(
        .notFound,
        "\(path) is incomplete: \(missing.map { $0 + "/" }.joined(separator: ", ")) missing; download the whole model")
    }
  }
}
