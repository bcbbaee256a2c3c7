import Text

/// The layout in which Stable Diffusion 1.x and 2.x were published: all networks in one file, under the names of CompVis'
/// and Stability AI's code.
struct OriginalLayout {
  /// Prefixes of the networks' names. CLIP's in 2.x are OpenCLIP's.
  static let unet = "model.diffusion_model.", autoencoder = "first_stage_model."
  static let clip = "cond_stage_model.transformer.", openCLIP = "cond_stage_model.model."

  /// What these files carry beside the networks that are used: copies that training averages, tables that follow from the
  /// scheduler, counters, parts of CLIP that turn images or whole texts into one vector, words that were trained along, marks
  /// of programs. `*` stands for any ending.
  static let ignored = [
    "model_ema.*", "betas", "alphas_cumprod*", "sqrt_*", "log_one_minus_alphas_cumprod", "posterior_*", "logvar",
    "lvlb_weights", "global_step", "scale_factor", "cond_stage_model.logit_scale", "epoch", "denoiser.*",
    "cond_stage_model.transformer.vision_model.*", "cond_stage_model.transformer.visual_projection.*",
    "cond_stage_model.model.visual.*", "embedding_manager.*", velocityMark, zeroTerminalSNRMark,
  ]

  /// Tensors without numbers by which ComfyUI and others mark models that predict the velocity, and whose noisiest step is
  /// nothing but noise.
  private static let velocityMark = "v_pred", zeroTerminalSNRMark = "ztsnr"

  enum Generation {
    /// 1.x: CLIP's text encoder.
    case first
    /// 2.x: OpenCLIP's, without its last layer.
    case second
  }

  let file: any WeightFile

  /// The text encoder may have either's names in 2.x, but only 2.x projects with linear layers, and is of that width.
  var generation: Generation {
    let projection = file.shape(of: Self.unet + "middle_block.1.proj_in.weight")
    let width = file.shape(of: Self.clip + "text_model.embeddings.token_embedding.weight")?.last
    return isOpenCLIP || projection?.count == 2 || width == 1024 ? .second : .first
  }

  /// Whether the text encoder has OpenCLIP's names.
  private var isOpenCLIP: Bool { file.names.contains { $0.begins(with: Self.openCLIP) } }

  /// What the file says that it predicts, by a mark or in its metadata; nil where it says nothing.
  var predictionType: SchedulerConfiguration.PredictionType? {
    if file.shape(of: Self.velocityMark) != nil { return .velocity }
    // https://github.com/Stability-AI/ModelSpec, under the names of two programs.
    switch file.metadata["modelspec.prediction_type"] ?? file.metadata["modelspec.predict_key"] {
    case "v", "v_prediction": return .velocity
    case "epsilon": return .epsilon
    default: return nil
    }
  }

  var hasZeroTerminalSNR: Bool { file.shape(of: Self.zeroTerminalSNRMark) != nil }

  static func isOriginal(_ file: any WeightFile) -> Bool { file.names.contains { $0.begins(with: unet) } }

  /// The weights of one network under the names of diffusers and transformers.
  /// - Parameter textLayers: how many layers of the text encoder are used, where that is known.
  /// - Throws: `ModelError`, `.notFound` where the file has none of them.
  func weights(_ component: ModelComponent, textLayers: Int? = nil) throws -> any WeightFile {
    switch component {
    case .unet: try unet()
    case .vae: try autoencoder()
    case .textEncoder: try isOpenCLIP ? openCLIP(layers: textLayers) : clip(layers: textLayers)
    }
  }

  /// What belongs to no network and is not known to be harmless.
  var unknownTensors: [String] {
    let prefixes = [Self.unet, Self.autoencoder, isOpenCLIP ? Self.openCLIP : Self.clip]
    return file.names.filter { name in
      !prefixes.contains { name.begins(with: $0) } && !Self.isIgnored(name)
    }
  }

  private static func isIgnored(_ name: String) -> Bool { ignored.contains { matches(name, $0) } }

  private static func matches(_ name: String, _ pattern: String) -> Bool {
    pattern.ends(with: "*") ? name.begins(with: pattern.dropLast()) : name == pattern
  }

  // MARK: Networks

