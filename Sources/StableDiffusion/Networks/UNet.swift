import Tensors

/// The denoising network of Stable Diffusion 1.x and 2.x, over clips: diffusers' UNet2DConditionModel, whose residual
/// blocks normalise over all frames of a clip and whose self-attention may read other frames, as FateZero's does. A
/// checkpoint with temporal layers (Tune-A-Video) brings convolutions and attention along the frames.
public final class UNet: Sendable {
  private struct Block: Sendable {
    let name: String
    let resnets: [ResnetBlock]
    /// One for each resnet, or none.
    let transformers: [SpatialTransformer]
    /// At the block's end.
    var downsampler: PseudoConvolution?
    var upsampler: PseudoUpsampler?
  }

  public let configuration: UNetConfiguration
  private let convIn: PseudoConvolution, convOut: PseudoConvolution
  private let timeLinear1: Linear, timeLinear2: Linear
  private let downBlocks: [Block], upBlocks: [Block]
  private let middle: (first: ResnetBlock, transformer: SpatialTransformer, second: ResnetBlock)
  private let normOut: Normalization

  /// Takes the weights of a UNet from `parameters`; what is missing is recorded there.
  public init(_ configuration: UNetConfiguration, _ parameters: Parameters) throws {
    self.configuration = configuration
    guard !configuration.centersInputSample, configuration.middleBlockScaleFactor == 1 else {
      throw ModelError(
        .unsupported,
        "unet/config.json: center_input_sample and mid_block_scale_factor other than 1 are not implemented")
    }
    let widths = configuration.blockOutChannels
    let groups = configuration.normGroups
    let epsilon = configuration.normEpsilon
    let timeChannels = widths[0] * 4
    var textIndex = 0

    func resnet(_ scope: Parameters, _ inputs: Int, _ outputs: Int) throws -> ResnetBlock {
      try ResnetBlock(
        scope, inputs: inputs, outputs: outputs, timeChannels: timeChannels, groups: groups, epsilon: epsilon)
    }
    func transformer(
      _ scope: Parameters, _ place: AttentionSite.Place, block: Int, index: Int, level: Int
    ) throws -> SpatialTransformer {
      try SpatialTransformer(
        scope.scope("attentions.\(index)"),
        site: AttentionSite(
          place: place, block: block, transformer: index, kind: .selfAttention, rows: 0, columns: 0,
          channels: widths[level], heads: configuration.attentionHeads[level]),
        textChannels: configuration.crossAttentionDimension, groups: groups, textIndex: &textIndex)
    }

    convIn = try PseudoConvolution(parameters, "conv_in", inputs: configuration.inputChannels, outputs: widths[0])
    timeLinear1 = try parameters.linear("time_embedding.linear_1", inputs: widths[0], outputs: timeChannels)
    timeLinear2 = try parameters.linear("time_embedding.linear_2", inputs: timeChannels, outputs: timeChannels)

    // Channels of the skip connections, in the order in which the way down leaves them.
    var skips = [widths[0]]
    var down: [Block] = []
    var channels = widths[0]
    for level in widths.indices {
      let scope = parameters.scope("down_blocks.\(level)")
      var resnets: [ResnetBlock] = []
      var transformers: [SpatialTransformer] = []
      for layer in 0..<configuration.layersPerBlock {
        resnets.append(try resnet(scope.scope("resnets.\(layer)"), channels, widths[level]))
        channels = widths[level]
        skips.append(channels)
        if configuration.downBlockHasAttention[level] {
          transformers.append(try transformer(scope, .down, block: level, index: layer, level: level))
        }
      }
      var downsampler: PseudoConvolution?
      if level < widths.count - 1 {
        downsampler = try PseudoConvolution(
          scope, "downsamplers.0.conv", inputs: channels, outputs: channels, stride: 2,
          padding: configuration.downsampling)
        skips.append(channels)
      }
      down.append(
        Block(name: "down_blocks.\(level)", resnets: resnets, transformers: transformers, downsampler: downsampler))
    }
    downBlocks = down

    let top = widths.count - 1
    let middleScope = parameters.scope("mid_block")
    middle = (
      try resnet(middleScope.scope("resnets.0"), channels, channels),
      try transformer(middleScope, .middle, block: 0, index: 0, level: top),
      try resnet(middleScope.scope("resnets.1"), channels, channels)
    )

    var up: [Block] = []
    for block in widths.indices {
      let level = top - block
      let scope = parameters.scope("up_blocks.\(block)")
      var resnets: [ResnetBlock] = []
      var transformers: [SpatialTransformer] = []
      for layer in 0...configuration.layersPerBlock {
        resnets.append(
          try resnet(scope.scope("resnets.\(layer)"), channels + (skips.popLast() ?? 0), widths[level]))
        channels = widths[level]
        if configuration.upBlockHasAttention[block] {
          transformers.append(try transformer(scope, .up, block: block, index: layer, level: level))
        }
      }
      let upsampler =
        level == 0
        ? nil : try PseudoUpsampler(scope, "upsamplers.0.conv", channels: channels)
      up.append(
        Block(name: "up_blocks.\(block)", resnets: resnets, transformers: transformers, upsampler: upsampler))
    }
    upBlocks = up

    normOut = try parameters.normalization("conv_norm_out", channels: widths[0])
    convOut = try PseudoConvolution(parameters, "conv_out", inputs: widths[0], outputs: configuration.outputChannels)
  }

