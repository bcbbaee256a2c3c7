/// What the memory of a device grows to in a run: asked for what its operators would ask for, it counts and holds nothing.
///
/// The sizes are those of results, of the workspace and of the pool's blocks, by the pool's own rule; a run that asks in the
/// same order holds as much. They are in floating point: absurd settings must not overflow.
public struct MemoryRehearsal: Sendable {
  /// A tensor, from when it is made to when it is released.
  public struct Block: Sendable {
    /// Of the pool's block, which may be larger than the tensor.
    let byteCount: Double
    /// Where a large one lies.
    var offset: Double?
  }

  let threads: Int
  let precision: Device.Precision
  let convolutions: Device.Convolutions
  private var layout = BlockLayout(capacity: Double.infinity)
  /// Small blocks, the smallest first.
  private var free: [Double] = []
  /// Of all small blocks.
  private var small = 0.0
  private var scratch = 0.0
  /// The most that was held so far: bytes of the blocks in use, of those kept for the next tensors, and of the workspace.
  public private(set) var peak = 0.0

  /// Of a device that is made with the same arguments.
  public init(threads: Int, precision: Device.Precision, convolutions: Device.Convolutions) {
    (self.threads, self.precision, self.convolutions) = (Device.threadCount(threads), precision, convolutions)
  }

  // MARK: Memory

  /// - Parameter count: Of float32 numbers, or of factors.
  public mutating func tensor(_ count: Double, asFactors: Bool = false) -> Block {
    take(count * Double(asFactors ? precision.byteCount : 4))
  }

  public mutating func release(_ block: Block) {
    if let offset = block.offset { return layout.give(offset, block.byteCount) }
    free.insert(block.byteCount, at: MemoryPool.position(of: block.byteCount, in: free, size: \.self))
  }

  private mutating func take(_ byteCount: Double) -> Block {
    defer { note() }
    if byteCount >= Double(MemoryPool.mappedByteCount), let offset = layout.take(byteCount) {
      return Block(byteCount: byteCount, offset: offset)
    }
    let index = MemoryPool.position(of: byteCount, in: free, size: \.self)
    if index < free.count, free[index] / 2 <= byteCount { return Block(byteCount: free.remove(at: index)) }
    small += byteCount
    return Block(byteCount: byteCount)
  }

  private mutating func note() { peak = max(peak, layout.held + small + scratch) }

  private mutating func workspace(_ byteCount: Double) {
    guard byteCount > scratch else { return }
    scratch = byteCount
    note()
  }

  /// Rounds so many float32 numbers that are multiplied by weights.
  private mutating func factors(_ count: Double) {
    if precision.factorType != .float32 { workspace(Double(precision.byteCount) * count) }
  }

  // MARK: Operators

  /// (rows, inputs) -> (rows, outputs)
  public mutating func linear(
    rows: Double, inputs: Int, outputs: Int, ofFactors: Bool = false, asFactors: Bool = false
  ) -> Block {
    let result = tensor(rows * Double(outputs), asFactors: asFactors)
    if !ofFactors { factors(rows * Double(inputs)) }
    return result
  }

  /// - Parameters:
  ///   - rows, columns: Of the result.
  ///   - ofFactors: Whether the images are factors where they may be.
  ///   - chunk: Images of the first call, which Winograd's way computes at a time.
  public mutating func convolution(
    images: Double, inputs: Int, outputs: Int, rows: Int, columns: Int, stride: Int = 1, ofFactors: Bool = false,
    chunk: Double
  ) -> Block {
    let pixels = Double(rows) * Double(columns)
    let result = tensor(images * pixels * Double(outputs))
    if convolvesByWinograd(inputs, outputs, stride: stride, rows: rows, columns: columns) {
      // Both images in blocks, and the transforms of tiles of 4x4 pixels, which are of 6x6 numbers.
      workspace(4 * (1 + 2.25) * min(chunk, images) * pixels * Double(inputs + outputs))
    } else if !ofFactors {
      factors(images * pixels * Double(stride * stride) * Double(inputs))
    }
    return result
  }

  /// - Parameters:
  ///   - rows, columns: Of the result.
  ///   - doubles: Whether they are twice those of the image.
  ///   - chunk: As for a convolution.
  public mutating func upsamplingConvolution(
    images: Double, channels: Int, rows: Int, columns: Int, doubles: Bool, chunk: Double
  ) -> Block {
    let count = images * Double(rows) * Double(columns) * Double(channels)
    guard
      doubles,
      Device.upsamplesInQuarters(
        inputs: channels, outputs: channels, precision: precision, convolutions: convolutions)
    else {
      let enlarged = tensor(count)
      defer { release(enlarged) }
      return convolution(
        images: images, inputs: channels, outputs: channels, rows: rows, columns: columns, chunk: chunk)
    }
    let result = tensor(count)
    let factors = precision.factorType == .float32 ? nil : tensor(count / 4, asFactors: true)
    for _ in 0..<4 { release(tensor(count / 4)) }
    if let factors { release(factors) }
    return result
  }

  private func convolvesByWinograd(_ inputs: Int, _ outputs: Int, stride: Int, rows: Int, columns: Int) -> Bool {
    Device.convolvesByWinograd(
      inputs: inputs, outputs: outputs, stride: stride, rows: rows, columns: columns, precision: precision,
      convolutions: convolutions)
  }

  /// A norm of images of (rows, columns, inputs), of which a 3x3 convolution takes the result.
  public mutating func groupNorm(
    images: Double, inputs: Int, outputs: Int, rows: Int, columns: Int
  ) -> Block {
    groupNorm(
      rows: images * Double(rows) * Double(columns), channels: inputs,
      asFactors: !convolvesByWinograd(inputs, outputs, stride: 1, rows: rows, columns: columns))
  }

  /// A norm of (rows, channels) with sums over pieces of the rows.
  public mutating func groupNorm(rows: Double, channels: Int, asFactors: Bool = false) -> Block {
    let result = tensor(rows * Double(channels), asFactors: asFactors)
    let pieces = (rows / Double(max(4 * Device.grain / channels, 1))).rounded(.up)
    release(take(8 * pieces * Double(channels)))
    return result
  }

  /// float32 numbers that become factors.
  public mutating func rounded(_ block: Block, count: Double) -> Block {
    guard precision.factorType != .float32 else { return block }
    defer { release(block) }
    return tensor(count, asFactors: true)
  }

  /// `Device.attention`, or the two halves of `Device.blendedAttention`, whose operands the caller holds.
  public mutating func attention(
    frames: Double, queryTokens: Int, keyTokens: Int, channels: Int, heads: Int, blended: Bool = false
  ) -> Block {
    let count = frames * Double(queryTokens) * Double(channels)
    let result = tensor(count, asFactors: !blended)
    let extents = AttentionExtents(
      frames: 1, queryTokens: queryTokens, keyTokens: keyTokens, heads: heads, channels: channels / heads)
    release(tensor(Double(threads * AttentionWorkspace(extents).count)))
    return blended ? rounded(result, count: count) : result
  }
}
