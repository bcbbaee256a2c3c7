import Tensors

/// A memory-mapped safetensors file (https://huggingface.co/docs/safetensors): eight bytes of header length, a JSON
/// header, the numbers. As the format's own library does, every byte behind the header must belong to exactly one
/// tensor.
public final class SafetensorsFile: WeightFile {
  /// Longest header that is read. That of Stable Diffusion's UNet has 100 kB.
  static let headerLimit = 16 << 20

  public let path: String
  private let file: MappedFile
  private let entries: [String: Entry]
  /// `__metadata__` of the header.
  public let metadata: [String: String]
  private let dataOffset: Int

  private struct Entry {
    let type: StoredType
    let shape: [Int]
    let byteOffset: Int
  }

  /// - Throws: `ModelError` where the file is absent or its header is not sound.
  public init(path: String) throws {
    self.path = path
    file = try openWeights(path)
    if ZipArchive.begins(file) {
      throw ModelError(.badData, "\(path) is a file of torch.save under another name; rename it to .ckpt, .bin or .pt")
    }
    guard file.byteCount >= 8, let length = Int(exactly: file.bytes(0..<8).littleEndian), length <= file.byteCount - 8
    else {
      throw ModelError(
        .badData,
        "\(path) is not a safetensors file, or truncated: its header reaches past its \(file.byteCount) bytes; "
          + "download it again"
      )
    }
    guard length <= Self.headerLimit else {
      throw ModelError(.badData, "\(path) has a header of \(length) bytes; at most \(Self.headerLimit) are read")
    }
    let header = try JSONObject.decode(Header.self, from: file.bytes(8..<8 + length), path: "the header of \(path)")
    metadata = header.metadata
    dataOffset = 8 + length
    entries = try Self.validated(header.tensors, dataOffset: 8 + length, byteCount: file.byteCount, path: path)
  }

  public var names: [String] { entries.keys.sorted() }
  public func shape(of name: String) -> [Int]? { entries[name]?.shape }
  public func elementType(of name: String) -> ElementType? { entries[name]?.type.elementType }
  public func typeName(of name: String) -> String? { entries[name]?.type.rawValue }

  /// Whether the numbers are those that `SafetensorsWriter` sealed; nil where it did not.
  public var isIntact: Bool? {
    metadata[SafetensorsWriter.sealKey].map { seal in
      let digest = ContentDigest()
      digest.add(file, dataOffset..<file.byteCount)
      return digest.text == seal
    }
  }

  public func releasePages() { file.releasePages() }
  public func checkUnchanged() throws { try checkUnchangedWeights(file) }

  public func tensor(_ name: String) throws -> Tensor {
    guard let entry = entries[name] else { throw ModelError(.badData, "\(path) has no tensor \(name)") }
    guard let type = entry.type.elementType else {
      throw ModelError(
        .badData, "\(name) in \(path) holds \(entry.type.rawValue), not floating-point numbers of 16 or 32 bits")
    }
    return try Tensor(mapping: file, byteOffset: entry.byteOffset, shape: entry.shape, elementType: type)
  }

  public func leadingBytes(of name: String, count: Int) throws -> [UInt8] {
    guard let entry = entries[name], let numbers = Tensor.count(of: entry.shape),
      count <= numbers * entry.type.byteCount
    else { throw ModelError(.badData, "\(path) has no \(count) bytes of a tensor \(name)") }
    return Array(file.bytes(entry.byteOffset..<entry.byteOffset + count))
  }

  // MARK: Header

  /// The element types of the format.
  private enum StoredType: String {
    case bool = "BOOL", u8 = "U8", i8 = "I8", f8e5m2 = "F8_E5M2", f8e4m3 = "F8_E4M3"
    case i16 = "I16", u16 = "U16", f16 = "F16", bf16 = "BF16"
    case i32 = "I32", u32 = "U32", f32 = "F32"
    case f64 = "F64", i64 = "I64", u64 = "U64"

    var byteCount: Int {
      switch self {
      case .bool, .u8, .i8, .f8e5m2, .f8e4m3: 1
      case .i16, .u16, .f16, .bf16: 2
      case .i32, .u32, .f32: 4
      case .f64, .i64, .u64: 8
      }
    }

