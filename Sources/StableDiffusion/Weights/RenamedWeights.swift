import Tensors

/// Part of another file's weights under other names, each the whole of a stored tensor or some of its rows.
struct RenamedWeights: WeightFile {
  struct Source: Sendable {
    let name: String
    /// Rows of the stored tensor; nil is all of it.
    var rows: Range<Int>?
  }

  let names: [String]
  private let file: any WeightFile
  private let sources: [String: Source]

  /// - Throws: `ModelError` where two stored tensors have one name.
  init(_ file: any WeightFile, sources: [(name: String, source: Source)]) throws {
    self.file = file
    self.sources = try Dictionary(sources.map { ($0.name, $0.source) }) { first, second in
      throw ModelError(.badData, "\(file.path): \(first.name) and \(second.name) are one and the same weight")
    }
    names = self.sources.keys.sorted()
  }

  var path: String { file.path }

  func shape(of name: String) -> [Int]? {
    guard let source = sources[name], let shape = file.shape(of: source.name) else { return nil }
    return source.rows.map { [$0.count] + shape.dropFirst() } ?? shape
  }

  func format(of name: String) -> NumberFormat? { sources[name].flatMap { file.format(of: $0.name) } }
  func storedName(of name: String) -> String { sources[name]?.name ?? name }

  func stored(_ name: String) throws -> StoredTensor {
    guard let source = sources[name] else { throw missing(name) }
    let stored = try file.stored(source.name)
    return source.rows.map { stored.rows($0) } ?? stored
  }

  func checkUnchanged() throws { try file.checkUnchanged() }
}
