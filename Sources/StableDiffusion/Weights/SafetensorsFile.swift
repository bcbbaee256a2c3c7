import Tensors

/// A safetensors file (https://huggingface.co/docs/safetensors): eight bytes of header length, a JSON
/// header, the numbers. As the format's own library does, every byte behind the header must belong to exactly one
/// tensor.
public final class SafetensorsFile: WeightFile {
  /// Longest header that is read. That of Stable Diffusion's UNet has 100 kB.
  static let headerLimit = 16 << 20

  public let path: String
  private let file: RandomAccessFile
  private let entries: [String: Entry]
  /// `__metadata__` of the header.
  public let metadata: [String: String]
  private let dataOffset: Int

  private struct Entry {
    let format: NumberFormat
    let shape: [Int]
    let byteOffset: Int
  }

  /// - Throws: `ModelError` where the file is absent or its header is not sound.
  public init(path: String) throws {
    self.path = path
    file = try openWeights(path)
    if try ZipArchive.begins(file) {
      throw ModelError(.badData, "\(path) is a file of torch.save under another name; rename it to .ckpt, .bin or .pt")
    }
    guard file.byteCount >= 8, let length = try Int(exactly: file.bytes(0..<8).littleEndian),
      length <= file.byteCount - 8
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
    let header = try JSONObject.decode(Header.self, from: try file.bytes(8..<8 + length), path: "the header of \(path)")
    metadata = header.metadata
    dataOffset = 8 + length
    entries = try Self.validated(header.tensors, dataOffset: 8 + length, byteCount: file.byteCount, path: path)
    names = entries.keys.sorted()
  }

  public let names: [String]
  public func shape(of name: String) -> [Int]? { entries[name]?.shape }
  public func format(of name: String) -> NumberFormat? { entries[name]?.format }

  /// Whether the numbers are those that `SafetensorsWriter` sealed; nil where it did not.
  public var isIntact: Bool? {
    metadata[SafetensorsWriter.sealKey].map { seal in
      let digest = ContentDigest()
      do { try digest.add(file, dataOffset..<file.byteCount) } catch { return false }
      return digest.text == seal
    }
  }

  public func checkUnchanged() throws { try checkUnchangedWeights(file) }

  public func stored(_ name: String) throws -> StoredTensor {
    guard let entry = entries[name] else { throw missing(name) }
    return try StoredTensor(file, byteOffset: entry.byteOffset, shape: entry.shape, format: entry.format)
  }

  // MARK: Header

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
      guard let format = NumberFormat(rawValue: description.dtype) else {
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
      guard offsets[1] - offsets[0] == count * format.byteCount else {
        throw ModelError(
          .badData,
          """
          \(path): \(name) has \(offsets[1] - offsets[0]) bytes, but \(description.shape) of \(format.rawValue) needs \
          \(count * format.byteCount)
          """)
      }
      entries[name] = Entry(format: format, shape: description.shape, byteOffset: dataOffset + offsets[0])
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

/// Opens a file of weights, or says why that cannot be one.
func openWeights(_ path: String) throws -> RandomAccessFile {
  let file: RandomAccessFile
  do { file = try RandomAccessFile(path: path) } catch { throw ModelError(.notFound, "\(error)") }
  func begins(with text: String) throws -> Bool {
    try file.byteCount >= text.utf8.count && file.bytes(0..<text.utf8.count) == Array(text.utf8)
  }
  if try begins(with: "version https://git-lfs") {
    throw ModelError(
      .badData, "\(path) is a git-lfs pointer, not the weights; run `git lfs pull` in that folder or download the file")
  }
  if try begins(with: "GGUF") {
    throw ModelError(
      .unsupported,
      "\(path) is a GGUF file, whose weights are quantised in blocks; that is not read, use the safetensors file of this model"
    )
  }
  return file
}

func checkUnchangedWeights(_ file: RandomAccessFile) throws {
  do { try file.checkUnchanged() } catch { throw ModelError(.badData, "\(error)") }
}

extension Collection<UInt8> {
  /// The bytes (at most eight) as an unsigned number, least significant first.
  var littleEndian: UInt64 { reversed().reduce(0) { $0 << 8 | UInt64($1) } }
}