  /// Whether the checkpoint brings attention along the frames.
  public var hasTemporalAttention: Bool { transformers.contains { $0.block.hasTemporalAttention } }

  private var transformers: [SpatialTransformer] {
    downBlocks.flatMap(\.transformers) + [middle.transformer] + upBlocks.flatMap(\.transformers)
  }

  /// All attention layers in the order in which a pass meets them, for latents of the given sides.
  public func sites(rows: Int, columns: Int) -> [AttentionSite] {
    let sides = configuration.levelSides(rows: rows, columns: columns)
    let top = sides.count - 1
    func sites(_ transformers: [SpatialTransformer], _ level: Int) -> [AttentionSite] {
      transformers.flatMap { $0.sites(rows: sides[level].0, columns: sides[level].1) }
    }
    var all: [AttentionSite] = []
    for (level, block) in downBlocks.enumerated() { all += sites(block.transformers, level) }
    all += sites([middle.transformer], top)
    for (index, block) in upBlocks.enumerated() { all += sites(block.transformers, top - index) }
    return all
  }

  /// Projects the text to the keys and values of every cross-attention layer.
  /// - Parameter text: (batches, tokens, cross-attention dimensions).
  public func condition(on text: Tensor, device: Device) throws -> TextConditioning {
    let layers = transformers.map(\.block.crossAttention)
    return TextConditioning(
      batches: text.shape[0],
      keys: try layers.map { try $0.key(text, device: device) },
      values: try layers.map { try $0.value(text, device: device) })
  }

