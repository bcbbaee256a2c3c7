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
    #expect(try fast.kept(x).elementType == .bfloat16 && fast.kept(x).isFinite)
    #expect(try exact.kept(x).floats == x.floats)
    let ties: [Float] = [1 + 0x1p-8, 1 + 0x3p-8, -1 - 0x1p-8, 0, -0.0, 0x1p-130, .infinity, -.infinity]
    let kept = try fast.kept(try Tensor(ties, shape: [ties.count])).floats
    #expect(kept == [1, 1 + 0x1p-6, -1, 0, 0, 0x1p-130, .infinity, -.infinity])
    #expect(kept[4].sign == .minus)
    for payload: UInt32 in [0x7f80_0001, 0x7fff_ffff, 0xff80_0001] {
      let kept = try fast.kept(try Tensor([Float(bitPattern: payload)], shape: [1]))
      #expect(kept.floats[0].isNaN && !kept.isFinite)
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

  /// What is rounded by the operator that makes it is what the operator that multiplies it would round it to.
  @Test func resultsAsFactors() throws {
    var numbers = Numbers(6)
    let x = try numbers.tensor([2, 6, 7, 96], scale: 4)
    let (weight, bias) = (try numbers.tensor([96]), try numbers.tensor([96]))
    let layer = try fast.makeLinear(weight: try numbers.tensor([130, 96]), bias: try numbers.tensor([130]))
    typealias Operator = (_ asFactors: Bool) throws -> Tensor
    let operators: [(String, Operator)] = [
      ("layer norm", { try fast.layerNorm(x, weight: weight, bias: bias, epsilon: 1e-5, asFactors: $0) }),
      (
        "group norm",
        {
          try fast.groupNorm(
            x, groups: 8, framesPerStatistic: 2, weight: weight, bias: bias, epsilon: 1e-5, activation: .silu,
            asFactors: $0)
        }
      ),
      ("GEGLU", { try fast.geglu(x, asFactors: $0) }),
      ("linear", { try fast.linear(x, layer, activation: .gelu, asFactors: $0) }),
    ]
    for (name, apply) in operators {
      let (floats, factors) = (try apply(false), try apply(true))
      #expect(floats.elementType == .float32 && factors.elementType == .bfloat16, "\(name)")
      #expect(try fast.rounded(floats).floats == factors.floats, "\(name)")
    }
    #expect(try exact.layerNorm(x, weight: weight, bias: bias, epsilon: 1e-5, asFactors: true).elementType == .float32)
  }

  /// Operators that multiply take factors for numbers, with the same result.
  @Test func factorsAsOperands() throws {
    var numbers = Numbers(7)
    let x = try numbers.tensor([2, 5, 6, 48])
    let factors = try fast.rounded(x)
    #expect(try fast.float32(factors).floats == Self.rounded(x).floats)
    let layer = try fast.makeLinear(weight: try numbers.tensor([33, 48]), bias: nil)
    #expect(try fast.linear(factors, layer).floats == fast.linear(x, layer).floats)
    let convolution = try fast.makeConvolution(
      weight: try numbers.tensor([20, 48, 3, 3]), bias: nil, padding: Padding(1))
    #expect(try fast.convolution(factors, convolution).floats == fast.convolution(x, convolution).floats)
    #expect(try fast.concatenate([factors, factors.rows(1..<2)]).floats == factors.floats + factors.rows(1..<2).floats)

    let (tokens, rounded) = (x.reshaped([2, 30, 48]), factors.reshaped([2, 30, 48]))
    let own = AttentionOperands(queries: tokens, keys: tokens, keyFrames: [[0, 1], [1]])
    let same = AttentionOperands(queries: rounded, keys: rounded, keyFrames: own.keyFrames)
    let attended = try fast.attention(own, values: tokens, heads: 3, scale: 0.3)
    #expect(attended.elementType == .bfloat16)
    #expect(try fast.attention(same, values: rounded, heads: 3, scale: 0.3).floats == attended.floats)
    let share = (0..<60).map { Float($0 % 3) / 2 }
    func blended(_ operands: AttentionOperands, _ values: Tensor) throws -> [Float] {
      try fast.blendedAttention(
        own: operands, source: operands, ownShare: share, values: values, heads: 3, scale: 0.3
      ).floats
    }
    #expect(try blended(same, rounded) == blended(own, tokens))
    let single = AttentionOperands(queries: rounded, keys: rounded, keyFrames: [[0], [1]])
    let numbersOfSingle = AttentionOperands(
      queries: try Self.rounded(tokens), keys: try Self.rounded(tokens), keyFrames: [[0], [1]])
    let maps = try fast.attentionMaps(single, heads: 3, scale: 0.3)
    #expect(maps.floats == (try fast.attentionMaps(numbersOfSingle, heads: 3, scale: 0.3)).floats)
    #expect(
      try fast.apply(maps: maps, values: rounded, valueFrames: [[0], [1]], heads: 3).floats
        == fast.apply(maps: maps, values: Self.rounded(tokens), valueFrames: [[0], [1]], heads: 3).floats)
  }

  /// The sums of the kernel's weights are rounded in place of the weights, so the tolerance is that of rounding.
  @Test func upsamplingConvolution() throws {
    var numbers = Numbers(8)
    let byWinograd = try Device(threads: 2, precision: .bfloat16, convolutions: .winograd)
    for (image, outputs) in [([2, 6, 5, 40], 24), ([1, 32, 33, 64], 64)] {
      let weight = try numbers.tensor([outputs, image[3], 3, 3], scale: 0.1)
      let (bias, x) = (try numbers.tensor([outputs]), try numbers.tensor(image))
      func result(_ device: Device) throws -> Tensor {
        let layer = try device.makeUpsamplingConvolution(weight: weight, bias: bias)
        return try device.upsamplingConvolution(x, layer, rows: 2 * image[1], columns: 2 * image[2])
      }
      let expected = try result(exact)
      for device in [fast, byWinograd] {
        expectClose(
          try result(device), expected.doubles, shape: expected.shape, tolerance: 0x1p-7,
          "bf16 upsampling convolution, \(device.convolutions)")
      }
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
    #expect(throws: TensorError.self) { try exact.attentionMaps(operands, heads: 1, scale: 1) }
    #expect(throws: TensorError.self) { try exact.apply(maps: values, values: x, valueFrames: [[0]], heads: 1) }
    #expect(throws: TensorError.self) {
      try exact.linear(x, try exact.makeLinear(weight: try Tensor(zeros: [3, 8]), bias: nil))
    }
    #expect(throws: TensorError.self) { try fast.geglu(x) }
    #expect(throws: TensorError.self) { try fast.concatenate([x, values]) }
    #expect(throws: TensorError.self) { try Device(engine: .openBLAS, precision: .bfloat16) }
  }
}
