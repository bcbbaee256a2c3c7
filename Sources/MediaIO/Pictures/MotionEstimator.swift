import CLibAV

/// Where each block of a picture goes in the next one.
public struct MotionField: Sendable {
  /// Pixels along each side of a block. What is left at the right and the lower border moves with the last block.
  public static let blockSize = 8

  public let columns: Int, rows: Int
  /// Of each block, row by row, in pixels; positive is right and down.
  public let vectors: [(x: Float, y: Float)]

  public func vector(atColumn column: Int, row: Int) -> (x: Float, y: Float) {
    vectors[min(row / Self.blockSize, rows - 1) * columns + min(column / Self.blockSize, columns - 1)]
  }
}

/// The motion between consecutive pictures by block matching: libavfilter's `mestimate` with the enhanced predictive
/// zonal search (Tourapis 2002) on luma of twice the size, so that blocks of 8 pixels move by half pixels, at most 32.
public final class MotionEstimator {
  private static let magnification = 2
  private static let reach = 32
  /// Positions in the side data are numbers of 16 bits.
  public static let longestSide = Int(Int16.max) / magnification

  private let graph: FilterGraph
  private let width: Int, height: Int
  private var count = 0

  /// - Throws: `MediaError` for pictures smaller than a block or with a side of more than `longestSide`.
  public init(width: Int, height: Int) throws {
    let sides = MotionField.blockSize...Self.longestSide
    guard sides.contains(width), sides.contains(height) else {
      throw MediaError(
        .badData,
        "the motion of pictures of \(width)x\(height) cannot be found: sides must be from \(sides.lowerBound) to "
          + "\(sides.upperBound) pixels")
    }
    (self.width, self.height) = (width, height)
    let factor = Self.magnification
    graph = try FilterGraph(
      video: FilterGraph.Video(
        width: Int32(width), height: Int32(height), pixelFormat: AV_PIX_FMT_RGB24,
        timeBase: AVRational(num: 1, den: 25), sampleAspect: AVRational(num: 1, den: 1),
        frameRate: AVRational(num: 25, den: 1)),
      description: "format=gray,scale=\(factor * width):\(factor * height):flags=bicubic,"
        + "mestimate=method=epzs:mb_size=\(factor * MotionField.blockSize):search_param=\(factor * Self.reach)")
  }

  /// Takes the next picture.
  /// - Returns: The motion from the picture before to this one; nil for the first.
  /// - Throws: `MediaError`.
  public func push(_ picture: VideoFrame) throws -> MotionField? {
    guard picture.width == width, picture.height == height else {
      throw MediaError(
        .badData, "a picture of \(picture.width)x\(picture.height) follows those of \(width)x\(height)")
    }
    let frame = try Frame(width: Int32(width), height: Int32(height), format: AV_PIX_FMT_RGB24)
    frame.setPackedRows(picture.pixels, bytesPerPixel: 3)
    frame.pointer.pointee.pts = Int64(count)
    count += 1
    try graph.push(frame)
    // The filter gives a picture once it knows the one behind it.
    let analysed = try Frame()
    guard try graph.pull(into: analysed) == .frame else { return nil }
    return field(of: analysed)
  }

  /// The forward vectors in the side data of a picture.
  private func field(of frame: Frame) -> MotionField {
    let columns = width / MotionField.blockSize, rows = height / MotionField.blockSize
    let scale = 1 / Float(Self.magnification)
    let side = MotionField.blockSize * Self.magnification
    var vectors = [(x: Float, y: Float)](repeating: (0, 0), count: columns * rows)
    if let data = av_frame_get_side_data(frame.pointer, AV_FRAME_DATA_MOTION_VECTORS) {
      let bytes = UnsafeRawBufferPointer(start: data.pointee.data, count: Int(data.pointee.size))
      let size = MemoryLayout<AVMotionVector>.stride
      for index in 0..<bytes.count / size {
        let vector = bytes.loadUnaligned(fromByteOffset: index * size, as: AVMotionVector.self)
        // Positions are the middles of blocks.
        let column = Int(vector.dst_x) / side, row = Int(vector.dst_y) / side
        guard vector.source > 0, vector.dst_x >= 0, vector.dst_y >= 0, column < columns, row < rows else { continue }
        vectors[row * columns + column] = (
          Float(Int(vector.src_x) - Int(vector.dst_x)) * scale, Float(Int(vector.src_y) - Int(vector.dst_y)) * scale
        )
      }
    }
    return MotionField(columns: columns, rows: rows, vectors: vectors)
  }
}
