import Glibc
import Testing

@testable import Tensors

@Suite struct ElementwiseTests {
  /// Of each number by itself, as a share of it: over the range that a float32 exponential has, and finely about zero.
  @Test(arguments: [(Activation.silu, 1e-6), (.quickGELU, 1e-6), (.gelu, 1e-6)])
  func activationsAreExactToFloat(_ activation: Activation, tolerance: Double) throws {
    let device = try Device(threads: 1)
    // Below, results are not normal numbers, or as small (GELU) or as steep in the rounded argument (quick GELU).
    let lowest: Float = activation == .gelu ? -6.5 : activation == .silu ? -86 : -8
    var x: [Float] = stride(from: lowest, through: 90, by: 0.0037).map { $0 }
    x += stride(from: -1e-3, through: 1e-3, by: 1.7e-6).map { $0 }
    let y = try device.activate(try Tensor(x, shape: [x.count]), activation).floats
    var largest = 0.0
    var at: Float = 0
    for (x, y) in zip(x, y) where x != 0 {
      let expected = plain(activation, Double(x))
      // The tail of the error function takes the rounding of its argument's square with it.
      let error = abs(Double(y) - expected) / abs(expected) / (activation == .gelu ? max(1, Double(x * x) / 4) : 1)
      if !(error <= largest) { (largest, at) = (error, x) }
    }
    print("\(activation): largest relative difference \(largest) at \(at)")
    #expect(largest <= tolerance)
  }

  @Test(arguments: Configuration.all)
  func matchesPlainLoop(_ configuration: Configuration) throws {
    let device = try configuration.device()
    var numbers = Numbers(12)
    for shape in [[1, 2], [3, 5, 6], [2, 7, 5, 34], [40, 1300]] {
      let count = shape.reduce(1, *)
      let last = shape.last ?? 1
      let a = try numbers.tensor(shape, scale: 4)
      let b = try numbers.tensor(shape, scale: 4)
      let (x, y) = (a.doubles, b.doubles)
      expectClose(try device.add(a, b), (0..<count).map { x[$0] + y[$0] }, shape: shape, "sum")
      expectClose(
        try device.combine(0.75, a, -1.5, b), (0..<count).map { 0.75 * x[$0] - 1.5 * y[$0] }, shape: shape,
        "combination")
      for activation in [Activation.silu, .gelu, .quickGELU] {
        expectClose(try device.activate(a, activation), x.map { plain(activation, $0) }, shape: shape, "\(activation)")
      }
      let half = last / 2
      let geglu = (0..<count / 2).map { index in
        let start = index / half * last + index % half
        return x[start] * plain(.gelu, x[start + half])
      }
      expectClose(try device.geglu(a), geglu, shape: Array(shape.dropLast()) + [half], "GEGLU")
      let sums = stride(from: 0, to: count, by: last).map { x[$0..<$0 + last].reduce(0) { $0 + exp($1) } }
      let softmax = (0..<count).map { exp(x[$0]) / sums[$0 / last] }
      expectClose(try device.softmax(a), softmax, shape: shape, "softmax")
      for groups in [1, shape[0]] {
        let rows = try numbers.tensor([groups, last])
        let addends = rows.doubles
        let added = (0..<count).map { index in
          x[index] + addends[index / (count / groups) * last + index % last]
        }
        expectClose(try device.addChannels(a, rows), added, shape: shape, "channels added")
      }
    }
  }

  @Test func wrongShapesAreErrors() throws {
    let device = try Device(threads: 1)
    let x = try Tensor(zeros: [4, 3])
    let y = try Tensor(zeros: [3, 4])
    #expect(throws: TensorError.self) { try device.add(x, y) }
    #expect(throws: TensorError.self) { try device.combine(1, x, 1, y) }
    #expect(throws: TensorError.self) { try device.geglu(x) }
    #expect(throws: TensorError.self) { try device.addChannels(x, y) }
    #expect(throws: TensorError.self) { try device.addChannels(x, try Tensor(zeros: [3, 3])) }
    #expect(try device.softmax(try Tensor(zeros: [0, 4])).shape == [0, 4])
    #expect(try device.softmax(try Tensor(zeros: [4, 0])).shape == [4, 0])
  }
}
