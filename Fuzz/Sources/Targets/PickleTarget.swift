import StableDiffusion

/// The pickle of a file of torch.save, in an archive with two storages.
struct PickleTarget: FuzzTarget {
  static let name = "pickle"
  static let maximumLength = 4096
  let scratch: ScratchFolder

  func run(_ input: [UInt8]) throws {
    let path = try scratch.file(
      "weights.bin",
      Self.archive([
        ("a/data.pkl", input), ("a/data/0", [UInt8](repeating: 1, count: 64)),
        ("a/data/1", [UInt8](repeating: 2, count: 16)),
      ]))
    guard let file = try? PyTorchFile(path: path) else { return }
    WeightReading.readEverything(of: file)
    WeightReading.inspect(path)
  }

  /// A zip archive of entries that are stored as they are.
  static func archive(_ entries: [(name: String, bytes: [UInt8])]) -> [UInt8] {
    var archive: [UInt8] = []
    var directory: [UInt8] = []
    for (name, bytes) in entries {
      let size = [UInt8](littleEndian: bytes.count, count: 4)
      let length = [UInt8](littleEndian: name.utf8.count, count: 2)
      directory += [0x50, 0x4b, 1, 2] + [UInt8](repeating: 0, count: 16) + size + size + length
      directory += [UInt8](repeating: 0, count: 12) + [UInt8](littleEndian: archive.count, count: 4) + name.utf8
      archive +=
        [0x50, 0x4b, 3, 4] + [UInt8](repeating: 0, count: 14) + size + size + length + [0, 0] + name.utf8 + bytes
    }
    let count = [UInt8](littleEndian: entries.count, count: 2)
    return archive + directory + [0x50, 0x4b, 5, 6, 0, 0, 0, 0] + count + count
      + [UInt8](littleEndian: directory.count, count: 4) + [UInt8](littleEndian: archive.count, count: 4) + [0, 0]
  }
}