  private func unet() throws -> any WeightFile {
    let names = parts(Self.unet)
    guard !names.isEmpty else {
      throw ModelError(.notFound, "\(file.path) has no UNet; give one as unet, or use a complete checkpoint")
    }
    // A level ends with a convolution of its own, in the place of one more layer.
    let numbers = names.keys.compactMap { name -> Int? in
      let parts = name.pieces(at: ".")
      return parts.count > 3 && parts[0] == "input_blocks" && parts[2] == "0" && parts[3] == "op" ? Int(parts[1]) : nil
    }
    let length =
      numbers.min()
      ?? (names.keys.filter { $0.begins(with: "input_blocks.") && $0.ends(with: ".in_layers.0.weight") }.count + 1)
    guard (2...64).contains(length) else {
      throw ModelError(.badData, "\(file.path): the UNet's first level has \(length - 1) layers; is the file complete?")
    }
    return try renamed(names, by: Self.unetRules(blockLength: length))
  }

  /// - Parameter names: the network's own names -> the file's.
  private func renamed(_ names: [String: String], by rules: [NameRule]) throws -> RenamedWeights {
    try RenamedWeights(
      file, sources: names.map { (NameRule.apply(rules, to: $0.key), RenamedWeights.Source(name: $0.value)) })
  }

  private func autoencoder() throws -> any WeightFile {
    try autoencoder(names: parts(Self.autoencoder))
  }

  /// The autoencoder of a file that holds nothing else, with or without the prefix, or in diffusers' layout.
  static func autoencoder(_ file: any WeightFile) throws -> any WeightFile {
    if file.names.contains(where: { $0.begins(with: "decoder.up_blocks.") }) { return file }
    let layout = OriginalLayout(file: file)
    let names = layout.parts(autoencoder)
    return try layout.autoencoder(names: names.isEmpty ? layout.parts("") : names)
  }

  private func autoencoder(names: [String: String]) throws -> any WeightFile {
    let levels = names.keys.compactMap { name -> Int? in
      let parts = name.pieces(at: ".")
      return parts.count > 3 && parts[0] == "decoder" && parts[1] == "up" ? Int(parts[2]) : nil
    }
    guard let top = levels.max(), top < 16 else {
      throw ModelError(
        .notFound,
        "\(file.path) has no autoencoder, or only part of one; give one as vae, or use a complete checkpoint")
    }
    return try renamed(names, by: Self.autoencoderRules(levels: top + 1))
  }

  private func clip(layers: Int?) throws -> any WeightFile {
    let names = parts(Self.clip)
    guard !names.isEmpty else {
      throw ModelError(.notFound, "\(file.path) has no text encoder; use a complete checkpoint")
    }
    let rules = [NameRule("text_model", "")]
    let stored = try layerCount(names.keys.map { NameRule.apply(rules, to: $0) }, "encoder.layers.")
    // Whoever gives them these names leaves the layer out, unless it was a whole OpenCLIP.
    let used = layers ?? (generation == .second && stored == Self.openCLIPLayers ? stored - 1 : stored)
    let unused = stored > used ? "encoder.layers.\(stored - 1)." : nil
    return try renamed(
      names.filter { name, stored in
        !Self.isIgnored(stored) && !(unused.map { NameRule.apply(rules, to: name).begins(with: $0) } ?? false)
      }, by: rules)
  }

  /// How many layers there are below a prefix.
  private func layerCount(_ names: [String], _ prefix: String) throws -> Int {
    let numbers = names.compactMap { name in
      name.begins(with: prefix) ? Int(name.dropFirst(prefix.count).prefix { $0 != "." }) : nil
    }
    guard let last = numbers.max(), last < 1000 else {
      throw ModelError(.badData, "\(file.path): its text encoder has no layers; is the file complete?")
    }
    return last + 1
  }

  /// Layers of the text encoder of OpenCLIP's ViT-H.
  private static let openCLIPLayers = 24

  /// Stable Diffusion 2.x was trained on what enters OpenCLIP's last layer: that layer is left out, where the file has it.
  /// The projections of queries, keys and values are one tensor.
  private func openCLIP(layers: Int?) throws -> any WeightFile {
    let names = parts(Self.openCLIP)
    let stored = try layerCount(Array(names.keys), "transformer.resblocks.")
    let used = layers ?? (stored == Self.openCLIPLayers - 1 ? stored : stored - 1)
    let unused = stored > used ? "transformer.resblocks.\(stored - 1)." : nil
    var sources: [(String, RenamedWeights.Source)] = []
    for (name, stored) in names
    where name != "attn_mask" && !Self.isIgnored(stored) && !(unused.map { name.begins(with: $0) } ?? false) {
      let renamed = NameRule.apply(Self.openCLIPRules, to: name)
      guard let kind = ["weight", "bias"].first(where: { name.ends(with: ".attn.in_proj_\($0)") }) else {
        sources.append((renamed, RenamedWeights.Source(name: stored)))
        continue
      }
      guard let rows = file.shape(of: stored)?.first, rows % 3 == 0 else {
        throw ModelError(.badData, "\(file.path): \(stored) \(file.shape(of: stored) ?? []) is not three projections")
      }
      let scope = renamed.dropLast("in_proj_\(kind)".count)
      for (index, projection) in ["q_proj", "k_proj", "v_proj"].enumerated() {
        let part = rows / 3 * index..<rows / 3 * (index + 1)
        sources.append(("\(scope)\(projection).\(kind)", RenamedWeights.Source(name: stored, rows: part)))
      }
    }
    return try RenamedWeights(file, sources: sources)
  }

