import Glibc
import Tensors

/// Writes tensors as a safetensors file: beside the final name first, then renamed.
public enum SafetensorsWriter {
  /// Numbers in row-major order.
  public enum Values: Sendable {
    case float32([Float])
    case int64([Int64])
    case uint8([UInt8])
    /// As they are stored, of one type, one behind the other.
    case tensors([Tensor])

    var count: Int {
      switch self {
      case .float32(let values): values.count
      case .int64(let values): values.count
      case .uint8(let values): values.count
      case .tensors(let tensors): tensors.reduce(0) { $0 + $1.count }
      }
    }
    var typeName: String {
      switch self {
      case .float32: "F32"
      case .int64: "I64"
      case .uint8: "U8"
      case .tensors(let tensors): Self.typeName(of: tensors.first?.elementType ?? .float32)
      }
    }
    private static func typeName(of type: ElementType) -> String {
      switch type {
      case .float32: "F32"
      case .float16: "F16"
      case .bfloat16: "BF16"
      }
    }
    var byteCount: Int {
      switch self {
      case .float32: count * 4
      case .int64: count * 8
      case .uint8: count
      case .tensors(let tensors): tensors.reduce(0) { $0 + $1.byteCount }
      }
    }

    func add(to digest: ContentDigest) {
      switch self {
      case .float32(let values): digest.add(values)
      case .int64(let values): digest.add(values)
      case .uint8(let values): digest.add(values)
      case .tensors(let tensors): tensors.forEach(digest.add)
      }
    }

    func write(to file: UnsafeMutablePointer<FILE>) -> Bool {
      switch self {
      case .float32(let values): fwrite(values, 4, values.count, file) == values.count
      case .int64(let values): fwrite(values, 8, values.count, file) == values.count
      case .uint8(let values): fwrite(values, 1, values.count, file) == values.count
      case .tensors(let tensors): tensors.allSatisfy { $0.write(to: file) }
      }
    }
  }

  /// - Parameters:
  ///   - metadata: For the header's `__metadata__`.
  ///   - isSealed: Whether a digest of the numbers goes with them, for `SafetensorsFile.isIntact`; such a file is for its user
  ///     alone.
  ///   - temporary: Path of the file until it is complete, where it is to have one that is known.
  /// - Throws: `ModelError` naming the path where the shapes do not fit or the system cannot write; nothing is left
  ///   behind.
  public static func write(
    _ path: String, tensors: [(name: String, shape: [Int], values: Values)], metadata: [String: String] = [:],
    isSealed: Bool = false, temporary: String? = nil
  ) throws {
    var metadata = metadata
    if isSealed {
      let digest = ContentDigest()
      for (_, _, values) in tensors { values.add(to: digest) }
      metadata[sealKey] = digest.text
    }
    var header = "{"
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
      header += "\"__metadata__\":{\(pairs.joined(separator: ","))}"
    }
    var offset = 0
    for (name, shape, values) in tensors {
      guard shape.reduce(1, *) == values.count else {
        throw ModelError(.badData, "cannot write \(path): \(name) has \(values.count) values for the shape \(shape)")
      }
      let shapeText = shape.map(String.init).joined(separator: ",")
      header += header.utf8.count > 1 ? "," : ""
      header += "\(quoted(name)):{\"dtype\":\"\(values.typeName)\",\"shape\":[\(shapeText)],"
      header += "\"data_offsets\":[\(offset),\(offset + values.byteCount)]}"
      offset += values.byteCount
    }
    header += "}"
    // The numbers begin at a multiple of eight bytes, as the format recommends.
    header += String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
    let bytes = Array(header.utf8)
    let length = (0..<8).map { UInt8(truncatingIfNeeded: bytes.count >> ($0 * 8)) }

    // Processes on several machines may share the folder, and a number.
    let temporary = temporary ?? "\(path).\(UInt64.random(in: 0 ... .max)).partial"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, isSealed ? 0o600 : 0o666)
    guard descriptor >= 0, let file = fdopen(descriptor, "wb") else { throw failure(path) }
    var written = fwrite(length, 1, 8, file) == 8 && fwrite(bytes, 1, bytes.count, file) == bytes.count
    for (_, _, values) in tensors where written {
      written = values.write(to: file)
    }
    let reason = errno
    let closed = fclose(file) == 0
    guard written && closed else {
      if !written { errno = reason }
      let error = failure(path)
      unlink(temporary)
      throw error
    }
    guard rename(temporary, path) == 0 else {
      let error = failure(path)
      unlink(temporary)
      throw error
    }
  }

  /// Under this name the header holds the digest of the numbers.
  static let sealKey = "xxh3-128"

  private static func failure(_ path: String) -> ModelError {
    ModelError(.badData, "cannot write \(path): \(String(cString: strerror(errno)))")
  }

  private static func quoted(_ name: String) -> String {
    var text = "\""
    for scalar in name.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
