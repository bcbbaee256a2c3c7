import Glibc

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
    let isPattern = pattern.contains("{n}") || pattern.contains("{edit}")
    var names: [String] = []
    for (index, edit) in edits.enumerated() {
      let name: String
      if isPattern {
        name = pattern.replacing("{n}", with: "\(index + 1)").replacing("{edit}", with: fileName(of: edit))
      } else {
        name = edits.count == 1 ? pattern : numbered(pattern, index + 1)
      }
      if names.contains(name) {
        throw CommandFailure(.usage, "two edits would be written to \(name); use {n} in OUTPUT")
      }
      names.append(name)
    }
    return names
  }

  /// Finds out before the work whether a file can be made where it is to lie.
  static func checkFolder(of path: String, option: String) throws {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    guard access(folder, W_OK) == 0 else {
      throw CommandFailure(.cannotCreate, "\(option) \(path): \(String(cString: strerror(errno)))")
    }
  }

  /// `a/b.mp4` -> `a/b-1.mp4`, `a/b/` -> `a/b-1/`, `b` -> `b-1`.
  private static func numbered(_ path: String, _ number: Int) -> String {
    var folder = path[...]
    var ending = ""
    while folder.count > 1, folder.last == "/" {
      folder.removeLast()
      ending += "/"
    }
    let name = folder.lastIndex(of: "/").map { folder.index(after: $0) } ?? folder.startIndex
    guard let dot = folder[name...].lastIndex(of: "."), dot != name, ending.isEmpty else {
      return "\(folder)-\(number)\(ending)"
    }
    return "\(folder[..<dot])-\(number)\(folder[dot...])"
  }

  /// Letters and digits, everything between them one dash, at most 60 bytes.
  /// - Parameter others: Characters that stay as well.
  static func fileName(of edit: String, keeping others: String = "") -> String {
    var result = ""
    for character in edit {
      guard result.utf8.count + character.utf8.count <= 60 else { break }
      if character.isLetter || character.isNumber || others.contains(character) {
        result.append(character)
      } else if !result.isEmpty, result.last != "-" {
        result.append("-")
      }
    }
    while result.last == "-" { result.removeLast() }
    return result.isEmpty ? "edit" : result
  }
}
