import Foundation

/// A document of the repository, as far as it is meant to be pasted.
public enum Document {
  /// The indented blocks, without their indentation.
  public static func blocks(of name: String) throws -> [String] {
    let text = try String(contentsOf: Fixtures.repository.appendingPathComponent(name), encoding: .utf8)
    var blocks: [[Substring]] = [[]]
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("    ") {
        blocks[blocks.count - 1].append(line.dropFirst(4))
      } else if blocks.last?.isEmpty == false {
        blocks.append([])
      }
    }
    return blocks.filter { !$0.isEmpty }.map { $0.joined(separator: "\n") }
  }

  /// The one block that contains `words`.
  public static func block(of name: String, with words: String) throws -> String {
    let found = try blocks(of: name).filter { $0.contains(words) }
    guard found.count == 1 else { throw Missing(document: name, words: words, count: found.count) }
    return found[0]
  }

  public struct Missing: Error {
    public let document: String
    public let words: String
    public let count: Int
  }
}
