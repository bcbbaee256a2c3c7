import MediaIO

/// Whether the result changes from frame to frame as the source does: dtSSD of Erofeev et al. 2015, the root of the
/// mean squared difference of the two changes, in levels of 255. It sees flicker, and not an edit that moves along.
public struct TemporalConsistency: Sendable {
  public private(set) var difference = Series()
  private var previous: FramePair?

  public init() {}

  public mutating func add(_ pair: FramePair) {
    if let previous {
      let (s0, s1, r0, r1) = (previous.source.pixels, pair.source.pixels, previous.result.pixels, pair.result.pixels)
      var sum = 0
      for index in s0.indices {
        let change = Int(r1[index]) - Int(r0[index]) - Int(s1[index]) + Int(s0[index])
        sum += change * change
      }
      difference.append((Double(sum) / Double(s0.count)).squareRoot())
    }
    previous = pair
  }
}
