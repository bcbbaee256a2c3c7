import Tensors

/// A 3x3 convolution of a network, for predictions.
public struct ConvolutionShape: Sendable, Hashable {
  public let inputs: Int, outputs: Int
  /// Of the result.
  public let rows: Int, columns: Int
  public let stride: Int

  init(_ inputs: Int, _ outputs: Int, _ sides: (rows: Int, columns: Int), stride: Int = 1) {
    (self.inputs, self.outputs, self.stride) = (inputs, outputs, stride)
    (rows, columns) = sides
  }

  public var parameters: Double { 9 * Double(inputs) * Double(outputs) }
  /// Whether `Device.Convolutions.winograd` means it.
  public var suitsWinograd: Bool {
    Device.suitsWinograd(inputs: inputs, outputs: outputs, stride: stride, rows: rows, columns: columns)
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
    walk(
      resnet: { level, inputs, outputs in
        all += [ConvolutionShape(inputs, outputs, sides[level]), ConvolutionShape(outputs, outputs, sides[level])]
      },
      resample: { from, to, channels in
        all.append(ConvolutionShape(channels, channels, sides[to], stride: from < to ? 2 : 1))
      })
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
    walk(
      resnet: { level, inputs, outputs in
        // The way around the block, and the time embedding.
        total += inputs == outputs ? 0 : pixels[level] * Double(inputs) * Double(outputs)
        total += timeChannels * Double(outputs)
      },
      transformer: { level in
        let (p, c, text) = (pixels[level], Double(blockOutChannels[level]), Double(crossAttentionDimension))
        let keys = p * Double(blockOutChannels[level] >= couplingMinWidth ? keyFrames : 1)
        // Projections in and out, self-attention's four, cross-attention's two, the feed-forward's 8 and 4 widths.
        total += p * c * c * (2 + 4 + 2 + 12) + 2 * p * keys * c
        total += 2 * Double(textTokens) * (text * c / Double(max(frames, 1)) + p * c)
      })
    return 2 * total * Double(frames)
  }

  /// The blocks of a pass in order.
  /// - Parameters:
  ///   - resnet: level, channels in, channels out.
  ///   - resample: from level, to level, channels.
  private func walk(
    resnet: (Int, Int, Int) -> Void, transformer: (Int) -> Void = { _ in },
    resample: (Int, Int, Int) -> Void = { _, _, _ in }
  ) {
    let widths = blockOutChannels
    let top = widths.count - 1
    var skips = [widths[0]]
    var channels = widths[0]
    for level in widths.indices {
      for _ in 0..<layersPerBlock {
        resnet(level, channels, widths[level])
        channels = widths[level]
        skips.append(channels)
        if downBlockHasAttention[level] { transformer(level) }
      }
      if level < top {
        resample(level, level + 1, channels)
        skips.append(channels)
      }
    }
    resnet(top, channels, channels)
    transformer(top)
    resnet(top, channels, channels)
    for block in widths.indices {
      let level = top - block
      for _ in 0...layersPerBlock {
        resnet(level, channels + (skips.popLast() ?? 0), widths[level])
        channels = widths[level]
        if upBlockHasAttention[block] { transformer(level) }
      }
      if level > 0 { resample(level, level - 1, channels) }
    }
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
      if level > 0 { decode.append(ConvolutionShape(channels, channels, sides(level - 1))) }
    }
    decode.append(ConvolutionShape(channels, 3, sides(0)))
    return (encode, decode)
  }

  /// Floating-point operations of encoding and of decoding one frame whose latents have the given sides.
  public func operations(rows: Int, columns: Int) -> (encode: Double, decode: Double) {
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
