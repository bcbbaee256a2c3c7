import FateZero

/// The size of a clip (two bytes for each side), its frames (two bytes), and settings as those of `settings`: what they
/// decide and cost.
struct PlanTarget: FuzzTarget {
  static let name = "plan"
  static let maximumLength = 1024
  private let world: ToyWorld

  init(scratch: ScratchFolder) throws { world = try ToyWorld() }

  /// Settings that open files.
  private static let files: Set = ["model", "unet", "vae", "lora", "embedding", "record-dir"]

  func run(_ input: [UInt8]) throws {
    guard input.count > 6 else { return }
    let layer = SettingsTarget.layer(Array(input.dropFirst(6))).filter { !Self.files.contains($0.name) }
    let frameSize = FrameSize(
      width: Int(input[0]) << (Int(input[1]) % 9) | 1, height: Int(input[2]) << (Int(input[3]) % 9) | 1)
    let frames = input[4] == 0 ? nil : Int(input[4]) << (Int(input[5]) % 40)
    guard let plan = try? world.plan(layer, frameSize: frameSize) else { return }
    let fitted = plan.fitted(frames: frames, limit: 1 << 30)
    try? fitted.checkMemory(frames: frames, limit: 1 << 30)
    try promise(plan.peakBytes(frames: frames) >= 0, "less than no memory")
    try promise(plan.operations(frames: frames ?? 8) >= 0, "less than no work")
  }
}
