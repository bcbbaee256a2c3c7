import Testing

@testable import Tensors

/// A repeatable source of numbers (SplitMix64; Steele, Lea and Flood 2014).
struct Numbers: RandomNumberGenerator {
  var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// Uniform in -1 ... 1 times `scale`.
  mutating func tensor(_ shape: [Int], scale: Float = 1) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { _ in Float.random(in: -scale...scale, using: &self) }, shape: shape)
  }
}

/// The engines with the thread counts that every operator is tested with.
struct Configuration: Sendable, CustomTestStringConvertible {
  var engine: Device.Engine
  var threads: Int

  static let all = Device.Engine.allCases.flatMap { engine in [1, 2].map { Configuration(engine: engine, threads: $0) }
  }

  var testDescription: String { "\(engine.rawValue), \(threads) threads" }
  func device() throws -> Device { try Device(engine: engine, threads: threads) }
}

/// Expects `tensor` to have the given shape and to differ from the plainly computed numbers by no more than
/// `tolerance` times the largest of them (at least 1); prints the largest difference.
func expectClose(
  _ tensor: Tensor, _ expected: [Double], shape: [Int], tolerance: Double = 2e-6, _ what: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(tensor.shape == shape, sourceLocation: sourceLocation)
  let numbers = tensor.floats
  guard numbers.count == expected.count else {
    Issue.record("\(what): \(numbers.count) numbers, not \(expected.count)", sourceLocation: sourceLocation)
    return
  }
  var difference = 0.0
  var magnitude = 1.0
  for (number, reference) in zip(numbers, expected) {
    // Written so that not-a-number counts as different.
    let distance = abs(Double(number) - reference)
    difference = distance <= difference ? difference : distance
    magnitude = max(magnitude, abs(reference))
  }
  print("\(what) \(shape): largest difference \(difference / magnitude) of the largest number")
  #expect(difference <= tolerance * magnitude, "\(what) \(shape)", sourceLocation: sourceLocation)
}

extension Tensor {
  var doubles: [Double] { floats.map(Double.init) }
}
