import StableDiffusion

/// A file of torch.save, byte for byte.
struct ZipTarget: FuzzTarget {
  static let name = "zip"
  static let maximumLength = 4096
  let scratch: ScratchFolder

  func run(_ input: [UInt8]) throws {
    guard let file = try? PyTorchFile(path: scratch.file("weights.bin", input)) else { return }
    WeightReading.readEverything(of: file)
  }
}
