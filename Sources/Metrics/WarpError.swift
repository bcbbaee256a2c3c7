import MediaIO

/// Whether the result moves as the source does: the warp error of Lai et al. 2018 (arXiv 1808.00449).
///
/// The source's motion from frame t to t + 1 moves frame t + 1 back onto frame t, the source's and the result's alike;
/// what is left are mean squared differences of numbers from 0 to 1. Pixels whose motion is not known (covered,
/// uncovered, not matched) are left out: those where the moved source differs from frame t by more than `occlusion`.
public struct WarpError: Sendable {
  /// Mean absolute difference of the three channels, in levels of 255.
  public static let occlusion = 16

  public private(set) var result = Series()
  /// The same of the source itself: what the motion leaves unexplained.
  public private(set) var source = Series()
  /// Share of the pixels that count, 0...1.
  public private(set) var coverage = Series()
  private var previous: FramePair?

  public init() {}

  /// - Parameter motion: of the source, from the pair before to this one; nil for the first.
  public mutating func add(_ pair: FramePair, motion: MotionField?) {
    defer { previous = pair }
    guard let previous, let motion else { return }
    var count = 0
    var sums = (source: 0.0, result: 0.0)
    for y in 0..<pair.height {
      for x in 0..<pair.width {
        let vector = motion.vector(atColumn: x, row: y)
        let place = Place(x: Float(x) + vector.x, y: Float(y) + vector.y, in: pair.source)
        let pixel = (y * pair.width + x) * 3
        let own = place.difference(pair.source.pixels, previous.source.pixels, pixel)
        guard own.absolute <= Float(3 * Self.occlusion) else { continue }
        count += 1
        sums.source += Double(own.squared)
        sums.result += Double(place.difference(pair.result.pixels, previous.result.pixels, pixel).squared)
      }
    }
    let unit = Double(count) * 3 * 255 * 255
    source.append(count == 0 ? nil : sums.source / unit)
    result.append(count == 0 ? nil : sums.result / unit)
    coverage.append(Double(count) / Double(pair.width * pair.height))
  }

  /// Four neighbours and their shares: bilinear interpolation, the border repeated.
  private struct Place {
    private let upper: (left: Int, right: Int), lower: (left: Int, right: Int)
    private let across: Float, down: Float

    init(x: Float, y: Float, in frame: VideoFrame) {
      let x = min(max(x, 0), Float(frame.width - 1)), y = min(max(y, 0), Float(frame.height - 1))
      let column = Int(x), row = Int(y)
      let nextColumn = min(column + 1, frame.width - 1), nextRow = min(row + 1, frame.height - 1)
      (across, down) = (x - Float(column), y - Float(row))
      upper = ((row * frame.width + column) * 3, (row * frame.width + nextColumn) * 3)
      lower = ((nextRow * frame.width + column) * 3, (nextRow * frame.width + nextColumn) * 3)
    }

    /// Between this place of `moved` and a pixel of `still`, summed over the channels.
    func difference(_ moved: [UInt8], _ still: [UInt8], _ pixel: Int) -> (absolute: Float, squared: Float) {
      var (absolute, squared): (Float, Float) = (0, 0)
      for channel in 0..<3 {
        let above = mixed(moved[upper.left + channel], moved[upper.right + channel])
        let below = mixed(moved[lower.left + channel], moved[lower.right + channel])
        let difference = above + (below - above) * down - Float(still[pixel + channel])
        absolute += abs(difference)
        squared += difference * difference
      }
      return (absolute, squared)
    }

    private func mixed(_ left: UInt8, _ right: UInt8) -> Float {
      Float(left) + (Float(right) - Float(left)) * across
    }
  }
}
