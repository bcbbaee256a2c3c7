import Foundation

/// Files that the tests compare with.
public enum Fixtures {
  /// Root of the repository.
  public static let repository = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  public static let folder = repository.appendingPathComponent("Tests/Fixtures")
  public static let oracle = folder.appendingPathComponent("oracle")

  /// A folder of the test's own, removed when `body` is done.
  public static func withTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
  }

  /// A new folder, for the caller to remove.
  public static func temporaryFolder() throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("fatezero-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
  }
}

/// A safetensors file read the plain way, all of it, integers too: independent of the product's own reader.
public struct TensorDump {
  public struct Entry {
    public let shape: [Int]
    public let values: [Double]
    public var floats: [Float] { values.map { Float($0) } }
  }

  public let entries: [String: Entry]

  public init(_ url: URL) throws {
    let data = try Data(contentsOf: url)
    let length = Int(
      data.prefix(8).enumerated().reduce(UInt64(0)) { $0 | UInt64($1.element) << (8 * UInt64($1.offset)) })
    let header = try JSONSerialization.jsonObject(with: data[8..<8 + length]) as? [String: Any] ?? [:]
    var entries: [String: Entry] = [:]
    for (name, value) in header {
      guard name != "__metadata__", let tensor = value as? [String: Any], let shape = tensor["shape"] as? [Int],
        let offsets = tensor["data_offsets"] as? [Int], let type = tensor["dtype"] as? String
      else { continue }
      let bytes = [UInt8](data[8 + length + offsets[0]..<8 + length + offsets[1]])
      entries[name] = Entry(shape: shape, values: TensorDump.decode(bytes, type))
    }
    self.entries = entries
  }

  public subscript(_ name: String) -> Entry {
    get throws {
      guard let entry = entries[name] else { throw MissingTensor(name: name) }
      return entry
    }
  }

  public struct MissingTensor: Error { public let name: String }

  private static func decode(_ bytes: [UInt8], _ type: String) -> [Double] {
    func numbers<T>(_: T.Type, _ convert: (T) -> Double) -> [Double] {
      bytes.withUnsafeBytes { raw in
        (0..<raw.count / MemoryLayout<T>.size).map {
          convert(raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.size, as: T.self))
        }
      }
    }
    switch type {
    case "F64": return numbers(Double.self) { $0 }
    case "F32": return numbers(Float.self) { Double($0) }
    case "F16": return numbers(Float16.self) { Double($0) }
    case "I64": return numbers(Int64.self) { Double($0) }
    case "I32": return numbers(Int32.self) { Double($0) }
    case "U8", "BOOL": return bytes.map(Double.init)
    default: return []
    }
  }
}

/// The largest difference, relative to the largest magnitude of `want`; infinite where the counts differ.
public func relativeDifference(_ have: [Float], _ want: [Double]) -> Double {
  guard have.count == want.count else { return .infinity }
  let largest = want.reduce(0) { max($0, abs($1)) }
  var difference = 0.0
  for (have, want) in zip(have, want) {
    let distance = abs(Double(have) - want)
    // A NaN compares false with everything, and must not pass.
    difference = distance.isNaN ? .infinity : max(difference, distance)
  }
  return largest == 0 ? difference : difference / largest
}
