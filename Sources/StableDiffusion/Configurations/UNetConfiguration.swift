/// What `unet/config.json` says. Levels are listed from the finest resolution to the coarsest.
public struct UNetConfiguration: Sendable, Hashable {
  /// Channels of the latents.
  public let inputChannels: Int
  public let outputChannels: Int
  /// Width of every level.
  public let blockOutChannels: [Int]
  /// Whether the blocks of a level have transformers, on the way down (finest first).
  public let downBlockHasAttention: [Bool]
  /// The same on the way up, in execution order (coarsest first).
  public let upBlockHasAttention: [Bool]
  /// Residual blocks of a level on the way down; on the way up there is one more.
  public let layersPerBlock: Int
  /// Attention heads of every level (`attention_head_dim`: the name is historical).
  public let attentionHeads: [Int]
  public let normGroups: Int
  public let normEpsilon: Float
  /// Width of the text embedding.
  public let crossAttentionDimension: Int
  /// Whether the transformers project with linear layers (SD 2.x) or with 1x1 convolutions (SD 1.x); the numbers are
  /// the same.
  public let usesLinearProjection: Bool
  /// Whether the time embedding is [cos | sin] rather than [sin | cos].
  public let flipsSineToCosine: Bool
  public let frequencyShift: Float
  /// Latent rows and columns that the model was trained at; nil where the configuration does not say.
  public let sampleSize: Int?
  /// What the residual blocks of the middle divide their output by.
  public let middleBlockScaleFactor: Float
  /// Zeros around the image before the stride-2 convolutions; 0 pads one row and one column at the end only.
  public let downsamplePadding: Int
  /// Whether the sample x enters as 2x - 1.
  public let centersInputSample: Bool

  /// Number of levels.
  public var levels: Int { blockOutChannels.count }

  /// - Throws: `ModelError` where a number is out of range or a feature is not implemented.
  public init(path: String) throws { try self.init(try JSONObject(path: path)) }

  /// The same, of an object that need not come from a file: its path is for messages.
  init(_ json: JSONObject) throws {
    let path = json.path
    let channels = try json.integers(
      "block_out_channels", default: [320, 640, 1280, 1280], in: 1...16384, count: 1...8)
    let levels = channels.count
    blockOutChannels = channels
    inputChannels = try json.integer("in_channels", default: 4, in: 1...1024)
    outputChannels = try json.integer("out_channels", default: 4, in: 1...1024)
    if inputChannels != outputChannels {
      let what =
        switch inputChannels {
        case 9: "an inpainting model"
        case 8: "an instruction-following (InstructPix2Pix) model"
        default: "a model with further inputs"
        }
      throw ModelError(
        .unsupported,
        "\(path): in_channels is \(inputChannels) and out_channels \(outputChannels); this is \(what), use a "
          + "text-to-image one"
      )
    }

    let defaultDown = Array(repeating: "CrossAttnDownBlock2D", count: levels - 1) + ["DownBlock2D"]
    let defaultUp = ["UpBlock2D"] + Array(repeating: "CrossAttnUpBlock2D", count: levels - 1)
    downBlockHasAttention = try Self.attention(json, "down_block_types", "DownBlock", default: defaultDown)
    upBlockHasAttention = try Self.attention(json, "up_block_types", "UpBlock", default: defaultUp)
    try json.refuse(
      "mid_block_type", unless: .string("UNetMidBlock2DCrossAttn"), .string("UNetMidBlockPseudo3DCrossAttn"),
      .string("UNetMidBlock3DCrossAttn"), what: "only a middle block with one transformer is implemented")

    let layers = try json.integers("layers_per_block", default: [2], in: 1...16, count: levels...levels, repeated: 1)
    guard Set(layers).count == 1 else {
      throw ModelError(
        .unsupported, "\(path): layers_per_block is \(layers); only the same number on all levels is implemented")
    }
    layersPerBlock = layers[0]

    let headsKey = json.has("num_attention_heads") ? "num_attention_heads" : "attention_head_dim"
    attentionHeads = try json.integers(
      headsKey, default: Array(repeating: 8, count: levels), in: 1...1024, count: levels...levels, repeated: levels)
    normGroups = try json.integer("norm_num_groups", default: 32, in: 1...1024)
    normEpsilon = Float(try json.number("norm_eps", default: 1e-5, in: 1e-12...1))
    for (level, width) in channels.enumerated() {
      guard width % normGroups == 0 else {
        throw ModelError(
          .badData, "\(path): \(width) channels on level \(level) do not divide into norm_num_groups \(normGroups)")
      }
      let attends = downBlockHasAttention[level] || upBlockHasAttention[levels - 1 - level] || level == levels - 1
      guard !attends || width % attentionHeads[level] == 0 else {
        throw ModelError(
          .badData, "\(path): \(width) channels on level \(level) do not divide into \(attentionHeads[level]) heads")
      }
    }
    let text = try json.integers(
      "cross_attention_dim", default: [1280], in: 1...16384, count: levels...levels, repeated: 1)
    guard Set(text).count == 1 else {
      throw ModelError(
        .unsupported, "\(path): cross_attention_dim is \(text); only the same width on all levels is implemented")
    }
    crossAttentionDimension = text[0]

    usesLinearProjection = try json.bool("use_linear_projection", default: false)
    flipsSineToCosine = try json.bool("flip_sin_to_cos", default: true)
    // With half the width equal to the shift the frequencies would divide by zero; models have 0 or 1.
    frequencyShift = Float(try json.number("freq_shift", default: 0, in: 0...1))
    guard channels[0] % 2 == 0, channels[0] >= 4 else {
      throw ModelError(
        .badData, "\(path): the first of block_out_channels is \(channels[0]); it must be even and at least 4")
    }
    sampleSize = json.has("sample_size") ? try json.integer("sample_size", default: nil, in: 1...4096) : nil
    middleBlockScaleFactor = Float(try json.number("mid_block_scale_factor", default: 1, in: 1e-3...1e3))
    downsamplePadding = try json.integer("downsample_padding", default: 1, in: 0...1)
    centersInputSample = try json.bool("center_input_sample", default: false)
    try Self.refuseUnsupported(json)
  }

