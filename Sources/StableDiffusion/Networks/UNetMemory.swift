import Tensors

/// How an attention layer is rehearsed: what it takes beside its queries, keys and values, which lie there already.
///
/// - Parameters:
///   - frames: Of all runs of the batch together.
///   - keyTokens: Of one frame, or of the text.
/// - Returns: Its result's block.
public typealias AttentionRehearsal = (
  _ memory: inout MemoryRehearsal, _ site: AttentionSite, _ frames: Double, _ keyTokens: Int
) -> MemoryRehearsal.Block

extension MemoryRehearsal {
  /// What `PlainAttention` takes.
  public mutating func plainAttention(_ site: AttentionSite, frames: Double, keyTokens: Int) -> Block {
    attention(
      frames: frames, queryTokens: site.tokens, keyTokens: keyTokens, channels: site.channels, heads: site.heads)
  }
}

/// One pass of a UNet, in the order of `UNet.callAsFunction` and with each tensor held as long as there.
struct UNetRehearsal {
  let configuration: UNetConfiguration
  /// Of the latents.
  let rows: Int, columns: Int
  /// Of all runs of the batch together.
  let frames: Double
  /// Frames of the first pass of the device.
  let chunk: Double
  /// In the order of a pass: for each transformer its self- and its cross-attention.
  let sites: [AttentionSite]
  /// Whether there are layers along the frames.
  let isTuned: Bool
  let textTokens = 77
  let attend: AttentionRehearsal

  func run(_ memory: inout MemoryRehearsal) {
    let sides = configuration.levelSides(rows: rows, columns: columns)
    let widths = configuration.blockOutChannels
    var sites = self.sites[...]
    var hidden = convolution(&memory, configuration.inputChannels, widths[0], sides[0])
    var skips = [hidden]
    // What is kept for the way up is released there.
    var isSkip = true
    func replace(_ memory: inout MemoryRehearsal, by next: MemoryRehearsal.Block) {
      if !isSkip { memory.release(hidden) }
      (hidden, isSkip) = (next, false)
    }
    for stage in configuration.stages {
      switch stage {
      case .resnet(let level, let inputs, let outputs, let hasTransformer):
        replace(&memory, by: resnet(&memory, inputs, outputs, sides[level]))
        if hasTransformer {
          replace(&memory, by: transformer(&memory, sites.prefix(2)))
          sites = sites.dropFirst(2)
        }
      case .transformer:
        let next = transformer(&memory, sites.prefix(2))
        sites = sites.dropFirst(2)
        replace(&memory, by: next)
      case .resample(let from, let to, let channels):
        let next =
          from < to
          ? convolution(&memory, channels, channels, sides[to], stride: 2)
          : upsampler(&memory, channels, from: sides[from], to: sides[to])
        replace(&memory, by: next)
      case .keep:
        skips.append(hidden)
        isSkip = true
      case .join(let level, let channels):
        let joined = tensor(&memory, channels, sides[level])
        memory.release(skips.removeLast())
        replace(&memory, by: joined)
      }
    }
    replace(&memory, by: norm(&memory, widths[0], configuration.outputChannels, sides[0]))
    replace(&memory, by: convolution(&memory, widths[0], configuration.outputChannels, sides[0], isNormalized: true))
    memory.release(hidden)
  }

  // MARK: Layers

  private typealias Sides = (rows: Int, columns: Int)

  private func pixels(_ sides: Sides) -> Double { frames * Double(sides.rows) * Double(sides.columns) }

  private func tensor(_ memory: inout MemoryRehearsal, _ channels: Int, _ sides: Sides) -> MemoryRehearsal.Block {
    memory.tensor(pixels(sides) * Double(channels))
  }

  /// Before a convolution.
  private func norm(_ memory: inout MemoryRehearsal, _ inputs: Int, _ outputs: Int, _ sides: Sides)
    -> MemoryRehearsal.Block
  {
    memory.groupNorm(images: frames, inputs: inputs, outputs: outputs, rows: sides.rows, columns: sides.columns)
  }

  /// - Parameters:
  ///   - isNormalized: Whether it is of what a norm made for it.
  ///   - adds: Whether something is added to the result.
  private func convolution(
    _ memory: inout MemoryRehearsal, _ inputs: Int, _ outputs: Int, _ sides: Sides, stride: Int = 1,
    isNormalized: Bool = false, adds: Bool = false
  ) -> MemoryRehearsal.Block {
    let result = memory.convolution(
      images: frames, inputs: inputs, outputs: outputs, rows: sides.rows, columns: sides.columns, stride: stride,
      ofFactors: isNormalized, chunk: chunk)
    return alongFrames(&memory, result, outputs, sides, adds: adds)
  }

