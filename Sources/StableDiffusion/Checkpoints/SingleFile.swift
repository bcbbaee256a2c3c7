import Text

/// A checkpoint in one file, in the original layout. What such a file lacks, configurations and a vocabulary, is inferred
/// from its weights and taken from CLIP; a folder of diffusers' configurations with the file's name but its ending, where
/// there is one, is heeded instead (what `from_single_file(..., config=)` takes).
enum SingleFile {
  /// Where configurations of the file may lie: its path but the ending.
  static func folder(of path: String) -> String { path.lastPlace(ofScalar: ".").map { String(path[..<$0]) } ?? path }

  static func parts(_ path: String, options: Checkpoint.Options) throws -> Checkpoint.Parts {
    guard !path.ends(with: ".json") else {
      throw ModelError(
        .unsupported,
        "\(path) is no file of weights; give the folder that diffusers saved, or a .safetensors or .ckpt file")
    }
    let file = try openWeightFile(path)
    try CheckpointKind(file).requireComplete(path)
    guard options.variant == nil else {
      throw ModelError(.unsupported, "\(path) is one file, which has no variants; leave variant out")
    }
    let layout = OriginalLayout(file: file)
    try layout.checkEveryTensorIsKnown()
    let unetWeights = try layout.weights(.unet)
    let autoencoderWeights = try layout.weights(.vae)
    let textEncoderWeights = try layout.weights(.textEncoder)

    let folder = folder(of: path)
    let isOpenCLIP = layout.isOpenCLIP
    var assumptions: [String] = []
    func configuration(_ name: String, _ inferred: () throws -> JSONObject) throws -> JSONObject {
      let given = "\(folder)/\(name)"
      return fileExists(given) ? try JSONObject(path: given) : try inferred()
    }
    let scheduler = try SchedulerConfiguration(
      try configuration("scheduler/scheduler_config.json") {
        // The published 2.x of 768 pixels predicts the velocity, the one of 512 pixels the noise; nothing in them tells.
        let type = options.predictionType ?? (isOpenCLIP ? .velocity : .epsilon)
        if isOpenCLIP, options.predictionType == nil {
          assumptions.append(
            "\(path) does not say what it predicts; taken is \(type.rawValue), as of Stable Diffusion 2.x at 768 pixels "
              + "(prediction-type changes it)")
        }
        return InferredConfiguration(file: file).scheduler(type)
      })
    let side = isOpenCLIP && scheduler.predictionType == .velocity ? 96 : 64
    let tokenizerFolder = "\(folder)/tokenizer"
    let hasTokenizer = fileExists(tokenizerFolder + "/vocab.json")
    return Checkpoint.Parts(
      unet: try UNetConfiguration(
        try configuration("unet/config.json") { try InferredConfiguration(file: unetWeights).unet(sampleSize: side) }),
      autoencoder: try AutoencoderConfiguration(
        try configuration("vae/config.json") {
          try InferredConfiguration(file: autoencoderWeights).autoencoder(sampleSize: side)
        }),
      textEncoder: try TextEncoderConfiguration(
        try configuration("text_encoder/config.json") {
          try InferredConfiguration(file: textEncoderWeights).textEncoder(isOpenCLIP: isOpenCLIP)
        }),
      scheduler: scheduler, unetWeights: unetWeights, autoencoderWeights: autoencoderWeights,
      textEncoderWeights: textEncoderWeights,
      tokenizerFolder: hasTokenizer ? tokenizerFolder : try ModelLocation.clipVocabulary(),
      // OpenCLIP was trained on prompts filled with the first word of the vocabulary.
      padToken: hasTokenizer ? nil : isOpenCLIP ? "!" : "<|endoftext|>",
      recommendedSettings: nil, assumptions: assumptions)
  }
}
