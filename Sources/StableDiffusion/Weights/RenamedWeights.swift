import Tensors

/// Part of another file's weights under other names, each the whole of a stored tensor or some of its rows.
struct RenamedWeights: WeightFile {
  struct Source: Sendable {
    let name: String
    /// Rows of the stored tensor; nil is all of it.
    var rows: Range<Int>?
  }

  private let file: any WeightFile
  private let sources: [String: Source]

  /// - Throws: `ModelError` where two stored tensors have one name.
  init(_ file: any WeightFile, sources: [(name: String, source: Source)]) throws {
    self.file = file
    self.sources = try Dictionary(sources.map { ($0.name, $0.source) }) { first, second in
      throw ModelError(.badData, "\(file.path): \(first.name) and \(second.name) are one and the same weight")
    }
  }

  var path: String { file.path }
  var names: [String] { sources.keys.sorted() }

  func shape(of name: String) -> [Int]? {
    guard let source = sources[name], let shape = file.shape(of: source.name) else { return nil }
    return source.rows.map { [$0.count] + shape.dropFirst() } ?? shape
  }

  func elementType(of name: String) -> ElementType? { sources[name].flatMap { file.elementType(of: $0.name) } }
  func typeName(of name: String) -> String? { sources[name].flatMap { file.typeName(of: $0.name) } }
  func storedName(of name: String) -> String { sources[name]?.name ?? name }

  func tensor(_ name: String) throws -> Tensor {
    guard let source = sources[name] else { throw ModelError(.badData, "\(path) has no tensor \(name)") }
    let tensor = try file.tensor(source.name)
    return source.rows.map { tensor.rows($0) } ?? tensor
  }

  func leadingBytes(of name: String, count: Int) throws -> [UInt8] {
    guard let source = sources[name], source.rows == nil else {
      throw ModelError(.badData, "\(path) has no whole tensor \(name)")
    }
    return try file.leadingBytes(of: source.name, count: count)
  }

  func releasePages() { file.releasePages() }
  func checkUnchanged() throws { try file.checkUnchanged() }
}
