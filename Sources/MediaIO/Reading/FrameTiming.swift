import CLibAV

/// Whether a clip's frames come at one rate.
enum FrameTiming: Equatable {
  /// Frame k is shown at (n + k) / rate; `onGrid` if n is a whole number.
  case constant(onGrid: Bool)
  case variable
  /// Too little is known before the clip is read.
  case unknown

  /// Filters whose output has one rate, whatever came in.
  static let fixingFilters: Set<String> = ["fps", "framerate", "minterpolate"]
  /// Filters after which the input's timestamps tell nothing.
  static let changingFilters: Set<String> = [
    "setpts", "select", "mpdecimate", "decimate", "trim", "loop", "tpad", "reverse", "framestep", "tblend",
    "shuffleframes",
  ]

  /// How far a frame may be off its time and still count as on time: what the rounding to a time base does to it
  /// and what cameras' clocks do. In units of the time base.
  static func tolerance(rate: AVRational, timeBase: AVRational) -> Double {
    1 + 0.1 * frameLength(rate: rate, timeBase: timeBase)
  }

  static func frameLength(rate: AVRational, timeBase: AVRational) -> Double { 1 / (av_q2d(rate) * av_q2d(timeBase)) }

  /// - Parameters:
  ///   - timestamps: of consecutive frames, in units of `timeBase`, in any order.
  ///   - rate: the rate they are expected at, frames per second.
  init(timestamps: [Int64], timeBase: AVRational, rate: AVRational) {
    guard rate.num > 0, rate.den > 0, timeBase.num > 0, timeBase.den > 0, !timestamps.isEmpty else {
      self = .unknown
      return
    }
    let length = FrameTiming.frameLength(rate: rate, timeBase: timeBase)
    let tolerance = FrameTiming.tolerance(rate: rate, timeBase: timeBase)
    let sorted = timestamps.sorted()
    for (earlier, later) in zip(sorted, sorted.dropFirst())
    where abs(Double(later) - Double(earlier) - length) > tolerance {
      self = .variable
      return
    }
    let first = (Double(sorted[0]) / length).rounded()
    let onGrid = sorted.enumerated().allSatisfy { abs(Double($1) - (first + Double($0)) * length) <= 1 }
    self = .constant(onGrid: onGrid)
  }
}
