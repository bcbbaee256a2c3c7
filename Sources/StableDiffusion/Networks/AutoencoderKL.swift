import Tensors

/// The variational autoencoder of Stable Diffusion: frames to latents and back, frame by frame.
///
/// Encoding takes the mean of the posterior, so that it is repeatable. One frame is in work at a time: the memory is that
/// of one frame however long the clip is, or of one tile of it (`AutoencoderTiling`) and the picture.
public final class AutoencoderKL: Sendable {
  private struct Block: Sendable {
    let resnets: [ResnetBlock]
    var downsampler: Convolution?
    var upsampler: UpsamplingConvolution?
  }

  private struct Middle: Sendable {
    let first: ResnetBlock, second: ResnetBlock
    let norm: Normalization
    let query: Linear, key: Linear, value: Linear, output: Linear
    let channels: Int, groups: Int
  }

  public let configuration: AutoencoderConfiguration
  private let encoderIn: Convolution, encoderOut: Convolution
  private let encoderBlocks: [Block], encoderMiddle: Middle, encoderNorm: Normalization
  private let decoderIn: Convolution, decoderOut: Convolution
  private let decoderBlocks: [Block], decoderMiddle: Middle, decoderNorm: Normalization
  private let quant: Convolution?, postQuant: Convolution?
  private let epsilon: Float = 1e-6

  public init(_ configuration: AutoencoderConfiguration, _ parameters: Parameters) throws {
    self.configuration = configuration
    let widths = configuration.blockOutChannels
    let groups = configuration.normGroups
    let latent = configuration.latentChannels

    func resnet(_ scope: Parameters, _ inputs: Int, _ outputs: Int) throws -> ResnetBlock {
      try ResnetBlock(
        scope, inputs: inputs, outputs: outputs, timeChannels: nil, groups: groups, epsilon: 1e-6)
    }
    func middle(_ scope: Parameters, _ channels: Int) throws -> Middle {
      let attention = scope.scope("attentions.0")
      return Middle(
        first: try resnet(scope.scope("resnets.0"), channels, channels),
        second: try resnet(scope.scope("resnets.1"), channels, channels),
        norm: try attention.normalization("group_norm", channels: channels),
        query: try attention.linear("to_q", inputs: channels, outputs: channels),
        key: try attention.linear("to_k", inputs: channels, outputs: channels),
        value: try attention.linear("to_v", inputs: channels, outputs: channels),
        output: try attention.linear("to_out.0", inputs: channels, outputs: channels),
        channels: channels, groups: groups)
    }

    let encoder = parameters.scope("encoder")
    encoderIn = try encoder.convolution("conv_in", inputs: 3, outputs: widths[0])
    var channels = widths[0]
    var blocks: [Block] = []
    for level in widths.indices {
      let scope = encoder.scope("down_blocks.\(level)")
      var resnets: [ResnetBlock] = []
      for layer in 0..<configuration.layersPerBlock {
        resnets.append(try resnet(scope.scope("resnets.\(layer)"), channels, widths[level]))
        channels = widths[level]
      }
      // Padded on the right and at the bottom only, unlike the UNet's.
      let downsampler =
        level == widths.count - 1
        ? nil
        : try scope.convolution(
          "downsamplers.0.conv", inputs: channels, outputs: channels, stride: 2,
          padding: Padding(top: 0, left: 0, bottom: 1, right: 1))
      blocks.append(Block(resnets: resnets, downsampler: downsampler))
    }
    encoderBlocks = blocks
    encoderMiddle = try middle(encoder.scope("mid_block"), channels)
    encoderNorm = try encoder.normalization("conv_norm_out", channels: channels)
    encoderOut = try encoder.convolution("conv_out", inputs: channels, outputs: 2 * latent)
    quant =
      configuration.usesQuantConvolution
      ? try parameters.convolution("quant_conv", inputs: 2 * latent, outputs: 2 * latent, kernel: 1) : nil
    postQuant =
      configuration.usesPostQuantConvolution
      ? try parameters.convolution("post_quant_conv", inputs: latent, outputs: latent, kernel: 1) : nil

    let decoder = parameters.scope("decoder")
    decoderIn = try decoder.convolution("conv_in", inputs: latent, outputs: channels)
    decoderMiddle = try middle(decoder.scope("mid_block"), channels)
    blocks = []
    for (block, width) in widths.reversed().enumerated() {
      let scope = decoder.scope("up_blocks.\(block)")
      var resnets: [ResnetBlock] = []
      for layer in 0...configuration.layersPerBlock {
        resnets.append(try resnet(scope.scope("resnets.\(layer)"), channels, width))
        channels = width
      }
      let upsampler =
        block == widths.count - 1
        ? nil : try scope.upsamplingConvolution("upsamplers.0.conv", channels: channels)
      blocks.append(Block(resnets: resnets, upsampler: upsampler))
    }
    decoderBlocks = blocks
    decoderNorm = try decoder.normalization("conv_norm_out", channels: channels)
    decoderOut = try decoder.convolution("conv_out", inputs: channels, outputs: 3)
  }

  /// Pixels of a frame's side for one latent.
  public var factor: Int { configuration.downscaleFactor }

  /// Frames (f, H, W, 3) in -1...1 -> scaled latents (f, H/factor, W/factor, latent channels).
  /// - Parameter tiling: For frames with a side longer than a tile's; nil encodes them whole.
  public func encode(_ frames: Tensor, tiling: AutoencoderTiling? = nil, device: Device) throws -> Tensor {
    var latents: [Tensor] = []
    for index in 0..<frames.shape[0] {
      let frame = frames.rows(index..<index + 1)
      if let tiling, frame.shape.count == 4, max(frame.shape[1], frame.shape[2]) > tiling.side * factor {
        latents.append(try encodeTiles(of: frame, tiling, device: device))
      } else {
        latents.append(try encodeImage(frame, device: device))
      }
    }
    return try device.concatenate(latents)
  }

