import Glibc
import Text

/// Lists of files in the notation of the settings. Names of files may hold what the notation means something else by: an
/// entry that names a file which is there, with its commas, equals signs, colons and backslashes, is that file.
enum FileList {
  struct Entry: Equatable {
    /// Before an equals sign.
    var word: String?
    var path: String
    /// Behind a colon.
    var weight: Double?
  }

  /// Commas that a name may hold: each more is one look at the disk.
  private static let commaLimit = 16

  /// - Parameters:
  ///   - takesWords: whether an entry is `WORD=FILE`, or a file alone.
  ///   - takesWeights: whether an entry is `FILE:WEIGHT`, or a file alone.
  ///   - name: of the setting.
  static func entries(
    _ text: String, takesWords: Bool = false, takesWeights: Bool = false, in name: String
  ) throws -> [Entry] {
    func entry(_ typed: String, mustExist: Bool) -> Entry? {
      let typed = Grammar.trim(typed)
      var (word, rest) = (String?.none, typed)
      if takesWords, !exists(typed), let sign = firstUnescaped("=", in: typed) {
        word = Grammar.trim(unescaped(String(typed[..<sign])))
        rest = Grammar.trim(String(typed[typed.index(after: sign)...]))
      }
      // As typed first: a name may hold a backslash.
      for path in [rest, unescaped(rest)] {
        if exists(path) { return Entry(word: word, path: path, weight: nil) }
        if takesWeights, let (file, weight) = weighed(path), exists(file) {
          return Entry(word: word, path: file, weight: weight)
        }
      }
      guard !mustExist else { return nil }
      if takesWeights, let (file, weight) = weighed(unescaped(rest)) {
        return Entry(word: word, path: file, weight: weight)
      }
      return Entry(word: word, path: unescaped(rest), weight: nil)
    }

    guard !endsInEscape(text) else { throw SettingsError("\"\(text)\" ends in a backslash", in: name) }
    let pieces = split(text)
    var entries: [Entry] = []
    var place = 0
    next: while place < pieces.count {
      for end in stride(from: min(place + commaLimit, pieces.count - 1), to: place, by: -1) {
        if let found = entry(pieces[place...end].joined(separator: ","), mustExist: true) {
          entries.append(found)
          place = end + 1
          continue next
        }
      }
      if !Grammar.trim(pieces[place]).isEmpty, let found = entry(pieces[place], mustExist: false) {
        entries.append(found)
      }
      place += 1
    }
    return entries
  }

  private static func exists(_ path: String) -> Bool { !path.isEmpty && access(path, F_OK) == 0 }

  /// `FILE:WEIGHT` in its parts.
  private static func weighed(_ text: String) -> (file: String, weight: Double)? {
    guard let colon = text.lastPlace(ofScalar: ":"), let weight = Double(text[text.place(behind: colon)...]) else {
      return nil
    }
    return (String(text[..<colon]), weight)
  }

  // MARK: Backslashes

  /// What stands between commas without a backslash before them, as typed.
  private static func split(_ text: String) -> [String] {
    var pieces: [String] = []
    var piece = String.UnicodeScalarView()
    var isEscaped = false
    for scalar in text.unicodeScalars {
      if scalar == ",", !isEscaped {
        pieces.append(String(piece))
        piece = String.UnicodeScalarView()
      } else {
        piece.append(scalar)
      }
      isEscaped = scalar == "\\" && !isEscaped
    }
    return pieces + [String(piece)]
  }

  private static func firstUnescaped(_ wanted: Unicode.Scalar, in text: String) -> String.Index? {
    var isEscaped = false
    for index in text.unicodeScalars.indices {
      let scalar = text.unicodeScalars[index]
      if scalar == wanted, !isEscaped { return index }
      isEscaped = scalar == "\\" && !isEscaped
    }
    return nil
  }

  private static func unescaped(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    var isEscaped = false
    for scalar in text.unicodeScalars {
      isEscaped = scalar == "\\" && !isEscaped
      if !isEscaped { result.append(scalar) }
    }
    return String(result)
  }

  private static func endsInEscape(_ text: String) -> Bool {
    var isEscaped = false
    for scalar in text.unicodeScalars { isEscaped = scalar == "\\" && !isEscaped }
    return isEscaped
  }
}
