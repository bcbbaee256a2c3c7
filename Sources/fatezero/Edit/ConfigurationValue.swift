import FateZero
import Glibc
import Tensors
import Text
import YAML

/// A place in a YAML file; `${...}` is resolved when it is looked at, so one that points nowhere harms only who needs it.
struct ConfigurationValue {
  private let root: YAMLNode
  private let file: String
  private let path: [String]
  private let node: YAMLNode

  /// - Parameter name: How messages call the file.
  init(root: YAMLNode, name: String) {
    (self.root, file, path, node) = (root, name, [], root)
  }

  /// The text of a file of YAML.
  /// - Throws: `CommandFailure`.
  static func text(of path: String) throws -> String {
    // Without O_NONBLOCK a FIFO that nobody writes to yet would block here, deaf to Ctrl-C.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandFailure(.noInput, "\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      try Interruption.cancellation.check()
      var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&request, 1, 100) > 0 else { continue }
      let count = read(descriptor, &buffer, buffer.count)
      if count == 0 { break }
      if count < 0 {
        if errno == EINTR || errno == EAGAIN { continue }
        throw CommandFailure(.noInput, "\(path): \(String(cString: strerror(errno)))")
      }
      bytes += buffer[..<count]
      guard bytes.count <= 1 << 20 else { throw CommandFailure(.data, "\(path) is too large for a configuration") }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw CommandFailure(.data, "\(path) is not text in UTF-8")
    }
    return text
  }

  /// - Throws: `CommandFailure` with status `.data` where the text is not YAML or no mapping.
  init(yaml: String, name: String) throws {
    let node: YAMLNode?
    do {
      node = try YAMLNode.read(yaml)
    } catch let error as YAMLError {
      throw CommandFailure(.data, "\(name) is not YAML: \(error)")
    }
    guard let node, node.mapping != nil else { throw CommandFailure(.data, "\(name) holds no configuration") }
    self.init(root: node, name: name)
  }

  private init(root: YAMLNode, file: String, path: [String], node: YAMLNode) {
    (self.root, self.file, self.path, self.node) = (root, file, path, node)
  }

  /// What stands below this value, or what it refers to.
  private func child(_ key: String, _ node: YAMLNode) throws -> ConfigurationValue {
    try ConfigurationValue(root: root, file: file, path: path + [key], node: node).resolved(depth: 0)
  }

  private func resolved(depth: Int) throws -> ConfigurationValue {
    guard let text = node.string, let inner = text.dropping(prefix: "${"), inner.ends(with: "}") else { return self }
    var name = inner.unicodeScalars.dropLast()
    var base: [String] = []
    if name.first == "." {
      // One dot is the mapping this stands in, each further one the mapping around that.
      base = path.dropLast()
      name.removeFirst()
      while name.first == "." {
        _ = base.popLast()
        name.removeFirst()
      }
    }
    let target = base + Substring(name).pieces(at: ".").map(String.init)
    guard depth < 16, let found = target.reduce(Optional(root), { $0?[$1] }) else {
      throw CommandFailure(
        .data, "\(file): \(path.joined(separator: ".")) refers to \(text), which leads nowhere; write the value itself")
    }
    return try ConfigurationValue(root: root, file: file, path: target, node: found).resolved(depth: depth + 1)
  }

  /// The value of a key; nil if it is absent or null.
  subscript(key: String) -> ConfigurationValue? {
    get throws {
      guard node.mapping != nil else { throw unfit("a mapping") }
      guard let found = node[key] else { return nil }
      let value = try child(key, found)
      return value.node.isNull ? nil : value
    }
  }

  func required(_ key: String) throws -> ConfigurationValue {
    guard let value = try self[key] else {
      throw CommandFailure(.data, "\(file) has no \((path + [key]).joined(separator: "."))")
    }
    return value
  }

  /// Entry `index` of a list, or of a mapping with numbers as keys.
  func required(_ index: Int) throws -> ConfigurationValue {
    let found: YAMLNode? =
      if let sequence = node.sequence { index < sequence.count ? sequence[index] : nil } else {
        node.mapping?.first { $0.key.string.flatMap { Int($0) } == index }?.value
      }
    guard let found else {
      throw CommandFailure(
        .data, "\(file): \(path.joined(separator: ".")) has no entry \(index), but there is a prompt \(index)")
    }
    return try child("\(index)", found)
  }

  var isList: Bool { node.sequence != nil }

  /// The pairs of a mapping in the file's order; nil for anything else.
  var entries: [(String, ConfigurationValue)]? {
    get throws {
      try node.mapping?.map { key, value in
        let name = key.string ?? ""
        return (name, try child(name, value))
      }
    }
  }

  func list() throws -> [ConfigurationValue] {
    guard let sequence = node.sequence else { throw unfit("a list") }
    return try sequence.enumerated().map { try child("\($0)", $1) }
  }

  func text() throws -> String {
    guard let text = node.string, !node.isNull else { throw unfit("text") }
    return text
  }

  func flag() throws -> Bool {
    guard let value = node.bool else { throw unfit("true or false") }
    return value
  }

  func number(_ range: ClosedRange<Double>) throws -> Double {
    guard let value = node.string.flatMap({ Double($0) }), range.contains(value) else {
      throw unfit("a number of \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  func integer(_ range: ClosedRange<Int>) throws -> Int {
    guard let value = node.string.flatMap({ Int($0) }), range.contains(value) else {
      throw unfit("a whole number of \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// A number x for 0 to x, or a pair.
  func stepRange() throws -> StepRange {
    guard isList else { return StepRange(0, try number(-1000...1000)) }
    let ends = try list().map { try $0.number(-1000...1000) }
    guard ends.count == 2 else { throw unfit("a number or a pair of numbers") }
    return StepRange(ends[0], ends[1])
  }

  func unfit(_ wanted: String) -> CommandFailure {
    CommandFailure(
      .data, "\(file), line \(node.line): \(path.joined(separator: ".")) must be \(wanted)")
  }
}