  /// Names below `prefix`, without it -> in the file.
  private func parts(_ prefix: String) -> [String: String] {
    Dictionary(
      uniqueKeysWithValues: file.names.compactMap { name in name.dropping(prefix: prefix).map { (String($0), name) } })
  }

  // MARK: Rules

  private static let resnetRules = [
    NameRule("in_layers.0", "norm1"), NameRule("in_layers.2", "conv1"), NameRule("emb_layers.1", "time_emb_proj"),
    NameRule("out_layers.0", "norm2"), NameRule("out_layers.3", "conv2"), NameRule("skip_connection", "conv_shortcut"),
  ]

  /// - Parameter blockLength: residual blocks of a level on the way down, and one.
  static func unetRules(blockLength: Int) -> [NameRule] {
    let down = NameRule.Numbering.blocks(first: 1, length: blockLength)
    let up = NameRule.Numbering.blocks(first: 0, length: blockLength)
    return [
      NameRule("time_embed.0", "time_embedding.linear_1"), NameRule("time_embed.2", "time_embedding.linear_2"),
      NameRule("input_blocks.0.0", "conv_in"), NameRule("out.0", "conv_norm_out"), NameRule("out.2", "conv_out"),
      NameRule(
        "input_blocks.#.0.op", "down_blocks.#.downsamplers.0.conv", .blocks(first: blockLength, length: blockLength)),
      NameRule("input_blocks.#.0", "down_blocks.#.resnets.#", down),
      NameRule("input_blocks.#.1", "down_blocks.#.attentions.#", down),
      NameRule("middle_block.0", "mid_block.resnets.0"), NameRule("middle_block.1", "mid_block.attentions.0"),
      NameRule("middle_block.2", "mid_block.resnets.1"),
      // Behind the last layer of a level, which may have a transformer.
      NameRule("output_blocks.#.1.conv", "up_blocks.#.upsamplers.0.conv", up),
      NameRule("output_blocks.#.2.conv", "up_blocks.#.upsamplers.0.conv", up),
      NameRule("output_blocks.#.0", "up_blocks.#.resnets.#", up),
      NameRule("output_blocks.#.1", "up_blocks.#.attentions.#", up),
    ] + resnetRules
  }

  static func autoencoderRules(levels: Int) -> [NameRule] {
    [
      NameRule("encoder.down.#.block.#", "encoder.down_blocks.#.resnets.#"),
      NameRule("encoder.down.#.downsample.conv", "encoder.down_blocks.#.downsamplers.0.conv"),
      NameRule("decoder.up.#.block.#", "decoder.up_blocks.#.resnets.#", .reversed(count: levels)),
      NameRule("decoder.up.#.upsample.conv", "decoder.up_blocks.#.upsamplers.0.conv", .reversed(count: levels)),
      NameRule("mid.block_1", "mid_block.resnets.0"), NameRule("mid.attn_1", "mid_block.attentions.0"),
      NameRule("mid.block_2", "mid_block.resnets.1"), NameRule("attentions.0.norm", "attentions.0.group_norm"),
      NameRule("attentions.0.q", "attentions.0.to_q"), NameRule("attentions.0.k", "attentions.0.to_k"),
      NameRule("attentions.0.v", "attentions.0.to_v"), NameRule("attentions.0.proj_out", "attentions.0.to_out.0"),
      NameRule("nin_shortcut", "conv_shortcut"), NameRule("norm_out", "conv_norm_out"),
    ]
  }

  static let openCLIPRules = [
    NameRule("token_embedding", "embeddings.token_embedding"),
    NameRule("positional_embedding", "embeddings.position_embedding.weight"),
    NameRule("transformer.resblocks.#", "encoder.layers.#"), NameRule("ln_1", "layer_norm1"),
    NameRule("ln_2", "layer_norm2"), NameRule("ln_final", "final_layer_norm"), NameRule("attn", "self_attn"),
    NameRule("mlp.c_fc", "mlp.fc1"), NameRule("mlp.c_proj", "mlp.fc2"),
    NameRule("text_projection", "text_projection.weight"),
  ]
}
