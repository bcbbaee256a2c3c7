import StableDiffusion
import Tensors

/// A safetensors file: its header, a zero byte, its numbers. The header's length is put right, and so is the digest in place
/// of the word SEAL, since no fuzzer guesses either. An input that begins with a zero byte is the file itself.
struct SafetensorsTarget: FuzzTarget {
  static let name = "safetensors"
  static let maximumLength = 4096
  let scratch: ScratchFolder

  func run(_ input: [UInt8]) throws {
    let path = try scratch.file("weights.safetensors", input.first == 0 ? Array(input.dropFirst()) : Self.file(input))
    guard let file = try? SafetensorsFile(path: path) else { return }
    _ = file.isIntact
    WeightReading.readEverything(of: file)
    WeightReading.inspect(path)
  }

  static func file(_ input: [UInt8]) -> [UInt8] {
    let parts = input.parts(atMost: 2)
    let numbers = parts.count > 1 ? parts[1] : []
    var header = parts[0]
    if let seal = header.firstRange(of: "SEAL".utf8) {
      let digest = ContentDigest()
      digest.add(numbers)
      header.replaceSubrange(seal, with: digest.text.utf8)
    }
    return [UInt8](littleEndian: header.count, count: 8) + header + numbers
  }
}
