import Text

/// One step of the way from the names of one layout to those of another. Names are sequences of parts between dots; a
/// rule replaces the first place where its pattern matches, and leaves other names alone.
///
///     NameRule("input_blocks.#.0", "down_blocks.#.resnets.#", .blocks(first: 1, length: 3))
///
/// brings `input_blocks.5.0.norm.weight` to `down_blocks.1.resnets.1.norm.weight`.
struct NameRule: Sendable {
  /// What becomes of the numbers that `#` stands for, before they take the places of the result's `#`.
  enum Numbering: Sendable {
    case kept
    /// The first counts layers through all blocks, from `first` on: it becomes the block and the layer in it.
    case blocks(first: Int, length: Int)
    /// The first counts from the other end of `count` levels.
    case reversed(count: Int)
  }

  private let pattern: [Substring], result: [Substring]
  private let numbering: Numbering

  init(_ pattern: StaticString, _ result: StaticString, _ numbering: Numbering = .kept) {
    self.pattern = "\(pattern)"[...].pieces(at: ".")
    self.result = "\(result)"[...].pieces(at: ".")
    self.numbering = numbering
  }

  static func apply(_ rules: [NameRule], to name: String) -> String {
    var parts = name[...].pieces(at: ".", keepingEmpty: true)
    for rule in rules { rule.apply(to: &parts) }
    return parts.joined(separator: ".")
  }

  private func apply(to parts: inout [Substring]) {
    guard parts.count >= pattern.count else { return }
    for place in 0...parts.count - pattern.count {
      let range = place..<place + pattern.count
      guard let numbers = numbers(in: parts[range]), let renumbered = renumbered(numbers) else { continue }
      var rest = renumbered[...]
      parts.replaceSubrange(range, with: result.map { $0 == "#" ? Substring("\(rest.popFirst() ?? 0)") : $0 })
      return
    }
  }

  /// The numbers at the pattern's `#`; nil where it does not match.
  private func numbers(in parts: ArraySlice<Substring>) -> [Int]? {
    var numbers: [Int] = []
    for (part, wanted) in zip(parts, pattern) {
      if wanted != "#" {
        guard part == wanted else { return nil }
      } else {
        // No network has layers of more than four digits.
        guard part.count <= 4, let number = Int(part), number >= 0 else { return nil }
        numbers.append(number)
      }
    }
    return numbers
  }

  /// Nil for a number that cannot be renumbered: the name then stays as it is, and is found to be no part of the network.
  private func renumbered(_ numbers: [Int]) -> [Int]? {
    guard let first = numbers.first else { return numbers }
    switch numbering {
    case .kept: return numbers
    case .blocks(let start, let length):
      guard first >= start else { return nil }
      return [(first - start) / length, (first - start) % length] + numbers.dropFirst()
    case .reversed(let count):
      guard first < count else { return nil }
      return [count - 1 - first] + numbers.dropFirst()
    }
  }
}
