/// What `vae/config.json` says about the autoencoder between images and latents.
public struct AutoencoderConfiguration: Sendable, Hashable {
  public let latentChannels: Int
  /// Width of every level, finest first.
  public let blockOutChannels: [Int]
  /// Residual blocks of a level of the encoder; the decoder has one more.
  public let layersPerBlock: Int
  public let normGroups: Int
  /// What the latents are multiplied by before they enter the UNet.
  public let scalingFactor: Float
  /// Pixel rows and columns that the model was trained at; nil where the configuration does not say.
  public let sampleSize: Int?
  /// Whether there is a 1x1 convolution behind the encoder (`quant_conv`).
  public let usesQuantConvolution: Bool
  /// Whether there is a 1x1 convolution before the decoder (`post_quant_conv`).
  public let usesPostQuantConvolution: Bool

  /// Pixels per latent along each side.
  public var downscaleFactor: Int { 1 << (blockOutChannels.count - 1) }

  /// - Throws: `ModelError` where a number is out of range or a feature is not implemented.
  public init(path: String) throws { try self.init(try JSONObject(path: path)) }

  /// The same, of an object that need not come from a file: its path is for messages.
  init(_ json: JSONObject) throws {
    let path = json.path
    blockOutChannels = try json.integers("block_out_channels", default: [64], in: 1...16384, count: 1...8)
    latentChannels = try json.integer("latent_channels", default: 4, in: 1...512)
    layersPerBlock = try json.integer("layers_per_block", default: 1, in: 1...16)
    normGroups = try json.integer("norm_num_groups", default: 32, in: 1...1024)
    for width in blockOutChannels where width % normGroups != 0 {
      throw ModelError(.badData, "\(path): \(width) channels do not divide into norm_num_groups \(normGroups)")
    }
    scalingFactor = Float(try json.number("scaling_factor", default: 0.18215, in: 1e-4...1e4))
    sampleSize = json.has("sample_size") ? try json.integer("sample_size", default: nil, in: 1...65536) : nil
    usesQuantConvolution = try json.bool("use_quant_conv", default: true)
    usesPostQuantConvolution = try json.bool("use_post_quant_conv", default: true)

    for key in ["in_channels", "out_channels"] {
      try json.refuse(key, unless: .integer(3), what: "only images with three channels are implemented")
    }
    try json.refuse("act_fn", unless: .string("silu"), .string("swish"), what: "only \"silu\" is implemented")
    try json.refuse(
      "mid_block_add_attention", unless: .bool(true), what: "an autoencoder without attention is not implemented")
    for key in ["shift_factor", "latents_mean", "latents_std"] {
      try json.refuse(key, what: "shifted latents (Stable Diffusion 3) are not implemented, use a 1.x or 2.x model")
    }
    let blocks = [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")]
    for (key, block) in blocks {
      let levels = blockOutChannels.count
      let names = try json.strings(key, default: Array(repeating: block, count: levels), count: levels...levels)
      for name in names where name != block {
        throw ModelError(.unsupported, "\(path): \(key) has \"\(name.prefix(80))\"; only \(block) is implemented")
      }
    }
  }
}
