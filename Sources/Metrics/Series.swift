/// A number for each frame, or for each pair of consecutive frames.
public struct Series: Sendable {
  /// nil where there is nothing to measure (no pixel outside the mask); infinite where frames are equal and the measure
  /// grows without bound.
  public private(set) var values: [Double?] = []

  public init() {}

  mutating func append(_ value: Double?) { values.append(value) }

  /// Those that can be averaged.
  private var finite: [Double] { values.compactMap { $0 }.filter(\.isFinite) }

  /// Values that are infinite.
  public var infiniteCount: Int { values.count { $0?.isInfinite ?? false } }

  /// The mean of the finite values; infinite where there are only infinite ones; nil where there are none at all.
  public var mean: Double? {
    let finite = finite
    if !finite.isEmpty { return finite.reduce(0, +) / Double(finite.count) }
    return infiniteCount > 0 ? .infinity : nil
  }

  /// Over all values.
  public var lowest: Double? { values.compactMap { $0 }.min() }
  public var highest: Double? { values.compactMap { $0 }.max() }
}
