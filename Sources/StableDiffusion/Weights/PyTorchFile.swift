import Tensors
import Text

/// A `.bin` file as `torch.save` has written them since PyTorch 1.6: a zip archive of raw numbers beside a pickle that
/// names them. The pickle is read by `PickleReader`, which runs no code.
public final class PyTorchFile: WeightFile {
  public let path: String
  private let file: MappedFile
  private let entries: [String: Entry]

  private struct Entry {
    let type: StorageType
    let shape: [Int]
    let strides: [Int]
    /// In elements, from the start of the storage.
    let offset: Int
    /// Where the storage lies in the file.
    let storage: Range<Int>
  }

  private struct StorageType {
    let name: String
    let byteCount: Int
    let elementType: ElementType?
  }

  private static let storageTypes: [String: StorageType] = [
    "FloatStorage": StorageType(name: "F32", byteCount: 4, elementType: .float32),
    "HalfStorage": StorageType(name: "F16", byteCount: 2, elementType: .float16),
    "BFloat16Storage": StorageType(name: "BF16", byteCount: 2, elementType: .bfloat16),
    "DoubleStorage": StorageType(name: "F64", byteCount: 8, elementType: nil),
    "LongStorage": StorageType(name: "I64", byteCount: 8, elementType: nil),
    "IntStorage": StorageType(name: "I32", byteCount: 4, elementType: nil),
    "ShortStorage": StorageType(name: "I16", byteCount: 2, elementType: nil),
    "CharStorage": StorageType(name: "I8", byteCount: 1, elementType: nil),
    "ByteStorage": StorageType(name: "U8", byteCount: 1, elementType: nil),
    "BoolStorage": StorageType(name: "BOOL", byteCount: 1, elementType: nil),
  ]

  /// - Throws: `ModelError` where the file is absent, damaged, or wants more than plain tensors.
  public init(path: String) throws {
    self.path = path
    file = try openWeights(path)
    guard ZipArchive.begins(file) else { throw Self.notAnArchive(file) }
    let archive = try ZipArchive(file)
    let pickles = archive.entries.keys.filter { $0.ends(with: "/data.pkl") && $0.pieces(at: "/").count == 2 }
    guard pickles.count == 1, let pickle = pickles.first else {
      throw ModelError(.badData, "\(path) is a zip archive, but not one of torch.save: it has no single data.pkl")
    }
    let folder = pickle.dropLast("data.pkl".count)
    if archive.entries[folder + "byteorder"] != nil {
      let order = String(decoding: file.bytes(try archive.range(of: folder + "byteorder")).prefix(16), as: UTF8.self)
      guard order == "little" else {
        throw ModelError(.unsupported, "\(path) has the byte order \"\(order)\"; only little is read")
      }
    }
    let range = try archive.range(of: pickle)
    guard range.count <= PickleReader.byteLimit else {
      throw ModelError(
        .badData, "\(path) has a pickle of \(range.count) bytes; at most \(PickleReader.byteLimit) are read")
    }
    let tensors = try PickleReader.tensors(in: file.bytes(range), path: path)
    entries = try tensors.reduce(into: [:]) { entries, tensor in
      entries[tensor.key] = try Self.entry(tensor.key, tensor.value, archive: archive, folder: String(folder))
    }
  }

  public var names: [String] { entries.keys.sorted() }
  public func shape(of name: String) -> [Int]? { entries[name]?.shape }
  public func elementType(of name: String) -> ElementType? { entries[name]?.type.elementType }
  public func typeName(of name: String) -> String? { entries[name]?.type.name }

  public func releasePages() { file.releasePages() }
  public func checkUnchanged() throws { try checkUnchangedWeights(file) }

