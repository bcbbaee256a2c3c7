/// How long the rest of a piece of work takes: at first as a guess says, soon as the work itself shows.
public struct RemainingTime: Sendable {
  /// Seconds that the whole work was thought to take; nil where nobody knows.
  public let expected: Double?
  private let clock = ContinuousClock()
  private let begin: ContinuousClock.Instant

  /// Share of the work from which on only its own speed counts; up to there the guess counts as well.
  private static let trustedShare = 0.2

  /// Begins now.
  public init(expected: Double?) {
    self.expected = expected
    begin = clock.now
  }

  public var elapsed: Double { (clock.now - begin).inSeconds }

  /// Seconds to the end where `share` of the work, 0...1, is done; nil while nothing tells.
  public func left(share: Double) -> Double? {
    guard share > 0 else { return expected }
    let measured = elapsed / share
    let trust = min(share / Self.trustedShare, 1)
    return (1 - share) * (trust * measured + (1 - trust) * (expected ?? measured))
  }
}
