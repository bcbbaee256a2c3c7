/// Images on their way into CLIP: the shorter side scaled, the middle cut out, the numbers normalised, as transformers'
/// `CLIPImageProcessor` does.
///
/// The scaling is that of Pillow's `Image.resize(..., BICUBIC)`, step by step: Keys' cubic kernel with a = -0.5, as
/// much wider as the picture becomes smaller; 22 bits of weights; columns first; both results rounded to 8 bits.
public struct CLIPImageProcessor: Sendable {
  public let configuration: ImageProcessorConfiguration

  public init(_ configuration: ImageProcessorConfiguration) { self.configuration = configuration }

  /// Packed 8-bit RGB of any size -> crop * crop * 3 normalised numbers, row by row.
  /// - Throws: `ModelError` where the pixels do not fill the size.
  public func callAsFunction(_ pixels: [UInt8], width: Int, height: Int) throws -> [Float] {
    guard 1...1 << 16 ~= width, 1...1 << 16 ~= height, pixels.count == width * height * 3 else {
      throw ModelError(.badData, "an image of \(width)x\(height) pixels has \(pixels.count) bytes")
    }
    let short = configuration.shortestEdge, crop = configuration.cropSize
    let target =
      width <= height ? (width: short, height: short * height / width) : (width: short * width / height, height: short)
    // Only what is cut out is computed.
    let left = (target.width - crop) / 2, top = (target.height - crop) / 2
    let columns = Self.taps(from: width, to: target.width, wanted: left..<left + crop)
    let rows = Self.taps(from: height, to: target.height, wanted: top..<top + crop)

    var narrow = [UInt8](repeating: 0, count: height * crop * 3)
    for y in 0..<height {
      for (x, tap) in columns.enumerated() {
        for channel in 0..<3 {
          narrow[(y * crop + x) * 3 + channel] = tap.applied(to: pixels, at: y * width * 3 + channel, step: 3)
        }
      }
    }
    var result = [Float](repeating: 0, count: crop * crop * 3)
    for (y, tap) in rows.enumerated() {
      for x in 0..<crop {
        for channel in 0..<3 {
          let value = tap.applied(to: narrow, at: x * 3 + channel, step: crop * 3)
          result[(y * crop + x) * 3 + channel] =
            (Float(value) / 255 - configuration.mean[channel]) / configuration.standardDeviation[channel]
        }
      }
    }
    return result
  }

  // MARK: Scaling

  private static let precision = 22

  /// What one target position takes of the source.
  private struct Tap {
    let first: Int
    /// In units of 2^-22.
    let weights: [Int]

    func applied(to pixels: [UInt8], at start: Int, step: Int) -> UInt8 {
      var sum = 1 << (CLIPImageProcessor.precision - 1)
      var place = start + first * step
      for weight in weights {
        sum += weight * Int(pixels[place])
        place += step
      }
      return UInt8(min(max(sum >> CLIPImageProcessor.precision, 0), 255))
    }
  }

  private static func taps(from source: Int, to target: Int, wanted: Range<Int>) -> [Tap] {
    let scale = Double(source) / Double(target)
    let stretch = max(scale, 1)
    let support = 2 * stretch
    return wanted.map { position in
      let center = (Double(position) + 0.5) * scale
      let first = max(Int(center - support + 0.5), 0)
      let end = min(Int(center + support + 0.5), source)
      let weights = (first..<end).map { cubic((Double($0) - center + 0.5) / stretch) }
      let total = weights.reduce(0, +)
      return Tap(
        first: first, weights: weights.map { Int(($0 / total * Double(1 << precision)).rounded()) })
    }
  }

  /// Keys' kernel with a = -0.5.
  private static func cubic(_ x: Double) -> Double {
    let a = -0.5, x = abs(x)
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
  }
}