  public func tensor(_ name: String) throws -> Tensor {
    guard let entry = entries[name] else { throw ModelError(.badData, "\(path) has no tensor \(name)") }
    guard let type = entry.type.elementType else {
      throw ModelError(
        .badData, "\(name) in \(path) holds \(entry.type.name), not floating-point numbers of 16 or 32 bits")
    }
    if Self.isContiguous(entry.shape, entry.strides) {
      return try Tensor(
        mapping: file, byteOffset: entry.storage.lowerBound + entry.offset * type.byteCount, shape: entry.shape,
        elementType: type)
    }
    // A transposed or channels-last view, as training code may leave it: brought into row-major order.
    let stored = try Tensor(
      mapping: file, byteOffset: entry.storage.lowerBound, shape: [entry.storage.count / type.byteCount],
      elementType: type
    ).floats
    var index = Array(repeating: 0, count: entry.shape.count)
    var place = entry.offset
    let values = (0..<entry.shape.reduce(1, *)).map { _ in
      let value = stored[place]
      for axis in entry.shape.indices.reversed() {
        index[axis] += 1
        place += entry.strides[axis]
        guard index[axis] == entry.shape[axis] else { break }
        place -= entry.strides[axis] * entry.shape[axis]
        index[axis] = 0
      }
      return value
    }
    return try Tensor(values, shape: entry.shape)
  }

  private static func isContiguous(_ shape: [Int], _ strides: [Int]) -> Bool {
    guard !shape.contains(0) else { return true }
    var expected = 1
    for (extent, stride) in zip(shape, strides).reversed() {
      guard extent == 1 || stride == expected else { return false }
      expected *= extent
    }
    return true
  }

  /// Checks that a tensor lies within its storage, and the storage within the file.
  private static func entry(
    _ name: String, _ tensor: PickleReader.TensorDescription, archive: ZipArchive, folder: String
  ) throws -> Entry {
    let path = archive.file.path
    guard let type = storageTypes[tensor.storage.type] else {
      throw ModelError(.unsupported, "\(path): \(name) has the unknown type \(tensor.storage.type)")
    }
    let storage = try archive.range(of: folder + "data/" + tensor.storage.key)
    guard tensor.storage.count == storage.count / type.byteCount, storage.count % type.byteCount == 0 else {
      throw ModelError(
        .badData,
        "\(path) is damaged: the numbers of \(name) have \(storage.count) bytes, not \(tensor.storage.count) "
          + "\(type.name)"
      )
    }
    let damaged = ModelError(
      .badData, "\(path) is damaged: \(name) \(tensor.shape) reaches past its \(tensor.storage.count) numbers")
    // More elements than stored would be a view that repeats numbers (`expand`), which no checkpoint needs.
    guard let count = Tensor.count(of: tensor.shape), count <= tensor.storage.count,
      tensor.offset <= tensor.storage.count
    else {
      throw damaged
    }
    var last = tensor.offset
    for (extent, stride) in zip(tensor.shape, tensor.strides) where count > 0 {
      let (step, overflow) = (extent - 1).multipliedReportingOverflow(by: stride)
      guard !overflow, step < tensor.storage.count else { throw damaged }
      last += step
    }
    guard count == 0 || last < tensor.storage.count else { throw damaged }
    return Entry(type: type, shape: tensor.shape, strides: tensor.strides, offset: tensor.offset, storage: storage)
  }

  private static func notAnArchive(_ file: MappedFile) -> ModelError {
    // torch.save before 1.6 begins with this pickled number.
    let magic: [UInt8] = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]
    if file.byteCount >= magic.count, file.bytes(0..<magic.count) == magic {
      return ModelError(
        .unsupported,
        "\(file.path) has the format of PyTorch before 1.6, which is not read; save it again with today's "
          + "torch.save, or as safetensors"
      )
    }
    if file.byteCount > 8, file.bytes(8..<9) == [UInt8(ascii: "{")] {
      return ModelError(.badData, "\(file.path) is a safetensors file under another name; rename it to .safetensors")
    }
    return ModelError(.badData, "\(file.path) is not a file of torch.save: it is not a zip archive; download it again")
  }
}
