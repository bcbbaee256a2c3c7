/// What becomes of the words of an edit.
public struct WordFate: CustomStringConvertible, Sendable {
  /// Words of the edit that take the source's attention.
  public private(set) var kept: [String] = []
  /// Words of the source and those of the edit that stand in their place.
  public private(set) var replaced: [(source: String, target: String)] = []
  /// Words of the edit that keep their own attention.
  public private(set) var new: [String] = []
  /// Words of the source that no word of the edit reads.
  public private(set) var dropped: [String] = []

  public init(source: PromptWords, target: PromptWords, alignment: WordAlignment) {
    switch alignment {
    case .replace:
      for (before, after) in zip(source.words, target.words) {
        if before == after { kept.append(after) } else { replaced.append((before, after)) }
      }
    case .refine(let mapper, let alphas):
      var readWords: Set<Int> = []
      for (word, positions) in zip(target.words, target.positions) {
        let visible = positions.filter { $0 < PromptWords.contextLength }
        let read = visible.filter { alphas[$0] != 0 }.map { mapper[$0] }
        for position in read {
          if let index = source.positions.firstIndex(where: { $0.contains(position) }) { readWords.insert(index) }
        }
        if read.isEmpty {
          new.append(word)
        } else {
          kept.append(read.count == visible.count ? word : "\(word) (in part)")
        }
      }
      dropped = source.words.indices.filter { !readWords.contains($0) }.map { source.words[$0] }
    }
  }

  /// `kept a, on; cat -> tiger; new red; dropped black`.
  public var description: String {
    let groups = [
      (kept, "kept "), (replaced.map { "\($0.source) -> \($0.target)" }, ""), (new, "new "), (dropped, "dropped "),
    ].filter { !$0.0.isEmpty }
    return groups.map { $0.1 + $0.0.joined(separator: ", ") }.joined(separator: "; ")
  }

  /// The words that the edit exchanged, `cat -> tiger`, separated by commas; empty where it only adds or leaves out.
  public var exchanged: String {
    if !replaced.isEmpty { return replaced.map { "\($0.source) -> \($0.target)" }.joined(separator: ", ") }
    guard !new.isEmpty, !dropped.isEmpty else { return "" }
    return "\(dropped.joined(separator: " ")) -> \(new.joined(separator: " "))"
  }
}
