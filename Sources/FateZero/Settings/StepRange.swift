import Text

/// A part of the denoising steps, as fractions of their number: from `start` up to, without, `end`.
public struct StepRange: Sendable, Equatable, CustomStringConvertible {
  public var start: Double
  public var end: Double

  public init(_ start: Double, _ end: Double) {
    self.start = start
    self.end = end
  }

  public static let all = StepRange(0, 1)

  /// Reads `0.8` (from the first step to 0.8) or `0.2:0.8`.
  /// - Throws: `SettingsError` unless 0 <= start <= end <= 1.
  public init(parsing text: String, in name: String) throws {
    let parts = text.pieces(at: ":", keepingEmpty: true).map { Grammar.trim(String($0)) }
    let range: StepRange
    switch parts.count {
    case 1: range = StepRange(0, try Grammar.number(parts[0], in: 0...1, name: name))
    case 2:
      range = StepRange(
        try Grammar.number(parts[0], in: 0...1, name: name), try Grammar.number(parts[1], in: 0...1, name: name))
    default:
      throw SettingsError("\"\(text)\" is not a range of steps; write 0.8 or 0.2:0.8", in: name)
    }
    guard range.start <= range.end else {
      throw SettingsError("\"\(text)\" ends before it starts; write the smaller fraction first", in: name)
    }
    self = range
  }

  /// The steps of `count` that lie in the range. Both ends are `int(x * count)`, as in the reference; the caller
  /// chooses `count` (the number of steps for self-attention, one more for cross-attention).
  public func steps(of count: Int) -> Range<Int> {
    func index(_ fraction: Double) -> Int { fraction > 0 ? Int(min(fraction * Double(count), Double(count))) : 0 }
    let lower = index(start)
    return lower..<max(lower, index(end))
  }

  public var description: String { start == 0 ? "\(end)" : "\(start):\(end)" }
}
