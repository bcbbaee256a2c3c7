import Glibc
import Testing

@testable import Tensors

@Suite struct NormalisationTests {
  private static func plainGroupNorm(
    _ x: Tensor, groups: Int, frames: Int, weight: Tensor, bias: Tensor, epsilon: Double, silu: Bool
  ) -> [Double] {
    let channels = weight.count
    let rows = x.count / channels / x.shape[0] * frames
    let width = channels / groups
    let (weight, bias) = (weight.doubles, bias.doubles)
    var result = x.doubles
    for set in 0..<x.shape[0] / frames {
      for group in 0..<groups {
        let indices = (0..<rows).flatMap { row in
          (0..<width).map { (set * rows + row) * channels + group * width + $0 }
        }
        let mean = indices.reduce(0) { $0 + result[$1] } / Double(indices.count)
        let variance = indices.reduce(0) { $0 + (result[$1] - mean) * (result[$1] - mean) } / Double(indices.count)
        for index in indices {
          let normal = (result[index] - mean) / (variance + epsilon).squareRoot()
          let value = normal * weight[index % channels] + bias[index % channels]
          result[index] = silu ? plain(.silu, value) : value
        }
      }
    }
    return result
  }

  @Test(arguments: Configuration.all)
  func groupNorm(_ configuration: Configuration) throws {
    let device = try configuration.device()
    var numbers = Numbers(9)
    let cases: [(shape: [Int], groups: Int, frames: Int)] = [
      ([1, 1, 1, 4], 2, 1), ([2, 3, 5, 6], 3, 1), ([4, 7, 3, 12], 4, 2), ([3, 11, 20], 5, 3), ([2, 8], 8, 1),
      // Several pieces of rows per set.
      ([2, 40, 50, 64], 32, 1), ([2, 40, 50, 40], 8, 2),
    ]
    for (shape, groups, frames) in cases {
      let channels = shape.last ?? 1
      let weight = try numbers.tensor([channels])
      let bias = try numbers.tensor([channels])
      let x = try device.add(
        try numbers.tensor(shape), try Tensor(Array(repeating: 3, count: shape.reduce(1, *)), shape: shape))
      for activation in [Activation.none, .silu] {
        let expected = Self.plainGroupNorm(
          x, groups: groups, frames: frames, weight: weight, bias: bias, epsilon: 1e-5, silu: activation == .silu)
        expectClose(
          try device.groupNorm(
            x, groups: groups, framesPerStatistic: frames, weight: weight, bias: bias, epsilon: 1e-5,
            activation: activation), expected, shape: shape, "group norm \(groups) \(activation)")
      }
    }
  }

  /// A mean far from zero is where one pass over squares, or sums in single precision, would go wrong.
  @Test func groupNormOfOffsetNumbers() throws {
    let device = try Device(threads: 2)
    var numbers = Numbers(10)
    let shape = [1, 100, 100, 32]
    let x = try Tensor((0..<320_000).map { _ in 100 + Float.random(in: -1...1, using: &numbers) }, shape: shape)
    let ones = try Tensor(Array(repeating: 1, count: 32), shape: [32])
    let zeros = try Tensor(zeros: [32])
    let expected = Self.plainGroupNorm(x, groups: 4, frames: 1, weight: ones, bias: zeros, epsilon: 1e-6, silu: false)
    expectClose(
      try device.groupNorm(x, groups: 4, weight: ones, bias: zeros, epsilon: 1e-6), expected, shape: shape,
      tolerance: 1e-5, "group norm around 100")
  }

  @Test(arguments: Configuration.all)
  func layerNorm(_ configuration: Configuration) throws {
    let device = try configuration.device()
    var numbers = Numbers(11)
    for shape in [[1, 1], [3, 5], [2, 7, 33], [5, 320], [70, 1280]] {
      let channels = shape.last ?? 1
      let weight = try numbers.tensor([channels])
      let bias = try numbers.tensor([channels])
      let x = try numbers.tensor(shape)
      // Of one row, layer norm is a group norm of one group.
      let expected = Self.plainGroupNorm(
        x.reshaped([x.count / channels, channels]), groups: 1, frames: 1, weight: weight, bias: bias, epsilon: 1e-5,
        silu: false)
      expectClose(
        try device.layerNorm(x, weight: weight, bias: bias, epsilon: 1e-5), expected, shape: shape, "layer norm")
    }
  }

  @Test func wrongShapesAreErrors() throws {
    let device = try Device(threads: 1)
    let x = try Tensor(zeros: [3, 2, 8])
    let c = try Tensor(zeros: [8])
    func groupNorm(_ x: Tensor, _ groups: Int, frames: Int = 1, weight: Tensor) throws {
      _ = try device.groupNorm(
        x, groups: groups, framesPerStatistic: frames, weight: weight, bias: weight, epsilon: 1e-5)
    }
    #expect(throws: TensorError.self) { try groupNorm(x, 3, weight: c) }
    #expect(throws: TensorError.self) { try groupNorm(x, 0, weight: c) }
    #expect(throws: TensorError.self) { try groupNorm(x, 2, frames: 2, weight: c) }
    #expect(throws: TensorError.self) { try groupNorm(x, 2, frames: 0, weight: c) }
    #expect(throws: TensorError.self) { try groupNorm(x, 2, weight: try Tensor(zeros: [4])) }
    #expect(throws: TensorError.self) { try groupNorm(c, 2, weight: c) }
    #expect(throws: TensorError.self) {
      try device.groupNorm(x, groups: 2, weight: c, bias: c, epsilon: 1e-5, activation: .gelu)
    }
    #expect(throws: TensorError.self) {
      try device.layerNorm(x, weight: try Tensor(zeros: [7]), bias: c, epsilon: 1e-5)
    }
  }
}