  /// One pass: predicts noise (or velocity) for a clip.
  ///
  /// - Parameters:
  ///   - latents: (batches*f, h, w, in channels); with guidance the unconditional frames first.
  ///   - timestep: Shared by all frames.
  ///   - coupling: For each of the f frames, the frames that its self-attention reads, in order.
  ///   - couplingMinWidth: Layers with fewer channels read their own frame only.
  ///   - inspect: Is handed every layer's name and output, to look into a pass.
  /// - Returns: (batches*f, h, w, out channels).
  public func callAsFunction(
    _ latents: Tensor, timestep: Int, text: TextConditioning, coupling: [[Int]], couplingMinWidth: Int = 0,
    processor: any AttentionProcessor = PlainAttention(), device: Device,
    inspect: ((String, Tensor) throws -> Void)? = nil
  ) throws -> Tensor {
    let batches = text.batches
    let frames = coupling.count
    guard latents.shape.count == 4, frames > 0, latents.shape[0] == batches * frames,
      latents.shape[3] == configuration.inputChannels
    else { throw TensorError("latents \(latents.shape) do not fit \(batches) runs of \(frames) frames") }
    let embedding = try timeLinear2(
      try timeLinear1(try timeEmbedding(timestep), device: device, activation: .silu), device: device)
    let pass = UNetPass(
      device: device, frames: frames, batches: batches, time: try device.activate(embedding, .silu), text: text,
      coupledFrames: (0..<batches).flatMap { batch in coupling.map { $0.map { $0 + batch * frames } } },
      ownFrames: (0..<batches * frames).map { [$0] },
      couplingMinWidth: couplingMinWidth, processor: processor, inspect: inspect)

    var hidden = try convIn(latents, frames: frames, device: device)
    try inspect?("conv_in", hidden)
    var skips = [hidden]
    for block in downBlocks {
      for index in block.resnets.indices {
        try run(block, index, &hidden, pass)
        skips.append(hidden)
      }
      if let downsampler = block.downsampler {
        hidden = try downsampler(hidden, frames: frames, device: device)
        try inspect?("\(block.name).downsamplers.0", hidden)
        skips.append(hidden)
      }
    }

    hidden = try middle.first(hidden, frames: frames, time: pass.time, device: device)
    try inspect?("mid_block.resnets.0", hidden)
    hidden = try middle.transformer(hidden, pass: pass)
    try inspect?("mid_block.attentions.0", hidden)
    hidden = try middle.second(hidden, frames: frames, time: pass.time, device: device)
    try inspect?("mid_block", hidden)

    for block in upBlocks {
      for index in block.resnets.indices {
        hidden = try device.concatenateChannels(hidden, skips.removeLast())
        try run(block, index, &hidden, pass)
      }
      if let upsampler = block.upsampler, let skip = skips.last {
        // To the size of the skip connection, so that sides which do not halve evenly work too.
        hidden = try upsampler(
          hidden, rows: skip.shape[1], columns: skip.shape[2], frames: frames, device: device)
        try inspect?("\(block.name).upsamplers.0", hidden)
      }
    }

    hidden = try normOut.group(
      hidden, groups: configuration.normGroups, frames: frames, epsilon: configuration.normEpsilon,
      activation: .silu, asFactors: convOut.takesFactors(like: hidden), device: device)
    try inspect?("conv_norm_out", hidden)
    hidden = try convOut(hidden, frames: frames, device: device)
    try inspect?("conv_out", hidden)
    return hidden
  }

  /// In place: what goes in is not needed any more when the transformer runs.
  private func run(_ block: Block, _ index: Int, _ hidden: inout Tensor, _ pass: UNetPass) throws {
    hidden = try block.resnets[index](hidden, frames: pass.frames, time: pass.time, device: pass.device)
    try pass.inspect?("\(block.name).resnets.\(index)", hidden)
    if !block.transformers.isEmpty {
      hidden = try block.transformers[index](hidden, pass: pass)
      try pass.inspect?("\(block.name).attentions.\(index)", hidden)
    }
  }

  /// Sinusoidal embedding of the timestep, (1, first width): freq_j = exp(-ln(10000) j / (half - shift)).
  func timeEmbedding(_ timestep: Int) throws -> Tensor {
    let half = configuration.blockOutChannels[0] / 2
    let angles = (0..<half).map { index -> Float in
      let exponent = -logarithm(10000) * Float(index) / (Float(half) - configuration.frequencyShift)
      return Float(timestep) * exponential(exponent)
    }
    let (sines, cosines) = (angles.map(sine), angles.map(cosine))
    return try Tensor(configuration.flipsSineToCosine ? cosines + sines : sines + cosines, shape: [1, half * 2])
  }
}
