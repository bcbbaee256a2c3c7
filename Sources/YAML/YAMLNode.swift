import CYAML

/// A value of a YAML document, read by libyaml; aliases are replaced by what they stand for.
public struct YAMLNode: Sendable {
  public enum Value: Sendable {
    /// `isPlain`: written without quotes, so that it may be a number, a flag or null.
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    /// In the order of the file.
    case mapping([(key: YAMLNode, value: YAMLNode)])
  }

  public let value: Value
  /// Line of the file, from 1.
  public let line: Int

  /// - Returns: nil for a text without a document.
  /// - Throws: `YAMLError`.
  public static func read(_ text: String) throws -> YAMLNode? {
    let bytes = Array(text.utf8)
    try withParser(of: bytes) { try checkSize(&$0) }
    return try withParser(of: bytes) { parser in
      var document = yaml_document_t()
      guard yaml_parser_load(&parser, &document) != 0 else { throw YAMLError(parser) }
      defer { yaml_document_delete(&document) }
      guard yaml_document_get_root_node(&document) != nil else { return nil }
      var reader = DocumentReader(document)
      return try reader.copy(1)
    }
  }

  /// Configurations nest a handful of levels.
  private static let maximumNesting = 100
  /// libyaml compares each anchor with all others.
  private static let maximumAnchors = 1000

  private static func withParser<Result>(of bytes: [UInt8], _ body: (inout yaml_parser_t) throws -> Result) throws
    -> Result
  {
    var parser = yaml_parser_t()
    guard yaml_parser_initialize(&parser) != 0 else {
      throw YAMLError(reason: "there is no memory to read it", line: 1)
    }
    defer { yaml_parser_delete(&parser) }
    return try bytes.withUnsafeBufferPointer { buffer in
      yaml_parser_set_input_string(&parser, buffer.baseAddress, buffer.count)
      return try body(&parser)
    }
  }

  /// Goes through the first document's events. The time that libyaml takes grows with the square of the nesting, so that
  /// a megabyte of brackets would keep it busy for minutes; event by event it can be stopped. So does the time with the number of anchors.
  private static func checkSize(_ parser: inout yaml_parser_t) throws {
    var (depth, anchors) = (0, 0)
    var event = yaml_event_t()
    while true {
      guard yaml_parser_parse(&parser, &event) != 0 else { throw YAMLError(parser) }
      defer { yaml_event_delete(&event) }
      let anchor: UnsafeMutablePointer<yaml_char_t>? =
        switch event.type {
        case YAML_SCALAR_EVENT: event.data.scalar.anchor
        case YAML_SEQUENCE_START_EVENT: event.data.sequence_start.anchor
        case YAML_MAPPING_START_EVENT: event.data.mapping_start.anchor
        default: nil
        }
      if anchor != nil { anchors += 1 }
      guard anchors <= maximumAnchors else {
        throw YAMLError(
          reason: "it has more than \(maximumAnchors) anchors (&name); write the values themselves",
          line: Int(clamping: event.start_mark.line) + 1)
      }
      switch event.type {
      case YAML_SEQUENCE_START_EVENT, YAML_MAPPING_START_EVENT:
        depth += 1
        guard depth <= maximumNesting else {
          throw YAMLError(
            reason: "it is nested more than \(maximumNesting) levels deep",
            line: Int(clamping: event.start_mark.line) + 1)
        }
      case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: depth -= 1
      case YAML_DOCUMENT_END_EVENT, YAML_STREAM_END_EVENT: return
      default: break
      }
    }
  }

  // MARK: - Access

  /// A scalar's text.
  public var string: String? { if case .scalar(let text, _) = value { text } else { nil } }

  public var sequence: [YAMLNode]? { if case .sequence(let nodes) = value { nodes } else { nil } }

  public var mapping: [(key: YAMLNode, value: YAMLNode)]? { if case .mapping(let pairs) = value { pairs } else { nil } }

  /// The value of a mapping's key.
  public subscript(key: String) -> YAMLNode? { mapping?.first { $0.key.string == key }?.value }

  /// YAML 1.1's words for yes and no.
  public var bool: Bool? {
    guard case .scalar(let text, isPlain: true) = value else { return nil }
    return switch text {
    case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON": true
    case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF": false
    default: nil
    }
  }

  public var isNull: Bool {
    guard case .scalar(let text, isPlain: true) = value else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(text)
  }
}

/// What keeps a text from being YAML.
public struct YAMLError: Error, CustomStringConvertible {
  public let reason: String
  public let line: Int
  public var description: String { "line \(line): \(reason)" }
}

extension YAMLError {
  /// What a parser that failed says.
  fileprivate init(_ parser: yaml_parser_t) {
    self.init(
      reason: parser.problem.map { String(cString: $0) } ?? "it cannot be read",
      line: Int(clamping: parser.problem_mark.line) + 1)
  }
}

/// Copies a document's nodes; one that several aliases name is copied once.
private struct DocumentReader {
  private var document: yaml_document_t
  private var finished: [Int32: YAMLNode] = [:]
  private var open: Set<Int32> = []

  init(_ document: yaml_document_t) { self.document = document }

  mutating func copy(_ index: Int32) throws -> YAMLNode {
    if let node = finished[index] { return node }
    guard let source = yaml_document_get_node(&document, index)?.pointee else {
      throw YAMLError(reason: "an alias leads nowhere", line: 1)
    }
    let line = Int(clamping: source.start_mark.line) + 1
    guard open.insert(index).inserted else { throw YAMLError(reason: "it contains itself", line: line) }
    defer { open.remove(index) }
    let value: YAMLNode.Value
    switch source.type {
    case YAML_SEQUENCE_NODE:
      let items = source.data.sequence.items
      value = .sequence(
        try UnsafeBufferPointer(start: items.start, count: items.start.distance(to: items.top)).map { try copy($0) })
    case YAML_MAPPING_NODE:
      let pairs = source.data.mapping.pairs
      var keys: Set<String> = []
      value = .mapping(
        try UnsafeBufferPointer(start: pairs.start, count: pairs.start.distance(to: pairs.top)).map { pair in
          let key = try copy(pair.key)
          // Readers that take either of the two would each lose what the other says.
          if let name = key.string, !keys.insert(name).inserted {
            throw YAMLError(reason: "\(name) is there twice", line: key.line)
          }
          return (key: key, value: try copy(pair.value))
        })
    default:
      let scalar = source.data.scalar
      value = .scalar(
        String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self),
        isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
    }
    let node = YAMLNode(value: value, line: line)
    finished[index] = node
    return node
  }
}
