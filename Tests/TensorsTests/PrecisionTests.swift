import Testing

@testable import Tensors

/// bf16 against float32 on numbers that are rounded already: products of two of them are exact, so that only the order of
/// the sums differs.
@Suite(.enabled(if: Device.Precision.fastest == .bfloat16, "the processor has bf16 arithmetic"))
struct PrecisionTests {
  private let exact: Device
  private let fast: Device

  init() throws {
    exact = try Device(threads: 2)
    fast = try Device(threads: 2, precision: .bfloat16)
  }

  /// To the nearest number of 8 binary digits, ties to even.
  private static func rounded(_ x: Tensor) throws -> Tensor {
    try Tensor(
      x.floats.map { value in
        let step = value.ulp * 65536
        return (value / step).rounded(.toNearestOrEven) * step
      }, shape: x.shape)
  }

  @Test func rounding() throws {
    var numbers = Numbers(1)
    let x = try numbers.tensor([3, 1001], scale: 100)
    #expect(try fast.kept(x).floats == Self.rounded(x).floats)
    #expect(try fast.kept(x).elementType == .bfloat16)
    #expect(try exact.kept(x).floats == x.floats)
    let ties: [Float] = [1 + 0x1p-8, 1 + 0x3p-8, -1 - 0x1p-8, 0, -0.0, 0x1p-130, .infinity, -.infinity]
    let kept = try fast.kept(try Tensor(ties, shape: [ties.count])).floats
    #expect(kept == [1, 1 + 0x1p-6, -1, 0, 0, 0x1p-130, .infinity, -.infinity])
    #expect(kept[4].sign == .minus)
    for payload: UInt32 in [0x7f80_0001, 0x7fff_ffff, 0xff80_0001] {
      let kept = try fast.kept(try Tensor([Float(bitPattern: payload)], shape: [1])).floats
      #expect(kept[0].isNaN)
    }
  }

  @Test func linear() throws {
    var numbers = Numbers(2)
    for (rows, inputs, outputs) in [(1, 1, 1), (3, 5, 7), (12, 33, 65), (77, 40, 96), (300, 320, 130), (4096, 64, 64)] {
      let (weight, bias) = (try numbers.tensor([outputs, inputs], scale: 0.5), try numbers.tensor([outputs]))
      let (x, addend) = (try numbers.tensor([rows, inputs]), try numbers.tensor([rows, outputs]))
      let reference = try exact.makeLinear(weight: Self.rounded(weight), bias: bias)
      let layer = try fast.makeLinear(weight: weight, bias: bias)
      for activation in [Activation.none, .silu, .gelu, .quickGELU] {
        let expected = try exact.linear(Self.rounded(x), reference, activation: activation, adding: addend)
        expectClose(
          try fast.linear(x, layer, activation: activation, adding: addend), expected.doubles, shape: expected.shape,
          tolerance: 4e-6, "bf16 linear \(activation)")
      }
    }
  }

  @Test func convolution() throws {
    var numbers = Numbers(3)
    for item in ConvolutionTests.cases {
      let weight = try numbers.tensor([item.outputs, item.image[3]] + item.kernel, scale: 0.5)
      let bias = try numbers.tensor([item.outputs])
      let x = try numbers.tensor(item.image)
      func layer(_ device: Device, _ weight: Tensor) throws -> ConvolutionLayer {
        try device.makeConvolution(weight: weight, bias: bias, stride: item.stride, padding: item.padding)
      }
      let reference = try layer(exact, Self.rounded(weight))
      let own = try layer(fast, weight)
      let expected = try exact.convolution(Self.rounded(x), reference)
      expectClose(
        try fast.convolution(x, own), expected.doubles, shape: expected.shape, tolerance: 4e-6, "bf16 convolution")
      let addend = try numbers.tensor(expected.shape)
      let sum = try exact.convolution(Self.rounded(x), reference, adding: addend)
      expectClose(
        try fast.convolution(x, own, adding: addend), sum.doubles, shape: sum.shape, tolerance: 4e-6,
        "bf16 convolution added")
    }
  }

  /// The exponentials are rounded as well, each by 2^-9 of itself at most.
  @Test func attention() throws {
    var numbers = Numbers(4)
    for item in AttentionTests.cases {
      let width = item.heads * item.channels
      let queries = try numbers.tensor([item.frames, item.queryTokens, width], scale: 3)
      let keys = try numbers.tensor([item.keyFrames, item.keyTokens, width], scale: 3)
      let values = try numbers.tensor([item.keyFrames, item.keyTokens, width])
      let scale = 1 / Float(item.channels).squareRoot()
      let expected = try exact.attention(
        AttentionOperands(queries: Self.rounded(queries), keys: Self.rounded(keys), keyFrames: item.lists),
        values: Self.rounded(values), heads: item.heads, scale: scale)
      let own = AttentionOperands(queries: queries, keys: keys, keyFrames: item.lists)
      let attended = try fast.attention(own, values: values, heads: item.heads, scale: scale)
      expectClose(
        attended, expected.doubles, shape: expected.shape, tolerance: 0x1p-8,
        "bf16 attention \(item.heads)x\(item.channels), \(item.keyTokens) keys")
      // What is kept for later gives the same.
      let kept = AttentionOperands(queries: try fast.kept(queries), keys: try fast.kept(keys), keyFrames: item.lists)
      #expect(
        try fast.attention(kept, values: values, heads: item.heads, scale: scale).floats == attended.floats)
    }
  }

  @Test func causalAttention() throws {
    var numbers = Numbers(5)
    let x = try Self.rounded(try numbers.tensor([2, 77, 16], scale: 2))
    let operands = AttentionOperands(queries: x, keys: x, keyFrames: [[0], [1]])
    let expected = try exact.attention(operands, values: x, heads: 2, scale: 0.5, causal: true)
    expectClose(
      try fast.attention(operands, values: x, heads: 2, scale: 0.5, causal: true), expected.doubles,
      shape: expected.shape, tolerance: 0x1p-8, "causal bf16 attention")
  }

  @Test func roundedOperandsNeedTheirDevice() throws {
    let x = try fast.kept(try Tensor(zeros: [1, 4, 8]))
    let values = try Tensor(zeros: [1, 4, 8])
    let operands = AttentionOperands(queries: x, keys: x, keyFrames: [[0]])
    #expect(throws: TensorError.self) { try exact.attention(operands, values: values, heads: 1, scale: 1) }
    #expect(throws: TensorError.self) { try fast.attentionMaps(operands, heads: 1, scale: 1) }
    #expect(throws: TensorError.self) { try Device(engine: .openBLAS, precision: .bfloat16) }
  }
}
