import Tensors

/// A 3x3 convolution of a network, for predictions.
public struct ConvolutionShape: Sendable, Hashable {
  public let inputs: Int, outputs: Int
  /// Of the result.
  public let rows: Int, columns: Int
  public let stride: Int
  /// nil where it follows no enlargement; else whether that doubles both sides.
  public let upsampling: Bool?

  init(
    _ inputs: Int, _ outputs: Int, _ sides: (rows: Int, columns: Int), stride: Int = 1, upsampling: Bool? = nil
  ) {
    (self.inputs, self.outputs, self.stride, self.upsampling) = (inputs, outputs, stride, upsampling)
    (rows, columns) = sides
  }

  public var parameters: Double { 9 * Double(inputs) * Double(outputs) }

  /// Numbers that its weights are packed into on a device with the given arithmetic, and whether that is Winograd's, which
  /// packs them at the first use.
  public func packed(_ precision: Device.Precision, _ convolutions: Device.Convolutions) -> (
    count: Double, byWinograd: Bool
  ) {
    let inQuarters =
      upsampling != nil
      && Device.upsamplesInQuarters(
        inputs: inputs, outputs: outputs, precision: precision, convolutions: convolutions)
    // Four kernels of 2x2; those of 3x3 besides, for other sides than the double.
    if inQuarters { return (parameters * (upsampling == true ? 16 : 25) / 9, false) }
    let byWinograd = Device.convolvesByWinograd(
      inputs: inputs, outputs: outputs, stride: stride, rows: rows, columns: columns, precision: precision,
      convolutions: convolutions)
    return (parameters * (byWinograd ? 4 : 1), byWinograd)
  }
  /// Multiplications for one image.
  var multiplications: Double { parameters * Double(rows) * Double(columns) }
}

extension UNetConfiguration {
  /// Zeros around the image before a stride-2 convolution; a configured 0 means one at the end only, as in diffusers.
  var downsampling: Padding {
    downsamplePadding == 0 ? Padding(top: 0, left: 0, bottom: 1, right: 1) : Padding(downsamplePadding)
  }

  /// Rows and columns of every level, for latents of the given sides.
  public func levelSides(rows: Int, columns: Int) -> [(rows: Int, columns: Int)] {
    let padding = downsampling
    var sides = [(rows: rows, columns: columns)]
    for _ in 1..<max(levels, 1) {
      // A kernel of 3 and a stride of 2.
      let (rows, columns) = sides[sides.count - 1]
      sides.append(
        (
          (rows + padding.top + padding.bottom - 3) / 2 + 1, (columns + padding.left + padding.right - 3) / 2 + 1
        ))
    }
    return sides
  }

  /// All 3x3 convolutions of a pass.
  public func convolutions(rows: Int, columns: Int) -> [ConvolutionShape] {
    let sides = levelSides(rows: rows, columns: columns)
    var all = [
      ConvolutionShape(inputChannels, blockOutChannels[0], sides[0]),
      ConvolutionShape(blockOutChannels[0], outputChannels, sides[0]),
    ]
    for stage in stages {
      switch stage {
      case .resnet(let level, let inputs, let outputs, _):
        all += [ConvolutionShape(inputs, outputs, sides[level]), ConvolutionShape(outputs, outputs, sides[level])]
      case .resample(let from, let to, let channels):
        let doubles = sides[to] == (2 * sides[from].rows, 2 * sides[from].columns)
        all.append(
          from < to
            ? ConvolutionShape(channels, channels, sides[to], stride: 2)
            : ConvolutionShape(channels, channels, sides[to], upsampling: doubles))
      case .transformer, .keep, .join: break
      }
    }
    return all
  }

  /// Floating-point operations of one pass: multiplications and additions of the convolutions, the linear layers and the
  /// attention; the rest is a few per cent.
  ///
  /// - Parameters:
  ///   - frames: Frames of all runs of the batch together.
  ///   - keyFrames: Frames that a coupled layer reads; layers under `couplingMinWidth` read one.
  public func operations(
    rows: Int, columns: Int, frames: Int, keyFrames: Int, couplingMinWidth: Int, textTokens: Int = 77
  ) -> Double {
    let pixels = levelSides(rows: rows, columns: columns).map { Double($0.rows) * Double($0.columns) }
    let timeChannels = Double(blockOutChannels[0] * 4)
    var total = convolutions(rows: rows, columns: columns).reduce(0) { $0 + $1.multiplications }
    func transformer(_ level: Int) -> Double {
      let (p, c, text) = (pixels[level], Double(blockOutChannels[level]), Double(crossAttentionDimension))
      let keys = p * Double(blockOutChannels[level] >= couplingMinWidth ? keyFrames : 1)
      // Projections in and out, self-attention's four, cross-attention's two, the feed-forward's 8 and 4 widths.
      return p * c * c * (2 + 4 + 2 + 12) + 2 * p * keys * c
        + 2 * Double(textTokens) * (text * c / Double(max(frames, 1)) + p * c)
    }
    for stage in stages {
      switch stage {
      case .resnet(let level, let inputs, let outputs, let hasTransformer):
        // The way around the block, and the time embedding.
        total += inputs == outputs ? 0 : pixels[level] * Double(inputs) * Double(outputs)
        total += timeChannels * Double(outputs)
        if hasTransformer { total += transformer(level) }
      case .transformer(let level): total += transformer(level)
      case .resample, .keep, .join: break
      }
    }
    return 2 * total * Double(frames)
  }

