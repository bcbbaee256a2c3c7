import Text

/// A checkpoint in one file, or in several that an index ties together, in the original layout. What such a file lacks,
/// configurations and a vocabulary, is inferred from its weights and taken from CLIP; a folder of diffusers' configurations
/// with the file's name but its ending, where there is one, is heeded instead (what `from_single_file(..., config=)` takes).
enum SingleFile {
  private static let indexEnding = ".safetensors.index.json"

  /// Where configurations of the file may lie: its path but the ending.
  static func folder(of path: String) -> String {
    if path.ends(with: indexEnding) { return String(path.dropLast(indexEnding.count)) }
    return path.lastPlace(ofScalar: ".").map { String(path[..<$0]) } ?? path
  }

  /// - Parameter replacements: networks that take the place of the file's, which need not be there.
  static func parts(
    _ path: String, options: Checkpoint.Options, replacements: [ModelComponent: SingleNetwork.Parts]
  ) throws -> Checkpoint.Parts {
    guard !path.ends(with: ".json") || path.ends(with: indexEnding) else {
      throw ModelError(
        .unsupported,
        "\(path) is no file of weights; give the folder that diffusers saved, or a .safetensors or .ckpt file")
    }
    let file = try openWeightFile(path)
    try CheckpointKind(file).requireComplete(path, replaced: Set(replacements.keys))
    guard options.variant == nil else {
      throw ModelError(.unsupported, "\(path) is one file, which has no variants; leave variant out")
    }
    let layout = OriginalLayout(file: file)
    let folder = folder(of: path)
    func given(_ name: String) throws -> JSONObject? {
      let path = "\(folder)/\(name)"
      return fileExists(path) ? try JSONObject(path: path) : nil
    }
    let unetWeights = try replacements[.unet]?.weights ?? layout.weights(.unet)
    let autoencoderWeights = try replacements[.vae]?.weights ?? layout.weights(.vae)
    let givenTextEncoder = try given("text_encoder/config.json").map { try TextEncoderConfiguration($0) }
    let textEncoderWeights = try layout.weights(.textEncoder, textLayers: givenTextEncoder?.layers)

    var assumptions: [String] = []
    let unknown = layout.unknownTensors
    if !unknown.isEmpty {
      assumptions.append(
        "\(path): \(unknown.count) tensors belong to no part of Stable Diffusion and are not used: "
          + unknown.prefix(8).joined(separator: ", ") + (unknown.count > 8 ? ", ..." : ""))
    }
    let scheduler = try scheduler(
      layout, given: try given("scheduler/scheduler_config.json"), asked: options.predictionType, notes: &assumptions)
    let generation = layout.generation
    let side = generation == .second && scheduler.predictionType == .velocity ? 96 : 64
    let tokenizerFolder = "\(folder)/tokenizer"
    let hasTokenizer = TokenizerVocabulary.isIn(tokenizerFolder)
    return Checkpoint.Parts(
      unet: try UNetConfiguration(
        try replacements[.unet]?.configuration ?? given("unet/config.json")
          ?? InferredConfiguration(file: unetWeights).unet(sampleSize: side)),
      autoencoder: try AutoencoderConfiguration(
        try replacements[.vae]?.configuration ?? given("vae/config.json")
          ?? InferredConfiguration(file: autoencoderWeights).autoencoder(sampleSize: side)),
      textEncoder: try givenTextEncoder
        ?? TextEncoderConfiguration(InferredConfiguration(file: textEncoderWeights).textEncoder(generation)),
      scheduler: scheduler, unetWeights: unetWeights, autoencoderWeights: autoencoderWeights,
      textEncoderWeights: textEncoderWeights,
      tokenizerFolder: hasTokenizer ? tokenizerFolder : try ModelLocation.clipVocabulary(),
      // OpenCLIP was trained on prompts filled with the first word of the vocabulary.
      padToken: hasTokenizer ? nil : generation == .second ? "!" : "<|endoftext|>",
      recommendedSettings: nil, assumptions: assumptions)
  }

  /// What the file says of itself goes before what lies beside it, which is often another model's.
  private static func scheduler(
    _ layout: OriginalLayout, given: JSONObject?, asked: SchedulerConfiguration.PredictionType?, notes: inout [String]
  ) throws -> SchedulerConfiguration {
    let path = layout.file.path
    let own = layout.predictionType
    var scheduler: SchedulerConfiguration
    if let given {
      scheduler = try SchedulerConfiguration(given)
      notes += SchedulerConfiguration.notes(given)
      if let own, own != scheduler.predictionType, asked == nil {
        notes.append("\(path) says that it predicts \(own.rawValue), and \(given.path) otherwise; the file is believed")
      }
    } else {
      // The published 2.x of 768 pixels predicts the velocity, the one of 512 pixels the noise; nothing in them tells.
      let usual = layout.generation == .second ? SchedulerConfiguration.PredictionType.velocity : .epsilon
      if layout.generation == .second, asked == nil, own == nil {
        notes.append(
          "\(path) does not say what it predicts; taken is \(usual.rawValue), as of Stable Diffusion 2.x at 768 pixels "
            + "(prediction-type changes it)")
      }
      scheduler = try SchedulerConfiguration(InferredConfiguration(file: layout.file).scheduler(usual))
      // Models without any signal at the last timestep are made to begin there.
      if layout.hasZeroTerminalSNR { scheduler.timestepSpacing = .trailing }
    }
    if let own { scheduler.predictionType = own }
    if let asked { scheduler.predictionType = asked }
    if layout.hasZeroTerminalSNR { scheduler.rescalesBetas = true }
    return scheduler
  }
}
