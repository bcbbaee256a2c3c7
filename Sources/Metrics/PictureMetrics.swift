import Glibc
import MediaIO

/// How near each frame of the result is to the source's, picture by picture.
public struct PictureMetrics: Sendable {
  /// Peak signal-to-noise ratio in dB, over the three channels of 8 bits: 10 log10(255^2 / mean squared difference);
  /// infinite for equal frames.
  public private(set) var peakSignalToNoise = Series()
  /// Structural similarity, at most 1.
  public private(set) var structuralSimilarity = Series()

  public init() {}

  public mutating func add(_ pair: FramePair) {
    peakSignalToNoise.append(Self.peakSignalToNoise(pair.source.pixels, pair.result.pixels))
    structuralSimilarity.append(StructuralSimilarity.mean(of: pair))
  }

  private static func peakSignalToNoise(_ first: [UInt8], _ second: [UInt8]) -> Double {
    var sum = 0
    for (a, b) in zip(first, second) {
      let difference = Int(a) - Int(b)
      sum += difference * difference
    }
    return sum == 0 ? .infinity : 10 * log10(255 * 255 * Double(first.count) / Double(sum))
  }
}