    var elementType: ElementType? {
      switch self {
      case .f32: .float32
      case .f16: .float16
      case .bf16: .bfloat16
      default: nil
      }
    }
  }

  /// The header as JSON.
  private struct Header: Decodable {
    struct Description: Decodable {
      let dtype: String
      let shape: [Int]
      let offsets: [Int]

      enum CodingKeys: String, CodingKey {
        case dtype, shape
        case offsets = "data_offsets"
      }
    }

    struct Key: CodingKey {
      let stringValue: String
      var intValue: Int? { nil }
      init(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }

    let metadata: [String: String]
    let tensors: [(name: String, description: Description)]

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: Key.self)
      let key = Key(stringValue: "__metadata__")
      // Other values than texts are against the format, and of no use here.
      metadata = (try? container.decodeIfPresent([String: String].self, forKey: key)) ?? [:]
      tensors = try container.allKeys.filter { $0.stringValue != key.stringValue }.map {
        ($0.stringValue, try container.decode(Description.self, forKey: $0))
      }
    }
  }

  private static func validated(
    _ tensors: [(name: String, description: Header.Description)], dataOffset: Int, byteCount: Int, path: String
  ) throws -> [String: Entry] {
    let dataCount = byteCount - dataOffset
    var entries: [String: Entry] = [:]
    var parts: [(begin: Int, end: Int, name: String)] = []
    for (name, description) in tensors {
      guard let type = StoredType(rawValue: description.dtype) else {
        throw ModelError(.unsupported, "\(path): \(name) has the unknown type \"\(description.dtype.prefix(40))\"")
      }
      guard description.shape.count <= 16, let count = Tensor.count(of: description.shape) else {
        throw ModelError(.badData, "\(path): \(name) has the impossible shape \(description.shape.prefix(8))")
      }
      let offsets = description.offsets
      guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1] else {
        throw ModelError(.badData, "\(path): \(name) has the impossible data_offsets \(offsets.prefix(4))")
      }
      guard offsets[1] <= dataCount else {
        throw ModelError(
          .badData,
          "\(path) is truncated or damaged: \(name) ends at byte \(offsets[1]) of \(dataCount); download it again")
      }
      guard offsets[1] - offsets[0] == count * type.byteCount else {
        throw ModelError(
          .badData,
          """
          \(path): \(name) has \(offsets[1] - offsets[0]) bytes, but \(description.shape) of \(type.rawValue) needs \
          \(count * type.byteCount)
          """)
      }
      entries[name] = Entry(type: type, shape: description.shape, byteOffset: dataOffset + offsets[0])
      parts.append((offsets[0], offsets[1], name))
    }
    parts.sort { ($0.begin, $0.end) < ($1.begin, $1.end) }
    var end = 0
    var previous = "the header"
    for part in parts {
      guard part.begin >= end else {
        throw ModelError(
          .badData, "\(path) is damaged: \(previous) and \(part.name) overlap at byte \(part.begin) of the data")
      }
      guard part.begin == end else {
        throw ModelError(.badData, "\(path) is damaged: bytes \(end) to \(part.begin) of the data belong to no tensor")
      }
      end = part.end
      previous = part.name
    }
    guard end == dataCount else {
      throw ModelError(.badData, "\(path) is damaged: \(dataCount - end) bytes at its end belong to no tensor")
    }
    return entries
  }
}

/// Maps a file of weights, or says why that cannot be one.
func openWeights(_ path: String) throws -> MappedFile {
  let file: MappedFile
  do { file = try MappedFile(path: path) } catch { throw ModelError(.notFound, "\(error)") }
  let pointer = Array("version https://git-lfs".utf8)
  if file.byteCount >= pointer.count, file.bytes(0..<pointer.count) == pointer {
    throw ModelError(
      .badData, "\(path) is a git-lfs pointer, not the weights; run `git lfs pull` in that folder or download the file")
  }
  return file
}

func checkUnchangedWeights(_ file: MappedFile) throws {
  do { try file.checkUnchanged() } catch { throw ModelError(.badData, "\(error)") }
}

extension Collection<UInt8> {
  /// The bytes (at most eight) as an unsigned number, least significant first.
  var littleEndian: UInt64 { reversed().reduce(0) { $0 << 8 | UInt64($1) } }
}
