/// At which edit steps each token of the target prompt takes its cross-attention from the source.
public struct CrossReplaceSchedule: Sendable, Equatable {
  /// Number of edit steps, N.
  public let steps: Int
  /// For every token the steps where the source is used, within 0..<N+1: both ends are `int(x * (N + 1))`, so the last
  /// step is included at 1.0 (the reference's table has N + 1 rows).
  public let ranges: [Range<Int>]

  /// - Throws: `SettingsError` if a word with a range of its own does not occur in `target` (relaxed matching only).
  public init(_ crossReplace: CrossReplace, target: PromptWords, steps: Int) throws {
    self.steps = steps
    var ranges = [Range<Int>](
      repeating: crossReplace.everywhere.steps(of: steps + 1), count: PromptWords.contextLength)
    for entry in crossReplace.words {
      let own = entry.steps.steps(of: steps + 1)
      for position in try target.visiblePositions(of: entry.word, for: "cross-replace") { ranges[position] = own }
    }
    self.ranges = ranges
  }

  /// 1 for tokens that take the source's attention at `step`, 0 for the others: 77 values.
  public func active(step: Int) -> [Float] { ranges.map { $0.contains(step) ? 1 : 0 } }
}