  private func upsampler(_ memory: inout MemoryRehearsal, _ channels: Int, from: Sides, to: Sides)
    -> MemoryRehearsal.Block
  {
    let result = memory.upsamplingConvolution(
      images: frames, channels: channels, rows: to.rows, columns: to.columns,
      doubles: to == (2 * from.rows, 2 * from.columns), chunk: chunk)
    return alongFrames(&memory, result, channels, to, adds: false)
  }

  /// What a tuned model's convolution along the frames makes of an image, and the sum with what is added.
  private func alongFrames(
    _ memory: inout MemoryRehearsal, _ image: MemoryRehearsal.Block, _ channels: Int, _ sides: Sides, adds: Bool
  ) -> MemoryRehearsal.Block {
    var result = image
    for _ in 0..<(isTuned ? (adds ? 2 : 1) : 0) {
      let next = tensor(&memory, channels, sides)
      memory.release(result)
      result = next
    }
    return result
  }

  private func resnet(_ memory: inout MemoryRehearsal, _ inputs: Int, _ outputs: Int, _ sides: Sides)
    -> MemoryRehearsal.Block
  {
    var hidden = norm(&memory, inputs, outputs, sides)
    func replace(_ memory: inout MemoryRehearsal, by next: MemoryRehearsal.Block) {
      memory.release(hidden)
      hidden = next
    }
    replace(&memory, by: convolution(&memory, inputs, outputs, sides, isNormalized: true))
    replace(&memory, by: tensor(&memory, outputs, sides))
    replace(&memory, by: norm(&memory, outputs, outputs, sides))
    let shortcut =
      inputs == outputs ? nil : memory.linear(rows: pixels(sides), inputs: inputs, outputs: outputs)
    let result = convolution(&memory, outputs, outputs, sides, isNormalized: true, adds: true)
    if let shortcut { memory.release(shortcut) }
    memory.release(hidden)
    return result
  }

  private func transformer(_ memory: inout MemoryRehearsal, _ sites: ArraySlice<AttentionSite>)
    -> MemoryRehearsal.Block
  {
    guard let site = sites.first, let crossSite = sites.last else { return memory.tensor(0) }
    let (tokens, channels) = (frames * Double(site.tokens), site.channels)
    /// Of factors.
    func linear(_ memory: inout MemoryRehearsal, asFactors: Bool = false) -> MemoryRehearsal.Block {
      memory.linear(rows: tokens, inputs: channels, outputs: channels, ofFactors: true, asFactors: asFactors)
    }
    func tensor(_ memory: inout MemoryRehearsal, asFactors: Bool = false) -> MemoryRehearsal.Block {
      memory.tensor(tokens * Double(channels), asFactors: asFactors)
    }

    func replace(_ memory: inout MemoryRehearsal, _ block: inout MemoryRehearsal.Block, by next: MemoryRehearsal.Block)
    {
      memory.release(block)
      block = next
    }
    var hidden = memory.groupNorm(rows: tokens, channels: channels, asFactors: true)
    replace(&memory, &hidden, by: linear(&memory))

    var normalized = tensor(&memory, asFactors: true)
    var operands = (0..<3).map { _ in linear(&memory, asFactors: true) }
    var attended = attend(&memory, site, frames, site.tokens)
    operands.forEach { memory.release($0) }
    memory.release(normalized)
    var sum = linear(&memory)
    memory.release(attended)
    replace(&memory, &hidden, by: sum)

    normalized = tensor(&memory, asFactors: true)
    operands = [linear(&memory)]
    memory.release(normalized)
    attended = attend(&memory, crossSite, frames, textTokens)
    operands.forEach { memory.release($0) }
    sum = linear(&memory)
    memory.release(attended)
    replace(&memory, &hidden, by: sum)

    // In pieces, of which the joined result comes after the first.
    let pieces = (tokens / Double(TransformerBlock.feedForwardRows)).rounded(.up)
    let rows = (tokens / pieces).rounded(.up)
    var joined: MemoryRehearsal.Block?
    for _ in 0..<2 {
      let part = memory.tensor(rows * Double(channels), asFactors: true)
      let expanded = memory.linear(rows: rows, inputs: channels, outputs: channels * 8, ofFactors: true)
      let activated = memory.tensor(rows * Double(channels * 4), asFactors: true)
      memory.release(expanded)
      let result = memory.linear(rows: rows, inputs: channels * 4, outputs: channels, ofFactors: true)
      joined = joined ?? tensor(&memory)
      [part, activated, result].forEach { memory.release($0) }
    }
    if let joined { replace(&memory, &hidden, by: joined) }

    if isTuned {
      // Pixel by pixel: the frames, their norm, queries, keys, values and what was attended.
      let byPixel = [tensor(&memory)] + (0..<5).map { _ in tensor(&memory, asFactors: true) }
      let result = tensor(&memory)
      byPixel.forEach { memory.release($0) }
      replace(&memory, &hidden, by: tensor(&memory))
      memory.release(result)
    }
    let result = memory.linear(rows: tokens, inputs: channels, outputs: channels)
    memory.release(hidden)
    return result
  }
}