  /// Scaled latents (f, h, w, latent channels) -> frames (f, h*factor, w*factor, 3), about -1...1, each handed to `body` as
  /// (1, H, W, 3) in turn.
  /// - Parameter tiling: For latents with a side longer than a tile's; nil decodes them whole.
  public func decode(
    _ latents: Tensor, tiling: AutoencoderTiling? = nil, device: Device, body: (Int, Tensor) throws -> Void
  ) throws {
    for index in 0..<latents.shape[0] {
      let scaled = latents.rows(index..<index + 1)
      if let tiling, scaled.shape.count == 4, tiling.applies(rows: scaled.shape[1], columns: scaled.shape[2]) {
        let grid = tiling.grid(rows: scaled.shape[1], columns: scaled.shape[2])
        try body(
          index,
          try device.inTiles(grid, scale: factor, channels: 3) { rows, columns in
            try decodeImage(try device.crop(scaled, rows: rows, columns: columns), device: device)
          })
      } else {
        try body(index, try decodeImage(scaled, device: device))
      }
    }
  }

  private func encodeTiles(of frame: Tensor, _ tiling: AutoencoderTiling, device: Device) throws -> Tensor {
    let (height, width) = (frame.shape[1], frame.shape[2])
    let grid = tiling.grid(rows: height / factor, columns: width / factor)
    /// Up to the frame's edge, where that is no multiple of the factor.
    func pixels(_ latents: Range<Int>, of extent: Int) -> Range<Int> {
      latents.lowerBound * factor..<min((latents.lowerBound + tiling.side) * factor, extent)
    }
    return try device.inTiles(grid, scale: 1, channels: configuration.latentChannels) { rows, columns in
      try encodeImage(
        try device.crop(frame, rows: pixels(rows, of: height), columns: pixels(columns, of: width)), device: device)
    }
  }

  /// One frame or tile. It is not held for longer than the first convolution takes.
  private func encodeImage(_ image: @autoclosure () throws -> Tensor, device: Device) throws -> Tensor {
    let latent = configuration.latentChannels
    var hidden = try encoderIn(try image(), device: device)
    for block in encoderBlocks {
      for resnet in block.resnets { hidden = try resnet(hidden, frames: 1, time: nil, device: device) }
      if let downsampler = block.downsampler { hidden = try downsampler(hidden, device: device) }
    }
    hidden = try attend(encoderMiddle, hidden, device: device)
    hidden = try encoderNorm.group(
      hidden, groups: configuration.normGroups, frames: 1, epsilon: epsilon, activation: .silu,
      asFactors: encoderOut.takesFactors(like: hidden), device: device)
    hidden = try encoderOut(hidden, device: device)
    if let quant { hidden = try quant(hidden, device: device) }
    // Mean and log-variance lie side by side; the mean is taken.
    let moments = hidden.floats
    let scaling = configuration.scalingFactor
    var mean = [Float]()
    mean.reserveCapacity(moments.count / 2)
    for pixel in stride(from: 0, to: moments.count, by: 2 * latent) {
      for channel in 0..<latent { mean.append(moments[pixel + channel] * scaling) }
    }
    return try Tensor(mean, shape: [1, hidden.shape[1], hidden.shape[2], latent])
  }

  /// One frame's latents, or a tile of them.
  private func decodeImage(_ latents: Tensor, device: Device) throws -> Tensor {
    var hidden = try device.combine(1 / configuration.scalingFactor, latents, 0, latents)
    if let postQuant { hidden = try postQuant(hidden, device: device) }
    hidden = try decoderIn(hidden, device: device)
    hidden = try attend(decoderMiddle, hidden, device: device)
    for block in decoderBlocks {
      for resnet in block.resnets { hidden = try resnet(hidden, frames: 1, time: nil, device: device) }
      if let upsampler = block.upsampler {
        hidden = try upsampler(
          hidden, rows: hidden.shape[1] * 2, columns: hidden.shape[2] * 2, device: device)
      }
    }
    hidden = try decoderNorm.group(
      hidden, groups: configuration.normGroups, frames: 1, epsilon: epsilon, activation: .silu,
      asFactors: decoderOut.takesFactors(like: hidden), device: device)
    return try decoderOut(hidden, device: device)
  }

  /// Two residual blocks around single-headed attention over all positions of the frame.
  private func attend(_ middle: Middle, _ x: Tensor, device: Device) throws -> Tensor {
    let hidden = try middle.first(x, frames: 1, time: nil, device: device)
    let tokens = hidden.reshaped([1, hidden.shape[1] * hidden.shape[2], middle.channels])
    let normalized = try middle.norm.group(
      tokens, groups: middle.groups, frames: 1, epsilon: epsilon, asFactors: true, device: device)
    let attended = try device.attention(
      AttentionOperands(
        queries: try middle.query(normalized, device: device, asFactors: true),
        keys: try middle.key(normalized, device: device, asFactors: true), keyFrames: [[0]]),
      values: try middle.value(normalized, device: device, asFactors: true), heads: 1,
      scale: 1 / Float(middle.channels).squareRoot())
    let summed = try middle.output(attended, device: device, adding: tokens).reshaped(hidden.shape)
    return try middle.second(summed, frames: 1, time: nil, device: device)
  }
}
