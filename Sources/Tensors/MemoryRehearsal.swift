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

  /// - Parameter count: Of float32 numbers.
  public mutating func tensor(_ count: Double) -> Block { take(4 * count) }

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

  /// What is multiplied by weights, of so many numbers.
  private mutating func factors(_ count: Double) {
    if precision == .bfloat16 { workspace(2 * count) }
  }

  // MARK: Operators

  /// (rows, inputs) -> (rows, outputs)
  public mutating func linear(rows: Double, inputs: Int, outputs: Int) -> Block {
    let result = tensor(rows * Double(outputs))
    factors(rows * Double(inputs))
    return result
  }

  /// - Parameters:
  ///   - rows, columns: Of the result.
  ///   - chunk: Images of the first call, which Winograd's way computes at a time.
  public mutating func convolution(
    images: Double, inputs: Int, outputs: Int, rows: Int, columns: Int, stride: Int = 1, chunk: Double
  ) -> Block {
    let pixels = Double(rows) * Double(columns)
    let result = tensor(images * pixels * Double(outputs))
    if convolutions == .winograd,
      Device.suitsWinograd(
        inputs: inputs, outputs: outputs, stride: stride, rows: rows, columns: columns,
        precision: precision)
    {
      // Both images in blocks, and the transforms of tiles of 4x4 pixels, which are of 6x6 numbers.
      workspace(4 * (1 + 2.25) * min(chunk, images) * pixels * Double(inputs + outputs))
    } else {
      factors(images * pixels * Double(stride * stride) * Double(inputs))
    }
    return result
  }

  /// A norm of (rows, channels) with sums over pieces of the rows, or without.
  public mutating func groupNorm(rows: Double, channels: Int) -> Block {
    let result = tensor(rows * Double(channels))
    let pieces = (rows / Double(max(4 * Device.grain / channels, 1))).rounded(.up)
    release(take(8 * pieces * Double(channels)))
    return result
  }

  /// `Device.attention`, whose operands the caller holds.
  public mutating func attention(frames: Double, queryTokens: Int, keyTokens: Int, channels: Int, heads: Int) -> Block {
    let result = tensor(frames * Double(queryTokens) * Double(channels))
    let extents = AttentionExtents(
      frames: 1, queryTokens: queryTokens, keyTokens: keyTokens, heads: heads, channels: channels / heads)
    release(tensor(Double(threads * AttentionWorkspace(extents).count)))
    return result
  }
}