extension UNetConfiguration {
  /// Asks `memory` for what one pass asks a device for.
  /// - Parameters:
  ///   - frames: Of all runs of the batch together.
  ///   - chunk: Frames of the device's first pass.
  ///   - sites: `UNet.sites` of these sides.
  ///   - isTuned: Whether there are layers along the frames.
  public func rehearse(
    _ memory: inout MemoryRehearsal, rows: Int, columns: Int, frames: Double, chunk: Double, sites: [AttentionSite],
    isTuned: Bool, attend: @escaping AttentionRehearsal
  ) {
    UNetRehearsal(
      configuration: self, rows: rows, columns: columns, frames: frames, chunk: chunk, sites: sites, isTuned: isTuned,
      attend: attend
    ).run(&memory)
  }
}

extension AutoencoderConfiguration {
  /// Asks `memory` for what encoding one frame does; its latents have the given sides.
  public func rehearseEncoding(
    _ memory: inout MemoryRehearsal, rows: Int, columns: Int, tiling: AutoencoderTiling? = nil
  ) {
    guard let tiling, tiling.applies(rows: rows, columns: columns) else {
      return AutoencoderRehearsal(configuration: self, rows: rows, columns: columns).encode(&memory)
    }
    let grid = tiling.grid(rows: rows, columns: columns)
    let latents = memory.inTiles(grid, scale: 1, channels: latentChannels) { memory, rows, columns in
      AutoencoderRehearsal(configuration: self, rows: rows, columns: columns, isTile: true).encode(&memory)
    }
    memory.release(latents)
  }

  /// Asks `memory` for what decoding one frame does; the picture is kept.
  public func rehearseDecoding(
    _ memory: inout MemoryRehearsal, rows: Int, columns: Int, tiling: AutoencoderTiling? = nil
  ) {
    guard let tiling, tiling.applies(rows: rows, columns: columns) else {
      _ = AutoencoderRehearsal(configuration: self, rows: rows, columns: columns).decode(&memory)
      return
    }
    let grid = tiling.grid(rows: rows, columns: columns)
    _ = memory.inTiles(grid, scale: downscaleFactor, channels: 3) { memory, rows, columns in
      let tile = AutoencoderRehearsal(configuration: self, rows: rows, columns: columns, isTile: true).decode(&memory)
      memory.release(tile)
    }
  }
}

/// One frame or tile through the autoencoder, in the order of `AutoencoderKL`.
private struct AutoencoderRehearsal {
  let configuration: AutoencoderConfiguration
  /// Of the latents.
  let rows: Int, columns: Int
  /// Whether it is cut out first.
  var isTile = false

  private var widths: [Int] { configuration.blockOutChannels }
  private var top: Int { widths.count - 1 }

  func encode(_ memory: inout MemoryRehearsal) {
    let image = isTile ? tensor(&memory, 3, level: 0) : nil
    var hidden = convolution(&memory, 3, widths[0], level: 0)
    if let image { memory.release(image) }
    var channels = widths[0]
    for level in widths.indices {
      for _ in 0..<configuration.layersPerBlock {
        replace(&memory, &hidden, by: resnet(&memory, channels, widths[level], level: level))
        channels = widths[level]
      }
      if level < top {
        replace(&memory, &hidden, by: convolution(&memory, channels, channels, level: level + 1, stride: 2))
      }
    }
    replace(&memory, &hidden, by: middle(&memory, channels))
    let outputs = 2 * configuration.latentChannels
    replace(&memory, &hidden, by: norm(&memory, channels, outputs, level: top))
    replace(&memory, &hidden, by: convolution(&memory, channels, outputs, level: top, isNormalized: true))
    memory.release(hidden)
  }

