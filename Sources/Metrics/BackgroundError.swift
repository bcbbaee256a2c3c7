import MediaIO

/// What the edit did where it should not: the mean absolute difference of result and source outside the mask, in levels
/// of 255, over the three channels.
public struct BackgroundError: Sendable {
  /// Greys of the mask below this are background.
  public static let threshold = 128

  public private(set) var difference = Series()

  public init() {}

  /// - Parameter mask: packed 8-bit RGB of the frame's size.
  /// - Throws: `MetricsError` where the mask has another size.
  public mutating func add(_ pair: FramePair, mask: [UInt8]) throws {
    guard mask.count == pair.source.pixels.count else {
      throw MetricsError("the mask has \(mask.count) bytes, the frame \(pair.source.pixels.count)")
    }
    var sum = 0, pixels = 0
    for start in stride(from: 0, to: mask.count, by: 3) {
      guard Int(mask[start]) + Int(mask[start + 1]) + Int(mask[start + 2]) < 3 * Self.threshold else { continue }
      pixels += 1
      for place in start..<start + 3 { sum += abs(Int(pair.source.pixels[place]) - Int(pair.result.pixels[place])) }
    }
    difference.append(pixels == 0 ? nil : Double(sum) / Double(3 * pixels))
  }
}