  /// A part of a pass.
  enum Stage {
    case resnet(level: Int, inputs: Int, outputs: Int, hasTransformer: Bool)
    /// The one of the middle.
    case transformer(level: Int)
    case resample(from: Int, to: Int, channels: Int)
    /// The result is kept for the way up.
    case keep
    /// What was kept last is joined on: so many channels together.
    case join(level: Int, channels: Int)
  }

  /// All parts between the first convolution, whose result is kept too, and the last norm.
  var stages: [Stage] {
    let widths = blockOutChannels
    let top = widths.count - 1
    var stages: [Stage] = []
    var skips = [widths[0]]
    var channels = widths[0]
    for level in widths.indices {
      for _ in 0..<layersPerBlock {
        stages += [
          .resnet(
            level: level, inputs: channels, outputs: widths[level], hasTransformer: downBlockHasAttention[level]),
          .keep,
        ]
        channels = widths[level]
        skips.append(channels)
      }
      if level < top {
        stages += [.resample(from: level, to: level + 1, channels: channels), .keep]
        skips.append(channels)
      }
    }
    stages += [
      .resnet(level: top, inputs: channels, outputs: channels, hasTransformer: false), .transformer(level: top),
      .resnet(level: top, inputs: channels, outputs: channels, hasTransformer: false),
    ]
    for block in widths.indices {
      let level = top - block
      for _ in 0...layersPerBlock {
        let joined = channels + (skips.popLast() ?? 0)
        stages += [
          .join(level: level, channels: joined),
          .resnet(level: level, inputs: joined, outputs: widths[level], hasTransformer: upBlockHasAttention[block]),
        ]
        channels = widths[level]
      }
      if level > 0 { stages.append(.resample(from: level, to: level - 1, channels: channels)) }
    }
    return stages
  }
}

extension AutoencoderConfiguration {
  /// All 3x3 convolutions of encoding and of decoding, for latents of the given sides.
  public func convolutions(rows: Int, columns: Int) -> (encode: [ConvolutionShape], decode: [ConvolutionShape]) {
    let widths = blockOutChannels
    let top = widths.count - 1
    func sides(_ level: Int) -> (rows: Int, columns: Int) { (rows << (top - level), columns << (top - level)) }
    func resnet(_ level: Int, _ inputs: Int, _ outputs: Int) -> [ConvolutionShape] {
      [ConvolutionShape(inputs, outputs, sides(level)), ConvolutionShape(outputs, outputs, sides(level))]
    }
    let middle = resnet(top, widths[top], widths[top]) + resnet(top, widths[top], widths[top])
    var encode = [ConvolutionShape(3, widths[0], sides(0))]
    var channels = widths[0]
    for level in widths.indices {
      for _ in 0..<layersPerBlock {
        encode += resnet(level, channels, widths[level])
        channels = widths[level]
      }
      if level < top { encode.append(ConvolutionShape(channels, channels, sides(level + 1), stride: 2)) }
    }
    encode += middle + [ConvolutionShape(channels, 2 * latentChannels, sides(top))]
    var decode = [ConvolutionShape(latentChannels, channels, sides(top))] + middle
    for level in widths.indices.reversed() {
      for _ in 0...layersPerBlock {
        decode += resnet(level, channels, widths[level])
        channels = widths[level]
      }
      if level > 0 { decode.append(ConvolutionShape(channels, channels, sides(level - 1), upsampling: true)) }
    }
    decode.append(ConvolutionShape(channels, 3, sides(0)))
    return (encode, decode)
  }

  /// Floating-point operations of encoding and of decoding one frame whose latents have the given sides, in tiles or whole.
  public func operations(rows: Int, columns: Int, tiling: AutoencoderTiling? = nil) -> (encode: Double, decode: Double)
  {
    if let tiling, tiling.applies(rows: rows, columns: columns) {
      return tiling.grid(rows: rows, columns: columns).sizes.reduce((0, 0)) { sum, size in
        let tile = self.operations(rows: size.rows, columns: size.columns)
        return (sum.0 + size.count * tile.encode, sum.1 + size.count * tile.decode)
      }
    }
    // Attention in the middle: four projections, and every pixel with every other.
    let (pixels, channels) = (Double(rows) * Double(columns), Double(blockOutChannels[blockOutChannels.count - 1]))
    let attention = 4 * pixels * channels * channels + 2 * pixels * pixels * channels
    func operations(_ convolutions: [ConvolutionShape]) -> Double {
      2 * (attention + convolutions.reduce(0) { $0 + $1.multiplications })
    }
    let all = convolutions(rows: rows, columns: columns)
    return (operations(all.encode), operations(all.decode))
  }
}