  /// - Returns: The picture.
  func decode(_ memory: inout MemoryRehearsal) -> MemoryRehearsal.Block {
    let latents = isTile ? tensor(&memory, configuration.latentChannels, level: top) : nil
    var hidden = tensor(&memory, configuration.latentChannels, level: top)
    if let latents { memory.release(latents) }
    var channels = widths[top]
    replace(&memory, &hidden, by: convolution(&memory, configuration.latentChannels, channels, level: top))
    replace(&memory, &hidden, by: middle(&memory, channels))
    for level in widths.indices.reversed() {
      for _ in 0...configuration.layersPerBlock {
        replace(&memory, &hidden, by: resnet(&memory, channels, widths[level], level: level))
        channels = widths[level]
      }
      if level > 0 {
        let (rows, columns) = sides(level - 1)
        let next = memory.upsamplingConvolution(
          images: 1, channels: channels, rows: rows, columns: columns, doubles: true, chunk: 1)
        replace(&memory, &hidden, by: next)
      }
    }
    replace(&memory, &hidden, by: norm(&memory, channels, 3, level: 0))
    let picture = convolution(&memory, channels, 3, level: 0, isNormalized: true)
    memory.release(hidden)
    return picture
  }

  // MARK: Layers

  private func sides(_ level: Int) -> (rows: Int, columns: Int) { (rows << (top - level), columns << (top - level)) }

  private func pixels(_ level: Int) -> Double { Double(sides(level).rows) * Double(sides(level).columns) }

  private func replace(
    _ memory: inout MemoryRehearsal, _ block: inout MemoryRehearsal.Block, by next: MemoryRehearsal.Block
  ) {
    memory.release(block)
    block = next
  }

  private func tensor(_ memory: inout MemoryRehearsal, _ channels: Int, level: Int) -> MemoryRehearsal.Block {
    memory.tensor(pixels(level) * Double(channels))
  }

  /// Before a convolution.
  private func norm(_ memory: inout MemoryRehearsal, _ inputs: Int, _ outputs: Int, level: Int)
    -> MemoryRehearsal.Block
  {
    memory.groupNorm(
      images: 1, inputs: inputs, outputs: outputs, rows: sides(level).rows, columns: sides(level).columns)
  }

  /// - Parameter isNormalized: Whether it is of what a norm made for it.
  private func convolution(
    _ memory: inout MemoryRehearsal, _ inputs: Int, _ outputs: Int, level: Int, stride: Int = 1,
    isNormalized: Bool = false
  ) -> MemoryRehearsal.Block {
    memory.convolution(
      images: 1, inputs: inputs, outputs: outputs, rows: sides(level).rows, columns: sides(level).columns,
      stride: stride, ofFactors: isNormalized, chunk: 1)
  }

  private func resnet(_ memory: inout MemoryRehearsal, _ inputs: Int, _ outputs: Int, level: Int)
    -> MemoryRehearsal.Block
  {
    var hidden = norm(&memory, inputs, outputs, level: level)
    replace(&memory, &hidden, by: convolution(&memory, inputs, outputs, level: level, isNormalized: true))
    replace(&memory, &hidden, by: norm(&memory, outputs, outputs, level: level))
    let shortcut = inputs == outputs ? nil : memory.linear(rows: pixels(level), inputs: inputs, outputs: outputs)
    let result = convolution(&memory, outputs, outputs, level: level, isNormalized: true)
    if let shortcut { memory.release(shortcut) }
    memory.release(hidden)
    return result
  }

  /// Two residual blocks around attention over all positions.
  private func middle(_ memory: inout MemoryRehearsal, _ channels: Int) -> MemoryRehearsal.Block {
    let tokens = sides(top).rows * sides(top).columns
    func linear(_ memory: inout MemoryRehearsal, asFactors: Bool) -> MemoryRehearsal.Block {
      memory.linear(
        rows: Double(tokens), inputs: channels, outputs: channels, ofFactors: true, asFactors: asFactors)
    }
    let hidden = resnet(&memory, channels, channels, level: top)
    let normalized = memory.groupNorm(rows: pixels(top), channels: channels, asFactors: true)
    let operands = (0..<3).map { _ in linear(&memory, asFactors: true) }
    let attended = memory.attention(frames: 1, queryTokens: tokens, keyTokens: tokens, channels: channels, heads: 1)
    operands.forEach { memory.release($0) }
    let summed = linear(&memory, asFactors: false)
    let result = resnet(&memory, channels, channels, level: top)
    for block in [summed, attended, normalized, hidden] { memory.release(block) }
    return result
  }
}
