/// What a file of weights is, told from the names and shapes in it.
enum CheckpointKind: Equatable {
  /// A complete Stable Diffusion 1.x or 2.x in the original layout.
  case original
  /// Changes of low rank to a model's layers.
  case lora
  /// An autoencoder alone, in the original layout or in diffusers'.
  case autoencoder
  /// One network of a diffusers folder.
  case part(ModelComponent)
  /// Vectors for new words.
  case embedding
  /// A model of another family, by name.
  case other(String)
  case unknown

  init(_ file: any WeightFile) {
    let names = file.names
    func has(_ prefix: String) -> Bool { names.contains { $0.hasPrefix(prefix) } }
    func has(part: String) -> Bool { names.contains { $0.contains(part) } }
    let input = file.shape(of: OriginalLayout.unet + "input_blocks.0.0.weight")
    self =
      if has(part: "lora_") || has(part: ".lora.") || has(part: "hada_w") || has(part: "lokr_") {
        .lora
      } else if has(OriginalLayout.unet + "joint_blocks.") || has("joint_blocks.") {
        .other("Stable Diffusion 3")
      } else if has(part: "double_blocks.") {
        .other("Flux")
      } else if has("conditioner.embedders.1.") {
        .other("Stable Diffusion XL")
      } else if has("conditioner.embedders.0.") {
        .other("the refiner of Stable Diffusion XL")
      } else if has("edm_vpred.") || has("edm_mean") {
        .other("a model of the EDM formulation")
      } else if has("control_model.") || has("controlnet_") {
        .other("a ControlNet")
      } else if has(OriginalLayout.unet + "label_emb.") {
        .other(
          has("noise_augmentor")
            ? "an unCLIP model" : "a model with class labels, such as Stable Diffusion XL or unCLIP")
      } else if let input, input.count == 4, let kind = Self.conditioned[input[1]] {
        .other(kind)
      } else if OriginalLayout.isOriginal(file) {
        .original
      } else if names.contains("decoder.conv_in.weight") || has(OriginalLayout.autoencoder) {
        .autoencoder
      } else if has("down_blocks.") {
        .part(.unet)
      } else if has("text_model.") || has("embeddings.token_embedding") {
        .part(.textEncoder)
      } else if names.contains("emb_params") || (1...4).contains(names.count) {
        .embedding
      } else {
        .unknown
      }
  }

  /// Models that take more than latents, by the channels that enter the UNet.
  private static let conditioned = [
    5: "a depth-guided model", 7: "an upscaler", 8: "an instruction-following (InstructPix2Pix) model",
    9: "an inpainting model",
  ]

  /// What the file is, as the end of a sentence.
  var description: String {
    switch self {
    case .original: "is a complete checkpoint in the original layout"
    case .lora: "is a LoRA"
    case .autoencoder: "is an autoencoder alone"
    case .part(let component): "is the \(component.rawValue) of a diffusers folder"
    case .embedding: "is a textual inversion"
    case .other(let name): "is \(name)"
    case .unknown: "has none of the weights of Stable Diffusion"
    }
  }

  /// - Parameter replaced: networks that need not be there.
  /// - Throws: `ModelError` that says what the file is instead, unless it is a complete checkpoint.
  func requireComplete(_ path: String, replaced: Set<ModelComponent>) throws {
    let advice: String
    switch self {
    case .original: return
    // Whether the text encoder is there is found when it is read.
    case .autoencoder where replaced.contains(.unet), .part(.textEncoder) where replaced.contains(.unet): return
    case .lora: advice = "give it as lora, beside a model"
    case .autoencoder: advice = "give it as vae, beside a model"
    case .part(.unet): advice = "give it as unet, beside a model, or the whole folder as model"
    case .part(.vae): advice = "give it as vae, beside a model, or the whole folder as model"
    case .part(.textEncoder): advice = "give the whole folder (model_index.json, unet/, ...)"
    case .embedding: advice = "give it as embedding, beside a model"
    case .other: advice = "which is not implemented; use a Stable Diffusion 1.x or 2.x text-to-image model"
    case .unknown: advice = "is it a checkpoint of another program?"
    }
    throw ModelError(.unsupported, "\(path) \(description)\(isOther ? "," : ";") \(advice)")
  }

  private var isOther: Bool { if case .other = self { true } else { false } }
}
