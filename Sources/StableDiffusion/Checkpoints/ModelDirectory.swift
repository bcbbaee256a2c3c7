import Text

/// A checkpoint as diffusers lays it out: `model_index.json`, `unet/`, `vae/`, `text_encoder/`, `tokenizer/`,
/// `scheduler/`.
enum ModelDirectory {
  static let index = "model_index.json"

  /// Of each network the file without a variant is taken, else the `.fp16` one; safetensors before `.bin`.
  /// - Parameter replacements: networks that take the place of the folder's, which need not be there.
  static func parts(
    _ path: String, variant: String?, replacements: [ModelComponent: SingleNetwork.Parts]
  ) throws -> Checkpoint.Parts {
    try check(path, replaced: Set(replacements.keys))
    func configuration(_ component: ModelComponent) throws -> JSONObject {
      try replacements[component]?.configuration ?? JSONObject(path: "\(path)/\(component.rawValue)/config.json")
    }
    let unet = try UNetConfiguration(configuration(.unet))
    let autoencoder = try AutoencoderConfiguration(configuration(.vae))
    let textEncoder = try TextEncoderConfiguration(configuration(.textEncoder))
    let schedulerJSON = try JSONObject(path: path + "/scheduler/scheduler_config.json")
    let scheduler = try SchedulerConfiguration(schedulerJSON)
    if let variant { try WeightLocation.checkVariant(variant, in: path) }
    func weights(_ component: ModelComponent) throws -> any WeightFile {
      try replacements[component]?.weights
        ?? openWeightFile(try WeightLocation.find(component, in: "\(path)/\(component.rawValue)", variant: variant))
    }
    let settings = path + "/fatezero.json"
    return Checkpoint.Parts(
      unet: unet, autoencoder: autoencoder, textEncoder: textEncoder, scheduler: scheduler,
      unetWeights: try weights(.unet), autoencoderWeights: try weights(.vae),
      textEncoderWeights: try weights(.textEncoder),
      tokenizerFolder: path + "/tokenizer", padToken: nil,
      recommendedSettings: fileExists(settings)
        ? String(decoding: try fileBytes(settings, limit: 1 << 16), as: UTF8.self) : nil,
      assumptions: SchedulerConfiguration.notes(schedulerJSON))
  }

  /// The checkpoint in a folder that is not laid out as diffusers does, if it has exactly one: what is in the Hugging
  /// Face cache after one file was downloaded.
  static func singleFile(in path: String) -> String? {
    guard !fileExists("\(path)/\(index)"), !folderExists("\(path)/unet") else { return nil }
    let files = folderEntries(path).filter { $0.ends(with: ".safetensors") || $0.ends(with: ".ckpt") }
    return files.count == 1 ? "\(path)/\(files[0])" : nil
  }

  private static func check(_ path: String, replaced: Set<ModelComponent>) throws {
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
    let needed = ["unet", "vae", "text_encoder", "tokenizer", "scheduler"].filter { name in
      !replaced.contains { $0.rawValue == name }
    }
    let missing = needed.filter { !folderExists(path + "/" + $0) }
    guard missing.isEmpty else {
      let replaceable = missing.allSatisfy { ["unet", "vae"].contains($0) }
      throw ModelError(
        .notFound,
        "\(path) is incomplete: \(missing.map { $0 + "/" }.joined(separator: ", ")) missing; download the whole model"
          + (replaceable ? ", or give another as \(missing.joined(separator: " and "))" : ""))
    }
  }
}
