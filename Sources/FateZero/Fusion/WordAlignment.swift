/// Which token of the source prompt each token of the target prompt takes its attention from.
///
/// Source: prompt-to-prompt (Hertz et al. 2022, "word swap" and "adding a new phrase") as FateZero uses it.
public enum WordAlignment: Sendable, Equatable {
  /// Target position j reads source position `mapper[j]` where `alphas[j]` is 1, and keeps its own attention where it
  /// is 0 (a new word; `mapper[j]` is -1). 77 values each.
  case refine(mapper: [Int], alphas: [Float])
  /// Target attention = source attention x `matrix`, [77, 77], row = source position, row-major.
  case replace(matrix: [Float])

  public enum Mode: String, Sendable, CaseIterable { case auto, replace, refine }

  /// Longest common subsequence of the two token lists (begin and end marks included). Ties: a target token is left
  /// unaligned before a source token is, and both before a match is taken, seen from the end. From the target's length
  /// on, padding is aligned position by position.
  public static func refine(
    sourceTokens: [Int], targetTokens: [Int], length: Int = PromptWords.contextLength
  ) -> WordAlignment {
    let source = Array(sourceTokens.prefix(length))
    let target = Array(targetTokens.prefix(length))
    let width = target.count + 1
    // Needleman-Wunsch, gap 0, match 1, mismatch -1.
    var score = [Int](repeating: 0, count: (source.count + 1) * width)
    for i in source.indices {
      for j in target.indices {
        score[(i + 1) * width + j + 1] = max(
          score[(i + 1) * width + j], score[i * width + j + 1], score[i * width + j] + (source[i] == target[j] ? 1 : -1)
        )
      }
    }
    var mapper = Array(0..<length)
    var alphas = [Float](repeating: 1, count: length)
    var (i, j) = (source.count, target.count)
    while j > 0 {
      let best = score[i * width + j]
      if i == 0 || best == score[i * width + j - 1] {
        j -= 1
        (mapper[j], alphas[j]) = (-1, 0)
      } else if best == score[(i - 1) * width + j] {
        i -= 1
      } else {
        (i, j) = (i - 1, j - 1)
        mapper[j] = i
      }
    }
    return .refine(mapper: mapper, alphas: alphas)
  }

  /// Words compared by position. A differing word with as many tokens on both sides maps one to one; otherwise every
  /// token of the source word goes to every token of the target word, divided by the number of the latter. After the
  /// last differing word positions map onto themselves, even if the token counts so far differ: the reference does so.
  /// - Throws: `SettingsError` if the prompts have different numbers of words.
  public static func replace(
    source: PromptWords, target: PromptWords, length: Int = PromptWords.contextLength
  ) throws -> WordAlignment {
    guard source.words.count == target.words.count else {
      throw SettingsError(
        "replace needs as many words in both prompts; the source has \(source.words.count), the edit "
          + "\(target.words.count)", in: "cross-mode")
    }
    let differing = source.words.indices.filter {
      source.words[$0] != target.words[$0] && !source.positions[$0].isEmpty && !target.positions[$0].isEmpty
    }
    var matrix = [Float](repeating: 0, count: length * length)
    func set(_ row: Int, _ column: Int, to value: Float) {
      if row < length, column < length { matrix[row * length + column] = value }
    }
    var (i, j) = (0, 0)
    var next = differing[...]
    while i < length, j < length {
      guard let word = next.first else {
        set(j, j, to: 1)
        (i, j) = (i + 1, j + 1)
        continue
      }
      let (from, to) = (source.positions[word], target.positions[word])
      guard from[0] == i else {
        set(i, j, to: 1)
        (i, j) = (i + 1, j + 1)
        continue
      }
      if from.count == to.count {
        for (row, column) in zip(from, to) { set(row, column, to: 1) }
      } else {
        let share = Float(1 / Double(to.count))
        for column in to { for row in from { set(row, column, to: share) } }
      }
      (i, j) = (i + from.count, j + to.count)
      next = next.dropFirst()
    }
    return .replace(matrix: matrix)
  }

  /// The alignment that `mode` asks for. `auto` replaces if both prompts have as many words and refines otherwise;
  /// `replace` falls back to refine likewise, with a note that says so.
  public static func choose(
    mode: Mode, source: PromptWords, target: PromptWords
  ) throws -> (alignment: WordAlignment, note: String?) {
    if mode != .refine, source.words.count == target.words.count {
      return (try replace(source: source, target: target), nil)
    }
    let note =
      mode == .replace
      ? "cross-mode replace needs as many words in both prompts (\(source.words.count) and \(target.words.count)); "
        + "refine is used" : nil
    return (refine(sourceTokens: source.visibleTokens, targetTokens: target.visibleTokens), note)
  }
}
