import FateZero

/// A picture of a report: packed 8-bit RGB.
struct Picture {
  let width: Int, height: Int
  var pixels: [UInt8]

  private static let longestSide = 512

  init(width: Int, height: Int, pixels: [UInt8]) { (self.width, self.height, self.pixels) = (width, height, pixels) }

  /// The frame, each pixel the mean of a square of the frame's: reduced by a whole number until no side is longer than
  /// `longestSide`.
  init(reducing frame: FateZero.Frame, to longestSide: Int = longestSide) {
    let factor = (max(frame.width, frame.height) + longestSide - 1) / longestSide
    let (width, height) = (max(frame.width / factor, 1), max(frame.height / factor, 1))
    guard factor > 1 else {
      self.init(width: frame.width, height: frame.height, pixels: frame.pixels)
      return
    }
    var pixels = [UInt8](repeating: 0, count: width * height * 3)
    for row in 0..<height {
      for column in 0..<width {
        for channel in 0..<3 {
          var sum = 0
          var count = 0
          for y in row * factor..<min((row + 1) * factor, frame.height) {
            for x in column * factor..<min((column + 1) * factor, frame.width) {
              sum += Int(frame.pixels[(y * frame.width + x) * 3 + channel])
              count += 1
            }
          }
          pixels[(row * width + column) * 3 + channel] = UInt8(sum / max(count, 1))
        }
      }
    }
    self.init(width: width, height: height, pixels: pixels)
  }

  /// How far another of the same size lies from it, `gain` times the absolute difference, cut at 255.
  func difference(_ other: Picture, gain: Int) -> Picture {
    Picture(
      width: width, height: height,
      pixels: zip(pixels, other.pixels).map { UInt8(min(abs(Int($0) - Int($1)) * gain, 255)) })
  }

  /// The picture in grey under colours of what `value` says of each pixel, 0...1: dark violet over red to light yellow.
  func heated(_ value: (_ row: Int, _ column: Int) -> Float) -> Picture {
    var result = self
    for row in 0..<height {
      for column in 0..<width {
        let at = (row * width + column) * 3
        let grey = (Float(pixels[at]) * 0.299 + Float(pixels[at + 1]) * 0.587 + Float(pixels[at + 2]) * 0.114) / 255
        let heat = min(max(value(row, column), 0), 1)
        let colour = Self.colour(heat)
        for channel in 0..<3 {
          result.pixels[at + channel] = UInt8((0.3 * grey + 0.7 * colour[channel]) * 255)
        }
      }
    }
    return result
  }

  /// The picture where `value` is 1, dimmed where it is 0.
  func lit(_ value: (_ row: Int, _ column: Int) -> Float) -> Picture {
    var result = self
    for row in 0..<height {
      for column in 0..<width {
        let light = 0.25 + 0.75 * min(max(value(row, column), 0), 1)
        for at in (row * width + column) * 3..<(row * width + column + 1) * 3 {
          result.pixels[at] = UInt8(Float(pixels[at]) * light)
        }
      }
    }
    return result
  }

  /// Like matplotlib's "inferno", between five of its colours.
  private static func colour(_ value: Float) -> [Float] {
    let stops: [[Float]] = [
      [0, 0, 0.02], [0.34, 0.06, 0.43], [0.74, 0.21, 0.33], [0.98, 0.56, 0.04], [0.99, 1, 0.64],
    ]
    let position = value * Float(stops.count - 1)
    let first = min(Int(position), stops.count - 2)
    let share = position - Float(first)
    return zip(stops[first], stops[first + 1]).map { $0 + (min(max($1, 0), 1) - $0) * share }
  }
}
