import FoundationEssentials
import Testing

/// The tests' own reader of safetensors: eight bytes of header length, JSON, raw values.
struct TensorFile {
  struct Entry: Decodable {
    let dtype: String
    let shape: [Int]
    let data_offsets: [Int]
  }

  let entries: [String: Entry]
  private let values: Data

  init(_ path: String) throws {
    let file = try Data(contentsOf: URL(filePath: path), options: .mappedIfSafe)
    let length = file.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    let header = try JSONDecoder().decode([String: Header].self, from: file.subdata(in: 8..<8 + length))
    entries = header.compactMapValues(\.entry)
    values = file.subdata(in: (8 + length)..<file.count)
  }

  /// The values of a tensor, whatever their type.
  func numbers(_ name: String) throws -> [Double] {
    let entry = try #require(entries[name], "no tensor \(name)")
    let bytes = raw(entry)
    return switch entry.dtype {
    case "F64": Self.load(bytes, as: UInt64.self) { Double(bitPattern: $0) }
    case "F32": Self.load(bytes, as: UInt32.self) { Double(Float(bitPattern: $0)) }
    case "F16": Self.load(bytes, as: UInt16.self) { Double(Float16(bitPattern: $0)) }
    case "I64": Self.load(bytes, as: UInt64.self) { Double(Int64(bitPattern: $0)) }
    case "I32": Self.load(bytes, as: UInt32.self) { Double(Int32(bitPattern: $0)) }
    case "U8", "BOOL": bytes.map(Double.init)
    default: try #require(nil as [Double]?, "\(name) has type \(entry.dtype)")
    }
  }

  /// The bytes of a tensor.
  func bytes(_ name: String) throws -> Data {
    raw(try #require(entries[name], "no tensor \(name)"))
  }

  private func raw(_ entry: Entry) -> Data {
    values.subdata(in: entry.data_offsets[0]..<entry.data_offsets[1])
  }

  private static func load<Bits: FixedWidthInteger>(
    _ bytes: Data, as: Bits.Type, _ value: (Bits) -> Double
  ) -> [Double] {
    bytes.withUnsafeBytes { buffer in
      stride(from: 0, to: buffer.count, by: MemoryLayout<Bits>.size).map {
        value(Bits(littleEndian: buffer.loadUnaligned(fromByteOffset: $0, as: Bits.self)))
      }
    }
  }

  /// A tensor, or the file's free-form metadata.
  private struct Header: Decodable {
    let entry: Entry?

    init(from decoder: any Decoder) throws {
      entry = try? Entry(from: decoder)
    }
  }
}
