import FoundationEssentials
import Tensors

/// Any JSON value.
enum JSONValue: Decodable, Sendable, Equatable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode([String: JSONValue].self) {
      self = .object(value)
    } else {
      self = .array(try container.decode([JSONValue].self))
    }
  }

  /// How a message shows the value.
  var text: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let value): "\"\(value.prefix(80))\""
    case .array(let values):
      "[\(values.prefix(8).map(\.text).joined(separator: ", "))\(values.count > 8 ? ", ..." : "")]"
    case .object: "{...}"
    }
  }
}

/// The object in a JSON file, read key by key with a range for every number. A key that is absent or null takes its
/// default.
struct JSONObject: Sendable {
  let path: String
  let values: [String: JSONValue]

  /// - Throws: `ModelError` where the file is absent, is larger than `limit` bytes, or is not a JSON object.
  init(path: String, limit: Int = 1 << 20) throws {
    self.path = path
    values = try Self.decode([String: JSONValue].self, path: path, limit: limit)
  }

  init(path: String, values: [String: JSONValue]) {
    self.path = path
    self.values = values
  }

  /// A JSON file as `Value`.
  static func decode<Value: Decodable>(_ type: Value.Type, path: String, limit: Int) throws -> Value {
    try decode(type, from: try fileBytes(path, limit: limit), path: path)
  }

