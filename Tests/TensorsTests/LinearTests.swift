import Glibc
import Testing

@testable import Tensors

func plain(_ activation: Activation, _ x: Double) -> Double {
  switch activation {
  case .none: x
  case .silu: x / (1 + exp(-x))
  case .quickGELU: x / (1 + exp(-1.702 * x))
  case .gelu: 0.5 * x * erfc(-x / 2.0.squareRoot())
  }
}

@Suite struct LinearTests {
  private static func plainLinear(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ activation: Activation, _ addend: Tensor?
  )
    -> [Double]
  {
    let (outputs, inputs) = (weight.shape[0], weight.shape[1])
    let (x, weight, bias, addend) = (x.floats, weight.floats, bias?.floats, addend?.floats)
    return (0..<x.count / inputs * outputs).map { index in
      let (row, output) = (index / outputs, index % outputs)
      var sum = bias.map { Double($0[output]) } ?? 0
      for input in 0..<inputs { sum += Double(x[row * inputs + input]) * Double(weight[output * inputs + input]) }
      return plain(activation, sum) + (addend.map { Double($0[index]) } ?? 0)
    }
  }

  @Test(arguments: Configuration.all)
  func matchesPlainLoop(_ configuration: Configuration) throws {
    let device = try configuration.device()
    var numbers = Numbers(1)
    let cases: [(leading: [Int], inputs: Int, outputs: Int)] = [
      ([1], 1, 1), ([3], 5, 7), ([2, 3, 2], 33, 65), ([1], 320, 130), ([77], 40, 96), ([300], 16, 530), ([], 8, 4),
    ]
    for (leading, inputs, outputs) in cases {
      let weight = try numbers.tensor([outputs, inputs], scale: 0.5)
      let bias = try numbers.tensor([outputs])
      let layer = try device.makeLinear(weight: weight, bias: bias)
      let unbiased = try device.makeLinear(weight: weight, bias: nil)
      let x = try numbers.tensor(leading + [inputs])
      let addend = try numbers.tensor(leading + [outputs])
      for activation in [Activation.none, .silu, .gelu, .quickGELU] {
        expectClose(
          try device.linear(x, layer, activation: activation),
          Self.plainLinear(x, weight, bias, activation, nil), shape: leading + [outputs], "linear \(activation)")
        expectClose(
          try device.linear(x, layer, activation: activation, adding: addend),
          Self.plainLinear(x, weight, bias, activation, addend), shape: leading + [outputs],
          "linear \(activation) added")
      }
      expectClose(
        try device.linear(x, unbiased), Self.plainLinear(x, weight, nil, .none, nil), shape: leading + [outputs],
        "linear without bias")
    }
  }

  @Test(arguments: Device.Engine.allCases)
  func oneLayerServesManyShapes(_ engine: Device.Engine) throws {
    let device = try Device(engine: engine, threads: 2)
    var numbers = Numbers(2)
    let weight = try numbers.tensor([48, 24])
    let layer = try device.makeLinear(weight: weight, bias: nil)
    // More shapes than a layer keeps compiled operations for.
    for rows in Array(1...20) + [1, 4097] {
      let x = try numbers.tensor([rows, 24])
      expectClose(
        try device.linear(x, layer), Self.plainLinear(x, weight, nil, .none, nil), shape: [rows, 48], "linear")
    }
  }

  @Test func wrongShapesAreErrors() throws {
    let device = try Device(threads: 1)
    let other = try Device(threads: 1)
    let weight = try Tensor(zeros: [4, 3])
    let x = try Tensor(zeros: [2, 3])
    #expect(throws: TensorError.self) { try device.makeLinear(weight: try Tensor(zeros: [4]), bias: nil) }
    #expect(throws: TensorError.self) { try device.makeLinear(weight: weight, bias: try Tensor(zeros: [3])) }
    let layer = try device.makeLinear(weight: weight, bias: nil)
    #expect(throws: TensorError.self) { try device.linear(try Tensor(zeros: [2, 4]), layer) }
    #expect(throws: TensorError.self) { try device.linear(x, layer, adding: x) }
    #expect(throws: TensorError.self) { try other.linear(x, layer) }
    #expect(try device.linear(try Tensor(zeros: [0, 3]), layer).shape == [0, 4])
  }
}
