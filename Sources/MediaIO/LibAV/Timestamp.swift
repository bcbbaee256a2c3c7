import CLibAV

/// A moment on a clip's clock, or the length between two: whole ticks of a time base.
///
/// Files may say anything of their times. All arithmetic with them is done here: what leaves the range of 64 bits
/// stays at its end, and a time that is not known is nil, not libav's AV_NOPTS_VALUE.
struct Timestamp: Comparable, Sendable {
  let ticks: Int64
  /// Seconds per tick.
  let timeBase: AVRational

  /// - Parameter ticks: As libav gives them: AV_NOPTS_VALUE is nil.
  init?(_ ticks: Int64, _ timeBase: AVRational) {
    guard ticks != FATEZERO_AV_NOPTS_VALUE else { return nil }
    self.init(clamping: ticks, timeBase)
  }

  /// - Parameter ticks: The smallest number, which libav takes for "not known", becomes the next.
  init(clamping ticks: Int64, _ timeBase: AVRational) {
    self.ticks = max(ticks, Timestamp.leastTicks)
    self.timeBase = timeBase
  }

  /// The nearest microsecond.
  init(seconds: Double) {
    let ticks = (seconds * Double(AV_TIME_BASE)).rounded()
    // 2^63 is the first number that is too large.
    self.init(
      clamping: ticks >= 0x1p63 ? Int64.max : ticks > -0x1p63 ? Int64(ticks) : Int64.min, microsecondTimeBase)
  }

  static let zero = Timestamp(clamping: 0, microsecondTimeBase)

  private static let leastTicks = Int64.min + 1

  // MARK: Conversion

  var seconds: Double { Double(ticks) * av_q2d(timeBase) }

  func rescaled(to base: AVRational) -> Timestamp {
    if base.num == timeBase.num && base.den == timeBase.den { return self }
    let rescaled = av_rescale_q_rnd(ticks, timeBase, base, AV_ROUND_NEAR_INF)
    // The smallest number stands for "too large" in either direction.
    guard rescaled == Int64.min else { return Timestamp(clamping: rescaled, base) }
    return Timestamp(clamping: ticks < 0 ? Int64.min : Int64.max, base)
  }

  func ticks(in base: AVRational) -> Int64 { rescaled(to: base).ticks }

  // MARK: Arithmetic

  /// In the time base of the left side.
  static func + (left: Timestamp, right: Timestamp) -> Timestamp {
    let (sum, overflow) = left.ticks.addingReportingOverflow(right.ticks(in: left.timeBase))
    return Timestamp(clamping: overflow ? (left.ticks < 0 ? Int64.min : Int64.max) : sum, left.timeBase)
  }

  /// In the time base of the left side.
  static func - (left: Timestamp, right: Timestamp) -> Timestamp { left + (-right) }

  static prefix func - (time: Timestamp) -> Timestamp { Timestamp(clamping: -time.ticks, time.timeBase) }

  /// One tick later.
  var next: Timestamp { self + Timestamp(clamping: 1, timeBase) }

  var magnitude: Timestamp { ticks < 0 ? -self : self }

  // MARK: Order

  /// Times of different time bases are compared exactly.
  static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.scaled(against: right) < right.scaled(against: left)
  }
  static func == (left: Timestamp, right: Timestamp) -> Bool {
    left.scaled(against: right) == right.scaled(against: left)
  }

  /// Ticks of the two time bases' common fraction; 63 + 31 + 31 bits at most.
  private func scaled(against other: Timestamp) -> Int128 {
    Int128(ticks) * Int128(timeBase.num) * Int128(other.timeBase.den)
  }
}

/// AV_TIME_BASE_Q, which Swift does not import.
let microsecondTimeBase = AVRational(num: 1, den: AV_TIME_BASE)

extension Timestamp? {
  /// As libav wants it: nil is AV_NOPTS_VALUE.
  func ticks(in base: AVRational) -> Int64 { self?.ticks(in: base) ?? FATEZERO_AV_NOPTS_VALUE }
}
