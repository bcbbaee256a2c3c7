import Files
import StableDiffusion
import Tensors

/// A safetensors file that this program wrote, with the digest of its numbers.
struct SealedFile {
  typealias Entry = (name: String, shape: [Int], values: SafetensorsWriter.Values)

  let tensors: SafetensorsFile

  /// - Throws: `ModelError` where the file is absent or its numbers are not those that were written.
  init(path: String) throws {
    tensors = try SafetensorsFile(path: path)
    guard tensors.isIntact == true else { throw damaged }
  }

  var damaged: ModelError {
    ModelError(.badData, "\(tensors.path) is damaged: its numbers are not those that were written")
  }

  /// Tensors of one shape, one behind the other.
  static func entry(_ name: String, _ parts: [Tensor]) -> Entry {
    (name, [parts.count] + (parts.first?.shape ?? []), .tensors(parts))
  }

  /// What `entry` was made of, in memory of its own.
  /// - Parameter shape: Of all parts together.
  /// - Throws: `ModelError` where there is another shape.
  func parts(_ name: String, _ shape: [Int]) throws -> [Tensor] {
    let stored = try tensors.stored(name)
    guard stored.shape == shape, stored.format == .float32 else { throw damaged }
    return try (0..<shape[0]).map { try stored.rows($0..<$0 + 1).reshaped(Array(shape.dropFirst())).read() }
  }

  /// Writes a file of the folder.
  /// - Throws: `ModelError` where it cannot be written.
  static func write(
    _ name: String, in folder: ClaimedFolder, _ entries: [Entry], metadata: [String: String] = [:]
  ) throws {
    // Processes on several machines may share the folder, and a number.
    let draft = "\(name).\(UInt64.random(in: 0 ... .max)).partial"
    do {
      try folder.claim(name)
      try folder.claim(draft)
    } catch { throw ModelError(.badData, "cannot write \(folder.path)/\(name): \(error)") }
    defer { folder.release([draft]) }
    try SafetensorsWriter.write(
      "\(folder.path)/\(name)", tensors: entries, metadata: metadata, isSealed: true,
      temporary: "\(folder.path)/\(draft)")
  }
}
