extension UNetConfiguration {
  /// Floating-point operations of one pass: multiplications and additions of the convolutions, the linear layers and the
  /// attention; the rest is a few per cent.
  ///
  /// - Parameters:
  ///   - frames: Frames of all runs of the batch together.
  ///   - keyFrames: Frames that a coupled layer reads; layers under `couplingMinWidth` read one.
  public func operations(
    rows: Int, columns: Int, frames: Int, keyFrames: Int, couplingMinWidth: Int, textTokens: Int = 77
  ) -> Double {
    let widths = blockOutChannels
    let timeChannels = Double(widths[0] * 4)
    var total = 0.0
    func pixels(_ level: Int) -> Double {
      var (rows, columns) = (rows, columns)
      for _ in 0..<level { (rows, columns) = ((rows + 1) / 2, (columns + 1) / 2) }
      return Double(rows * columns)
    }
    func resnet(_ level: Int, _ inputs: Int, _ outputs: Int) {
      let (a, b) = (Double(inputs), Double(outputs))
      total += pixels(level) * (9 * a * b + 9 * b * b + (inputs == outputs ? 0 : a * b)) + timeChannels * b
    }
    func transformer(_ level: Int) {
      let (p, c, text) = (pixels(level), Double(widths[level]), Double(crossAttentionDimension))
      let keys = p * Double(widths[level] >= couplingMinWidth ? keyFrames : 1)
      // Projections in and out, self-attention's four, cross-attention's two, the feed-forward's 8 and 4 widths.
      total += p * c * c * (2 + 4 + 2 + 12) + 2 * p * keys * c
      total += 2 * Double(textTokens) * (text * c / Double(max(frames, 1)) + p * c)
    }
    total += pixels(0) * 9 * Double(inputChannels + outputChannels) * Double(widths[0])
    var skips = [widths[0]]
    var channels = widths[0]
    for level in widths.indices {
      for _ in 0..<layersPerBlock {
        resnet(level, channels, widths[level])
        channels = widths[level]
        skips.append(channels)
        if downBlockHasAttention[level] { transformer(level) }
      }
      if level < widths.count - 1 {
        total += pixels(level + 1) * 9 * Double(channels * channels)
        skips.append(channels)
      }
    }
    let top = widths.count - 1
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
      if level > 0 { total += pixels(level - 1) * 9 * Double(channels * channels) }
    }
    return 2 * total * Double(frames)
  }
}

extension AutoencoderConfiguration {
  /// Floating-point operations of encoding and of decoding one frame whose latents have the given sides.
  public func operations(rows: Int, columns: Int) -> (encode: Double, decode: Double) {
    let widths = blockOutChannels
    func pixels(_ level: Int) -> Double { Double((rows * columns) << (2 * (widths.count - 1 - level))) }
    func resnet(_ level: Int, _ inputs: Int, _ outputs: Int) -> Double {
      let (a, b) = (Double(inputs), Double(outputs))
      return pixels(level) * (9 * a * b + 9 * b * b + (inputs == outputs ? 0 : a * b))
    }
    let top = widths.count - 1
    let (p, c) = (pixels(top), Double(widths[top]))
    let middle = 2 * resnet(top, widths[top], widths[top]) + 4 * p * c * c + 2 * p * p * c
    var encode = middle + pixels(0) * 27 * Double(widths[0])
    var decode = middle + pixels(0) * 27 * Double(widths[0])
    var channels = widths[0]
    for level in widths.indices {
      for _ in 0..<layersPerBlock {
        encode += resnet(level, channels, widths[level])
        channels = widths[level]
      }
      if level < top { encode += pixels(level + 1) * 9 * Double(channels * channels) }
    }
    for level in widths.indices.reversed() {
      for _ in 0...layersPerBlock {
        decode += resnet(level, channels, widths[level])
        channels = widths[level]
      }
      if level > 0 { decode += pixels(level - 1) * 9 * Double(channels * channels) }
    }
    return (2 * encode, 2 * decode)
  }
}
