import FoundationEssentials
import Glibc
import StableDiffusion
import Tensors

/// Names and shapes of a checkpoint, a LoRA or a textual inversion, a line each: `NAME|F16|320,320`. All numbers are zero, and
/// lie in a hole of the file, so that it may be as large as real ones are.
struct ShapesTarget: FuzzTarget {
  static let name = "shapes"
  static let maximumLength = 8192
  let scratch: ScratchFolder

  private struct Description: Encodable {
    let type: String
    let shape: [Int]
    let offsets: [Int]

    enum CodingKeys: String, CodingKey {
      case type = "dtype"
      case shape
      case offsets = "data_offsets"
    }
  }

  private static let byteCounts = ["F32": 4, "F16": 2, "BF16": 2, "I64": 8]
  private static let largestFile = 64 << 20

  func run(_ input: [UInt8]) throws {
    var header: [String: Description] = [:]
    var end = 0
    for line in input.split(separator: UInt8(ascii: "\n")).prefix(400) {
      let parts = line.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let (name, type) = (Array(parts[0]).text, Array(parts[1]).text)
      let shape = parts[2].split(separator: UInt8(ascii: ",")).compactMap { Int(Array($0).text) }
      guard let size = Self.byteCounts[type], shape.count <= 16, let count = Tensor.count(of: shape),
        count <= Self.largestFile, end + count * size <= Self.largestFile, header[name] == nil, !name.isEmpty
      else { continue }
      header[name] = Description(type: type, shape: shape, offsets: [end, end + count * size])
      end += count * size
    }
    let bytes = Array(try JSONEncoder().encode(header))
    let path = try scratch.file("shapes.safetensors", [UInt8](littleEndian: bytes.count, count: 8) + bytes)
    truncate(path, 8 + bytes.count + end)
    WeightReading.inspect(path)
    _ = try? Checkpoint(
      path: ToyWorld.path, options: Checkpoint.Options(loras: [Checkpoint.LoRA(path: path, weight: 0.5)]))
    _ = try? Checkpoint(
      path: ToyWorld.path, options: Checkpoint.Options(embeddings: [Checkpoint.Embedding(word: "<x>", path: path)]))
  }
}
