import Glibc
import Text

/// Names of the outputs of several edits.
enum OutputName {
  /// `{n}` becomes the number of the edit from 1, `{edit}` its prompt reduced to what fits a file name. Without either,
  /// several edits get `-1`, `-2`, ... before the extension.
  /// - Throws: `CommandFailure` for standard output with several edits, and for edits that would share a name.
  static func names(_ pattern: String, edits: [String]) throws -> [String] {
    if pattern == "-" {
      guard edits.count == 1 else {
        throw CommandFailure(
          .usage, "standard output takes one edit, not \(edits.count); name a file, like out-{n}.mp4")
      }
      return [pattern]
    }
    let isPattern = pattern.holds(text: "{n}") || pattern.holds(text: "{edit}")
    var names: [String] = []
    var known: Set<String> = []
    for (index, edit) in edits.enumerated() {
      let name: String
      if isPattern {
        name = pattern.exchanging("{n}", for: "\(index + 1)").exchanging("{edit}", for: fileName(of: edit))
      } else {
        name = edits.count == 1 ? pattern : numbered(pattern, index + 1)
      }
      if !known.insert(name).inserted {
        throw CommandFailure(.usage, "two edits would be written to \(name); use {n} in OUTPUT")
      }
      names.append(name)
    }
    return names
  }

  /// Finds out before the work whether a file can be made where it is to lie.
  static func checkFolder(of path: String, option: String) throws {
    let folder = path.lastPlace(ofScalar: "/").map { String(path[..<path.place(behind: $0)]) } ?? "."
    guard access(folder, W_OK) == 0 else {
      throw CommandFailure(.cannotCreate, "\(option) \(path): \(String(cString: strerror(errno)))")
    }
  }

  /// `a/b.mp4` -> `a/b-1.mp4`, `a/b/` -> `a/b-1/`, `b` -> `b-1`.
  private static func numbered(_ path: String, _ number: Int) -> String {
    var folder = path[...]
    var ending = ""
    while folder.utf8.count > 1, folder.ends(with: "/") {
      folder.unicodeScalars.removeLast()
      ending += "/"
    }
    let name = folder.lastPlace(ofScalar: "/").map { folder.place(behind: $0) } ?? folder.startIndex
    guard let dot = folder[name...].lastPlace(ofScalar: "."), dot != name, ending.isEmpty else {
      return "\(folder)-\(number)\(ending)"
    }
    return "\(folder[..<dot])-\(number)\(folder[dot...])"
  }

  /// Letters, with their marks, and digits, everything between them one dash, at most 60 bytes.
  /// - Parameter others: Scalars that stay as well.
  static func fileName(of edit: String, keeping others: String = "") -> String {
    var result = "".unicodeScalars
    var size = 0
    for scalar in edit.unicodeScalars {
      let isKept = scalar.isLetter || scalar.isNumber || others.unicodeScalars.contains(scalar)
      // A mark belongs to a letter; alone it would join what stands before it in a name.
      let isMark = scalar.properties.canonicalCombiningClass != .notReordered && result.last.map { $0 != "-" } ?? false
      if isKept || isMark {
        size += UTF8.width(scalar)
        guard size <= 60 else { break }
        result.append(scalar)
      } else if let last = result.last, last != "-" {
        size += 1
        guard size <= 60 else { break }
        result.append("-")
      }
    }
    while result.last == "-" { result.removeLast() }
    return result.isEmpty ? "edit" : String(result)
  }
}