  /// Whether each block type of a list has attention: "CrossAttnDownBlock2D" and the names of video models.
  private static func attention(_ json: JSONObject, _ key: String, _ block: String, default fallback: [String]) throws
    -> [Bool]
  {
    let levels = fallback.count
    return try json.strings(key, default: fallback, count: levels...levels).map { name in
      for suffix in ["2D", "3D", "Pseudo3D"] {
        if name == block + suffix { return false }
        if name == "CrossAttn" + block + suffix { return true }
      }
      throw ModelError(
        .unsupported,
        "\(json.path): \(key) has \"\(name.prefix(80))\"; only \(block)2D and CrossAttn\(block)2D are implemented")
    }
  }

  private static func refuseUnsupported(_ json: JSONObject) throws {
    try json.refuse("act_fn", unless: .string("silu"), .string("swish"), what: "only \"silu\" is implemented")
    try json.refuse(
      "addition_embed_type",
      what: "models with additional embeddings (Stable Diffusion XL) are not implemented, use a 1.x or 2.x one")
    for key in ["class_embed_type", "num_class_embeds", "projection_class_embeddings_input_dim"] {
      try json.refuse(key, what: "class embeddings are not implemented")
    }
    for key in [
      "encoder_hid_dim", "encoder_hid_dim_type", "time_cond_proj_dim", "time_embedding_dim", "time_embedding_act_fn",
      "timestep_post_act",
      "cross_attention_norm", "reverse_transformer_layers_per_block",
    ] {
      try json.refuse(key, what: "this is not implemented")
    }
    for key in [
      "dual_cross_attention", "only_cross_attention", "mid_block_only_cross_attention", "resnet_skip_time_act",
      "class_embeddings_concat",
    ] {
      try json.refuse(
        key, unless: .bool(false), .array(Array(repeating: .bool(false), count: (try? json.levels) ?? 0)),
        what: "this is not implemented")
    }
    try json.refuse("resnet_time_scale_shift", unless: .string("default"), what: "only \"default\" is implemented")
    try json.refuse("time_embedding_type", unless: .string("positional"), what: "only \"positional\" is implemented")
    try json.refuse("attention_type", unless: .string("default"), what: "only \"default\" is implemented")
    try json.refuse("resnet_out_scale_factor", unless: .integer(1), what: "only 1 is implemented")
    for key in ["conv_in_kernel", "conv_out_kernel"] {
      try json.refuse(key, unless: .integer(3), what: "only 3 is implemented")
    }
    if let layers = json.values["transformer_layers_per_block"], layers != .null, layers != .integer(1),
      layers != .array(Array(repeating: .integer(1), count: (try? json.levels) ?? 0))
    {
      throw ModelError(
        .unsupported,
        "\(json.path): transformer_layers_per_block is \(layers.text); only one transformer block per layer is "
          + "implemented"
      )
    }
  }
}

extension JSONObject {
  /// Number of levels of a UNet's configuration.
  fileprivate var levels: Int {
    get throws { try integers("block_out_channels", default: [0, 0, 0, 0], in: 1...16384, count: 1...8).count }
  }
}
