// Delimiters are compared as Unicode scalars. Swift's own `split`, `hasPrefix`, `contains` and the like compare characters, and
// what stands beside a delimiter may join it to another character: `/` and a combining mark behind it are one, and so is `/`
// behind U+0D4E, or a carriage return and a line feed. Whoever writes a file's name could hide delimiters that way.
// `Scripts/lint-delimiters.sh` finds what compares characters.

extension StringProtocol {
  /// Whether the text begins with exactly these scalars.
  @inlinable public func begins(with prefix: some StringProtocol) -> Bool { utf8.starts(with: prefix.utf8) }

  /// Whether the text ends with exactly these scalars.
  @inlinable public func ends(with suffix: some StringProtocol) -> Bool {
    utf8.reversed().starts(with: suffix.utf8.reversed())
  }

  @inlinable public func holds(_ scalar: Unicode.Scalar) -> Bool { unicodeScalars.contains(scalar) }

  /// Whether exactly these scalars occur, one behind the other.
  @inlinable public func holds(text part: some StringProtocol) -> Bool { firstPlace(of: part) != nil }

  /// Where exactly these scalars occur first.
  @inlinable public func firstPlace(of part: some StringProtocol) -> Range<Index>? {
    let wanted = Array(part.utf8)
    guard let first = wanted.first else { return startIndex..<startIndex }
    var rest = utf8[...]
    while let place = rest.firstIndex(of: first) {
      if rest[place...].starts(with: wanted) { return place..<utf8.index(place, offsetBy: wanted.count) }
      rest = rest[utf8.index(after: place)...]
    }
    return nil
  }

  /// Where the scalar occurs first.
  @inlinable public func firstPlace(ofScalar scalar: Unicode.Scalar) -> Index? { unicodeScalars.firstIndex(of: scalar) }

  /// Where the scalar occurs last.
  @inlinable public func lastPlace(ofScalar scalar: Unicode.Scalar) -> Index? { unicodeScalars.lastIndex(of: scalar) }

  /// Where the scalar behind the one at `place` begins.
  @inlinable public func place(behind place: Index) -> Index { unicodeScalars.index(after: place) }

  /// What stands between the scalars that are `delimiter`.
  /// - Parameters:
  ///   - maxSplits: How often the text is split at most.
  ///   - keepingEmpty: Whether what is empty is a piece too.
  @inlinable public func pieces(
    at delimiter: Unicode.Scalar, maxSplits: Int = .max, keepingEmpty: Bool = false
  ) -> [SubSequence] {
    unicodeScalars.split(separator: delimiter, maxSplits: maxSplits, omittingEmptySubsequences: !keepingEmpty)
      .map { self[$0.startIndex..<$0.endIndex] }
  }

  /// The words between white space.
  @inlinable public var words: [SubSequence] {
    unicodeScalars.split { $0.properties.isWhitespace }.map { self[$0.startIndex..<$0.endIndex] }
  }

  /// The text without a beginning; nil where it begins otherwise.
  @inlinable public func dropping(prefix: some StringProtocol) -> SubSequence? {
    begins(with: prefix) ? self[utf8.index(startIndex, offsetBy: prefix.utf8.count)...] : nil
  }

  /// The text with every occurrence of `part`, which is not empty, exchanged.
  @inlinable public func exchanging(_ part: some StringProtocol, for other: some StringProtocol) -> String {
    var result = ""
    var rest = self[...]
    while let place = rest.firstPlace(of: part) {
      result += rest[..<place.lowerBound]
      result += other
      rest = rest[place.upperBound...]
    }
    return result + rest
  }
}

extension Unicode.Scalar {
  @inlinable public var isLetter: Bool { properties.isAlphabetic }
  @inlinable public var isNumber: Bool { properties.numericType != nil }
  @inlinable public var isWhitespace: Bool { properties.isWhitespace }
  @inlinable public var isDigit: Bool { "0"..."9" ~= self }
}
