import MediaIO

/// A frame of the source and the same frame of the result.
public struct FramePair: Sendable {
  public let source: VideoFrame, result: VideoFrame

  /// Rows and columns of the smallest frames: one window of SSIM.
  public static let smallestSide = StructuralSimilarity.windowSize

  var width: Int { source.width }
  var height: Int { source.height }

  /// - Throws: `MetricsError` where the two differ in size or are too small.
  public init(source: VideoFrame, result: VideoFrame) throws {
    guard source.width == result.width, source.height == result.height else {
      throw MetricsError(
        "the source's frames have \(source.width)x\(source.height) pixels, the result's "
          + "\(result.width)x\(result.height); scale one to the other's size, for instance with "
          + "ffmpeg -i RESULT -vf scale=\(source.width):\(source.height)")
    }
    guard min(source.width, source.height) >= Self.smallestSide else {
      throw MetricsError(
        "frames of \(source.width)x\(source.height) pixels are too small to be compared: "
          + "\(Self.smallestSide) pixels along each side are the least")
    }
    let bytes = source.width * source.height * 3
    guard source.pixels.count == bytes, result.pixels.count == bytes else {
      throw MetricsError(
        "frames of \(source.width)x\(source.height) pixels need \(bytes) bytes, not \(source.pixels.count) and "
          + "\(result.pixels.count)")
    }
    (self.source, self.result) = (source, result)
  }
}

/// Clips that cannot be compared: what is wrong and what to do about it.
public struct MetricsError: Error, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}