  static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8], path: String) throws -> Value {
    guard nesting(of: bytes) <= 64 else { throw ModelError(.badData, "\(path) nests JSON deeper than 64 levels") }
    do {
      let decoder = JSONDecoder()
      decoder.nonConformingFloatDecodingStrategy = .convertFromString(
        positiveInfinity: mark + "Infinity", negativeInfinity: mark + "-Infinity", nan: mark + "NaN")
      return try decoder.decode(type, from: Data(quotingNonfiniteNumbers(bytes)))
    } catch {
      throw ModelError(.badData, "\(path) is not the JSON that belongs there: \(reason(error))")
    }
  }

  /// What stands before a number in quotes; JSON has no such character in a string, unless escaped.
  private static let mark = "\u{1}"

  /// Python writes NaN, Infinity and -Infinity, which are no JSON: outside strings, each becomes a string for the decoder.
  /// (JSON5 has them too, but Foundation's reader of it traps on bytes that are no UTF-8.)
  private static func quotingNonfiniteNumbers(_ bytes: [UInt8]) -> [UInt8] {
    let names = ["NaN", "Infinity", "-Infinity"]
    var result: [UInt8] = []
    var end = 0
    walk(bytes) { place in
      let byte = bytes[place]
      guard byte == UInt8(ascii: "N") || byte == UInt8(ascii: "I") || byte == UInt8(ascii: "-"), place >= end,
        let name = names.first(where: { bytes[place...].starts(with: $0.utf8) })
      else { return }
      result += bytes[end..<place] + Array("\"\\u0001\(name)\"".utf8)
      end = place + name.utf8.count
    }
    return result + bytes[end...]
  }

  /// Calls `body` for each byte outside strings.
  private static func walk(_ bytes: [UInt8], _ body: (Int) -> Void) {
    var inString = false, escaped = false
    for (place, byte) in bytes.enumerated() {
      if inString {
        if escaped {
          escaped = false
        } else if byte == UInt8(ascii: "\\") {
          escaped = true
        } else if byte == UInt8(ascii: "\"") {
          inString = false
        }
      } else if byte == UInt8(ascii: "\"") {
        inString = true
      } else {
        body(place)
      }
    }
  }

  /// The deepest nesting of brackets outside strings.
  private static func nesting(of bytes: [UInt8]) -> Int {
    var depth = 0, deepest = 0
    walk(bytes) { place in
      switch bytes[place] {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        deepest = max(deepest, depth)
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      default: break
      }
    }
    return deepest
  }

  private static func reason(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    let context: DecodingError.Context
    switch error {
    case .typeMismatch(_, let c), .valueNotFound(_, let c), .keyNotFound(_, let c), .dataCorrupted(let c): context = c
    @unknown default: return "\(error)"
    }
    let place = context.codingPath.map(\.stringValue).joined(separator: ".")
    return (place.isEmpty ? "" : "\(place.prefix(200)): ") + context.debugDescription
      + (context.underlyingError.map { " (\($0))" } ?? "")
  }

  // MARK: Keys

  func has(_ key: String) -> Bool { values[key].map { $0 != .null } ?? false }

  func integer(_ key: String, default fallback: Int?, in range: ClosedRange<Int>) throws -> Int {
    guard has(key), let value = values[key] else { return try required(key, fallback) }
    return try integer(value, key, range)
  }

  func number(_ key: String, default fallback: Double?, in range: ClosedRange<Double>) throws -> Double {
    guard has(key), let value = values[key] else { return try required(key, fallback) }
    let number: Double
    switch value {
    case .integer(let integer): number = Double(integer)
    case .number(let double): number = double
    default: throw mismatch(key, value, "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    guard range.contains(number) else {
      throw mismatch(key, value, "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  func bool(_ key: String, default fallback: Bool) throws -> Bool {
    guard has(key), let value = values[key] else { return fallback }
    guard case .bool(let bool) = value else { throw mismatch(key, value, "true or false") }
    return bool
  }

  func string(_ key: String, default fallback: String?) throws -> String {
    guard has(key), let value = values[key] else { return try required(key, fallback) }
    guard case .string(let string) = value else { throw mismatch(key, value, "a text") }
    return string
  }

  func strings(_ key: String, default fallback: [String], count: ClosedRange<Int>) throws -> [String] {
    guard has(key), let value = values[key] else { return fallback }
    guard case .array(let array) = value, count.contains(array.count) else {
      throw mismatch(key, value, "a list of \(count.lowerBound) to \(count.upperBound) names")
    }
    return try array.map { item in
      guard case .string(let string) = item else { throw mismatch(key, value, "a list of names") }
      return string
    }
  }

  /// A list of integers, or one integer that stands for a list of `repeated` of them.
  func integers(
    _ key: String, default fallback: [Int], in range: ClosedRange<Int>, count: ClosedRange<Int>, repeated: Int? = nil
  ) throws
    -> [Int]
  {
    guard has(key), let value = values[key] else { return fallback }
    if let repeated, case .integer = value { return Array(repeating: try integer(value, key, range), count: repeated) }
    guard case .array(let array) = value, count.contains(array.count) else {
      let length = count.count == 1 ? "\(count.lowerBound)" : "\(count.lowerBound) to \(count.upperBound)"
      throw mismatch(key, value, "a list of \(length) integers")
    }
    return try array.map { try integer($0, key, range) }
  }

  func numbers(_ key: String, default fallback: [Double], in range: ClosedRange<Double>) throws -> [Double] {
    guard has(key), let value = values[key] else { return fallback }
    guard case .array(let array) = value, array.count == fallback.count else {
      throw mismatch(key, value, "a list of \(fallback.count) numbers")
    }
    return try array.map {
      try JSONObject(path: path, values: [key: $0]).number(key, default: nil, in: range)
    }
  }

  private func integer(_ value: JSONValue, _ key: String, _ range: ClosedRange<Int>) throws -> Int {
    guard case .integer(let integer) = value, range.contains(integer) else {
      throw mismatch(key, value, "an integer from \(range.lowerBound) to \(range.upperBound)")
    }
    return integer
  }

  private func required<Value>(_ key: String, _ fallback: Value?) throws -> Value {
    guard let fallback else { throw ModelError(.badData, "\(path): \(key) is missing") }
    return fallback
  }

  func mismatch(_ key: String, _ value: JSONValue, _ want: String) -> ModelError {
    ModelError(.badData, "\(path): \(key) is \(value.text); it must be \(want)")
  }

  // MARK: What is not implemented

  /// - Throws: `.unsupported` unless `key` is absent, null or one of `allowed`.
  func refuse(_ key: String, unless allowed: JSONValue..., what: String) throws {
    guard has(key), let value = values[key], !allowed.contains(value) else { return }
    throw ModelError(.unsupported, "\(path): \(key) is \(value.text); \(what)")
  }
}

/// The bytes of a small file.
func fileBytes(_ path: String, limit: Int) throws -> [UInt8] {
  let file: RandomAccessFile
  do { file = try RandomAccessFile(path: path) } catch { throw ModelError(.notFound, "\(error)") }
  guard file.byteCount <= limit else {
    throw ModelError(.badData, "\(path) has \(file.byteCount) bytes, more than the \(limit) that such a file may have")
  }
  return try file.bytes(0..<file.byteCount)
}
