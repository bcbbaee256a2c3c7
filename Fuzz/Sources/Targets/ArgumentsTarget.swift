@testable import FateZeroCommand

/// Arguments of `fatezero edit`, with zero bytes between.
struct ArgumentsTarget: FuzzTarget {
  static let name = "arguments"
  static let maximumLength = 1024
  /// To open Toy World for each input would take most of the time.
  private let checkpoints = CheckpointStore()

  init(scratch: ScratchFolder) {}

  func run(_ input: [UInt8]) throws {
    let arguments = input.parts(atMost: 40).map(\.text)
    guard let options = try? EditOptions.parse(["--model", ToyWorld.path] + arguments) else { return }
    // Each variant's name would be kept as another checkpoint.
    let store = options.variant == nil ? checkpoints : CheckpointStore()
    guard let job = try? EditJob(options, checkpoints: store) else { return }
    for index in job.edits.indices { _ = job.metadata(edit: index) }
    guard let output = job.output, !output.utf8.contains(UInt8(ascii: "/")) else { return }
    for name in (try? OutputName.names(output, edits: job.edits.map(\.edit))) ?? [] {
      try promise(!name.utf8.contains(UInt8(ascii: "/")), "the output \(output) has become \(name.debugDescription)")
    }
  }
}
