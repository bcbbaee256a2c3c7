import Tensors
import Text

/// A `.bin` file as `torch.save` has written them since PyTorch 1.6: a zip archive of raw numbers beside a pickle that
/// names them. The pickle is read by `PickleReader`, which runs no code.
public final class PyTorchFile: WeightFile {
  public let path: String
  private let file: RandomAccessFile
  private let entries: [String: Entry]

  private struct Entry {
    let format: NumberFormat
    let shape: [Int]
    /// In elements.
    let strides: [Int]
    /// In elements, from the start of the storage.
    let offset: Int
    /// Where the storage lies in the file.
    let storage: Range<Int>
  }

  /// What PyTorch calls the formats: types of storages, and types of numbers for those that have no storage of their own.
  private static let formats: [String: NumberFormat] = [
    "FloatStorage": .float32, "HalfStorage": .float16, "BFloat16Storage": .bfloat16, "DoubleStorage": .float64,
    "LongStorage": .int64, "IntStorage": .int32, "ShortStorage": .int16, "CharStorage": .int8, "ByteStorage": .uint8,
    "BoolStorage": .bool, "float8_e4m3fn": .float8E4M3, "float8_e5m2": .float8E5M2, "uint16": .uint16,
    "uint32": .uint32,
    "uint64": .uint64,
  ]

  /// - Throws: `ModelError` where the file is absent, damaged, or wants more than plain tensors.
  public init(path: String) throws {
    self.path = path
    file = try openWeights(path)
    guard try ZipArchive.begins(file) else { throw try Self.notAnArchive(file) }
    let archive = try ZipArchive(file)
    let pickles = archive.entries.keys.filter { $0.ends(with: "/data.pkl") && $0.pieces(at: "/").count == 2 }
    guard pickles.count == 1, let pickle = pickles.first else {
      throw ModelError(.badData, "\(path) is a zip archive, but not one of torch.save: it has no single data.pkl")
    }
    let folder = pickle.dropLast("data.pkl".count)
    if archive.entries[folder + "byteorder"] != nil {
      let order = String(
        decoding: try file.bytes(try archive.range(of: folder + "byteorder").prefix(16)), as: UTF8.self)
      guard order == "little" else {
        throw ModelError(.unsupported, "\(path) has the byte order \"\(order)\"; only little is read")
      }
    }
    let range = try archive.range(of: pickle)
    guard range.count <= PickleReader.byteLimit else {
      throw ModelError(
        .badData, "\(path) has a pickle of \(range.count) bytes; at most \(PickleReader.byteLimit) are read")
    }
    let tensors = try PickleReader.tensors(in: try file.bytes(range), path: path)
    // Tensors share storages, and the names of those may be long.
    var storages: [Int: Range<Int>] = [:]
    entries = try tensors.reduce(into: [:]) { entries, tensor in
      let storage = tensor.value.storage
      let place = try storages[storage.keyIndex] ?? archive.range(of: "\(folder)data/\(storage.key)")
      storages[storage.keyIndex] = place
      entries[tensor.key] = try Self.entry(tensor.key, tensor.value, storage: place, path: path)
    }
    names = entries.keys.sorted()
  }

  public let names: [String]
  public func shape(of name: String) -> [Int]? { entries[name]?.shape }
  public func format(of name: String) -> NumberFormat? { entries[name]?.format }

  public func checkUnchanged() throws { try checkUnchangedWeights(file) }

  public func stored(_ name: String) throws -> StoredTensor {
    guard let entry = entries[name] else { throw missing(name) }
    do {
      return try StoredTensor(
        file, byteOffset: entry.storage.lowerBound + entry.offset * entry.format.byteCount, shape: entry.shape,
        format: entry.format, strides: entry.strides)
    } catch { throw ModelError(.badData, "\(path) is damaged: \(name.prefix(200)): \(error)") }
  }

  /// Checks that a tensor lies within its storage, and the storage within the file.
  private static func entry(
    _ name: String, _ tensor: PickleReader.TensorDescription, storage: Range<Int>, path: String
  ) throws -> Entry {
    let name = name.prefix(200)
    guard let format = formats[tensor.type ?? tensor.storage.type] else {
      throw ModelError(.unsupported, "\(path): \(name) has the unknown type \(tensor.type ?? tensor.storage.type)")
    }
    // A storage without a type counts bytes.
    let unit = tensor.storage.type == PickleReader.untypedStorage ? 1 : format.byteCount
    guard tensor.storage.count == storage.count / unit, storage.count % format.byteCount == 0 else {
      throw ModelError(
        .badData,
        "\(path) is damaged: the numbers of \(name) have \(storage.count) bytes, not \(tensor.storage.count) "
          + (unit == 1 ? "" : format.rawValue))
    }
    let stored = storage.count / format.byteCount
    let damaged = ModelError(
      .badData, "\(path) is damaged: \(name) \(tensor.shape) reaches past its \(stored) numbers")
    // More elements than stored would be a view that repeats numbers (`expand`), which no checkpoint needs.
    guard let count = Tensor.count(of: tensor.shape), count <= stored,
      tensor.offset <= stored
    else {
      throw damaged
    }
    var last = tensor.offset
    for (extent, stride) in zip(tensor.shape, tensor.strides) where count > 0 {
      let (step, overflow) = (extent - 1).multipliedReportingOverflow(by: stride)
      guard !overflow, step < stored else { throw damaged }
      last += step
    }
    guard count == 0 || last < stored else { throw damaged }
    return Entry(format: format, shape: tensor.shape, strides: tensor.strides, offset: tensor.offset, storage: storage)
  }

  private static func notAnArchive(_ file: RandomAccessFile) throws -> ModelError {
    // torch.save before 1.6 begins with this pickled number.
    let magic: [UInt8] = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]
    if file.byteCount >= magic.count, try file.bytes(0..<magic.count) == magic {
      return ModelError(
        .unsupported,
        "\(file.path) has the format of PyTorch before 1.6, which is not read; save it again with today's "
          + "torch.save, or as safetensors"
      )
    }
    if file.byteCount > 8, try file.bytes(8..<9) == [UInt8(ascii: "{")] {
      return ModelError(.badData, "\(file.path) is a safetensors file under another name; rename it to .safetensors")
    }
    return ModelError(.badData, "\(file.path) is not a file of torch.save: it is not a zip archive; download it again")
  }
}
