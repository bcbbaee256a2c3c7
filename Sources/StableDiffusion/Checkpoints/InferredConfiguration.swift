import Text

/// Configurations for weights that come without: what the shapes say, and Stable Diffusion's own values for the rest.
/// Given as what diffusers' files would hold, so that the same checks follow.
struct InferredConfiguration {
  /// Under the names of diffusers and transformers.
  let file: any WeightFile

  /// - Parameter sampleSize: latents that the model was trained at, which no shape tells.
  func unet(sampleSize: Int) throws -> JSONObject {
    let levels = count("down_blocks.#.resnets.0.conv1.weight")
    guard levels > 0 else { throw incomplete("the UNet") }
    let widths = try (0..<levels).map { try extent("down_blocks.\($0).resnets.0.conv1.weight", 0) }
    let downAttention = (0..<levels).map { has("down_blocks.\($0).attentions.0.proj_in.weight") }
    let upAttention = (0..<levels).map { has("up_blocks.\($0).attentions.0.proj_in.weight") }
    let projection = "mid_block.attentions.0.proj_in.weight"
    guard let projectionShape = file.shape(of: projection) else { throw incomplete("the UNet", projection) }
    let isLinear = projectionShape.count == 2
    return json([
      "in_channels": .integer(try extent("conv_in.weight", 1)),
      "out_channels": .integer(try extent("conv_out.weight", 0)),
      "block_out_channels": .array(widths.map(JSONValue.integer)),
      "layers_per_block": .integer(count("down_blocks.0.resnets.#.conv1.weight")),
      "down_block_types": .array(downAttention.map { .string($0 ? "CrossAttnDownBlock2D" : "DownBlock2D") }),
      "up_block_types": .array(upAttention.map { .string($0 ? "CrossAttnUpBlock2D" : "UpBlock2D") }),
      "cross_attention_dim": .integer(
        try extent("mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight", 1)),
      "use_linear_projection": .bool(isLinear),
      // 1.x has eight heads everywhere, 2.x heads of 64 channels.
      "attention_head_dim": isLinear ? .array(widths.map { .integer(max(1, $0 / 64)) }) : .integer(8),
      "sample_size": .integer(sampleSize),
    ])
  }

  func autoencoder(sampleSize: Int) throws -> JSONObject {
    let levels = count("encoder.down_blocks.#.resnets.0.conv1.weight")
    guard levels > 0 else { throw incomplete("the autoencoder") }
    let widths = try (0..<levels).map { try extent("encoder.down_blocks.\($0).resnets.0.conv1.weight", 0) }
    let latents = try extent("decoder.conv_in.weight", 1)
    guard latents != 16 || has("quant_conv.weight") else {
      throw ModelError(
        .unsupported,
        "\(file.path): the autoencoder has 16 latent channels and no quant_conv, as that of Stable Diffusion 3; use one of "
          + "1.x or 2.x")
    }
    return json([
      "block_out_channels": .array(widths.map(JSONValue.integer)),
      "down_block_types": .array(widths.map { _ in .string("DownEncoderBlock2D") }),
      "up_block_types": .array(widths.map { _ in .string("UpDecoderBlock2D") }),
      "latent_channels": .integer(latents),
      "layers_per_block": .integer(count("encoder.down_blocks.0.resnets.#.conv1.weight")),
      "use_quant_conv": .bool(has("quant_conv.weight")),
      "use_post_quant_conv": .bool(has("post_quant_conv.weight")),
      "sample_size": .integer(sampleSize << (levels - 1)),
    ])
  }

  func textEncoder(_ generation: OriginalLayout.Generation) throws -> JSONObject {
    let width = try extent("embeddings.token_embedding.weight", 1)
    return json([
      "vocab_size": .integer(try extent("embeddings.token_embedding.weight", 0)),
      "hidden_size": .integer(width),
      "intermediate_size": .integer(try extent("encoder.layers.0.mlp.fc1.weight", 0)),
      "num_hidden_layers": .integer(count("encoder.layers.#.layer_norm1.weight")),
      // CLIP's heads are 64 wide in all sizes.
      "num_attention_heads": .integer(max(1, width / 64)),
      "max_position_embeddings": .integer(try extent("embeddings.position_embedding.weight", 0)),
      "hidden_act": .string(generation == .second ? "gelu" : "quick_gelu"),
    ])
  }

  func scheduler(_ predictionType: SchedulerConfiguration.PredictionType) -> JSONObject {
    json([
      "beta_start": .number(0.00085), "beta_end": .number(0.012), "beta_schedule": .string("scaled_linear"),
      "num_train_timesteps": .integer(1000), "set_alpha_to_one": .bool(false), "steps_offset": .integer(1),
      "clip_sample": .bool(false), "prediction_type": .string(predictionType.rawValue),
    ])
  }

  // MARK: Shapes

  private func json(_ values: [String: JSONValue]) -> JSONObject { JSONObject(path: file.path, values: values) }

  private func has(_ name: String) -> Bool { file.shape(of: name) != nil }

  /// How many numbers from 0 on `#` can stand for.
  private func count(_ pattern: String) -> Int {
    let parts = pattern.pieces(at: "#", keepingEmpty: true)
    return (0..<256).first { !has("\(parts[0])\($0)\(parts[1])") } ?? 256
  }

  private func extent(_ name: String, _ axis: Int) throws -> Int {
    guard let shape = file.shape(of: name), shape.count > axis else { throw incomplete("a network", name) }
    return shape[axis]
  }

  private func incomplete(_ what: String, _ name: String? = nil) -> ModelError {
    ModelError(
      .badData,
      "\(file.path) lacks parts of \(what)\(name.map { ", such as \(file.storedName(of: $0))" } ?? ""); download it again"
    )
  }
}
