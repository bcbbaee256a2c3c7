import CLibAV

/// Times of decoded frames, made to rise.
///
/// Some clips repeat times, or go back in them. As with the ffmpeg command, a frame that comes a little late is shown
/// at once, and one whose turn has passed by more than a frame is left out: it cannot be shown any more.
struct RisingTimes {
  enum Fault: CustomStringConvertible {
    case repeated
    case passed

    var description: String {
      switch self {
      case .repeated: "some frames have the time of the frame before; they are shown right behind it"
      case .passed: "the times of frames go back; frames whose time has passed are left out"
      }
    }
  }

  /// ffmpeg's: of a frame, how far behind one may come.
  private static let tolerance = 0.6

  private let timeBase: AVRational
  /// Between frames, where nothing else is known.
  private let length: Timestamp
  private var last: Timestamp?
  /// When the next frame is expected, were all as long as `length`.
  private var expected = Timestamp.zero
  private var faults: Set<Fault> = []

  /// - Parameter rate: Frames per second; 0/1 if unknown.
  init(timeBase: AVRational, rate: AVRational) {
    self.timeBase = timeBase
    let rate = rate.num > 0 && rate.den > 0 ? rate : AVRational(num: 25, den: 1)
    length = max(Timestamp(clamping: 1, av_inv_q(rate)).rescaled(to: timeBase), Timestamp(clamping: 1, timeBase))
  }

  /// The time of the next frame.
  /// - Parameters:
  ///   - time: What the clip says, in the time base; nil: nothing, and the frame comes one length after the last.
  ///   - warn: Told of each fault once.
  /// - Returns: nil if the frame's time has passed.
  mutating func next(_ time: Timestamp?, warn: (Fault) -> Void) -> Timestamp? {
    guard let last else { return advance(to: time ?? Timestamp(clamping: 0, timeBase)) }
    guard let time else { return advance(to: last + length) }
    if time > last { return advance(to: time) }
    let lateness = Double((expected - time).ticks) / Double(length.ticks)
    if lateness >= 1 + RisingTimes.tolerance {
      note(.passed, warn)
      return nil
    }
    note(.repeated, warn)
    self.last = last.next
    expected = expected + length
    return self.last
  }

  private mutating func advance(to time: Timestamp) -> Timestamp {
    last = time
    expected = time + length
    return time
  }

  private mutating func note(_ fault: Fault, _ warn: (Fault) -> Void) {
    if faults.insert(fault).inserted { warn(fault) }
  }
}
