extension StringProtocol {
  /// The text as one line for a terminal, a log or a page. What would steer those instead of being seen is written out, like
  /// `\u{1b}`: control characters, line breaks among them, and what turns the direction of writing.
  public var visible: String { visible(keepsLineBreak: { _ in false }) }

  /// The same for a message of several lines. A line break stays where two blanks follow: no line that is not indented so can
  /// be forged by a name with a line break in it.
  public var visibleLines: String { visible { $0.starts(with: "  ".unicodeScalars) } }

  /// The same for a text whose line breaks are the program's own.
  public var visibleText: String { visible { _ in true } }

  private func visible(keepsLineBreak: (SubSequence.UnicodeScalarView) -> Bool) -> String {
    guard unicodeScalars.contains(where: \.steers) else { return String(self) }
    var result = ""
    for place in unicodeScalars.indices {
      let scalar = unicodeScalars[place]
      if scalar.steers, scalar != "\n" || !keepsLineBreak(self[unicodeScalars.index(after: place)...].unicodeScalars) {
        result += "\\u{\(String(scalar.value, radix: 16))}"
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// The text with another for each scalar that steers instead of being seen; all of them have four hexadecimal digits at most.
  public func exchangingControls(_ other: (Unicode.Scalar) -> String) -> String {
    var result = ""
    for scalar in unicodeScalars {
      if scalar.steers { result += other(scalar) } else { result.unicodeScalars.append(scalar) }
    }
    return result
  }
}

extension Unicode.Scalar {
  /// Whether it steers a terminal or the direction of text rather than being seen.
  fileprivate var steers: Bool {
    switch value {
    case 0...0x1f, 0x7f...0x9f: true
    // Marks, embeddings, overrides and isolates of direction; separators of lines and paragraphs.
    case 0x61c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: true
    default: false
    }
  }
}
