import Testing

@testable import Tensors

@Suite struct ConvolutionTests {
  private static func plainConvolution(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, stride: Int, padding: Padding, addend: Tensor?, rows: Int,
    columns: Int
  ) -> [Double] {
    let (h, w, inputs) = (x.shape[1], x.shape[2], x.shape[3])
    let (outputs, kernelRows, kernelColumns) = (weight.shape[0], weight.shape[2], weight.shape[3])
    let (x, weight, bias, addend) = (x.floats, weight.floats, bias?.floats, addend?.floats)
    let images = x.count / (h * w * inputs)
    return (0..<images * rows * columns * outputs).map { index in
      let output = index % outputs
      let column = index / outputs % columns
      let row = index / outputs / columns % rows
      let image = index / outputs / columns / rows
      var sum = (bias.map { Double($0[output]) } ?? 0) + (addend.map { Double($0[index]) } ?? 0)
      for kernelRow in 0..<kernelRows {
        for kernelColumn in 0..<kernelColumns {
          let y = row * stride + kernelRow - padding.top
          let z = column * stride + kernelColumn - padding.left
          guard 0..<h ~= y, 0..<w ~= z else { continue }
          for input in 0..<inputs {
            let tap = ((output * inputs + input) * kernelRows + kernelRow) * kernelColumns + kernelColumn
            sum += Double(x[((image * h + y) * w + z) * inputs + input]) * Double(weight[tap])
          }
        }
      }
      return sum
    }
  }

  struct Case: Sendable {
    var image: [Int]
    var outputs: Int
    var kernel: [Int]
    var stride = 1
    var padding: Padding
    var result: [Int]
  }

  static let cases = [
    Case(image: [1, 5, 7, 3], outputs: 5, kernel: [3, 3], padding: Padding(1), result: [5, 7]),
    Case(image: [2, 8, 8, 33], outputs: 17, kernel: [3, 3], stride: 2, padding: Padding(1), result: [4, 4]),
    // The autoencoder's downsampling: zeros below and right only.
    Case(
      image: [1, 9, 12, 16], outputs: 16, kernel: [3, 3], stride: 2,
      padding: Padding(top: 0, left: 0, bottom: 1, right: 1), result: [4, 6]),
    Case(
      image: [1, 6, 6, 4], outputs: 8, kernel: [3, 3], padding: Padding(top: 2, left: 0, bottom: 1, right: 3),
      result: [7, 7]),
    // Temporal: rows are frames, columns are pixels.
    Case(
      image: [2, 5, 12, 20], outputs: 20, kernel: [3, 1], padding: Padding(top: 1, left: 0, bottom: 1, right: 0),
      result: [5, 12]),
    Case(
      image: [1, 1, 16, 32], outputs: 64, kernel: [3, 1], padding: Padding(top: 1, left: 0, bottom: 1, right: 0),
      result: [1, 16]),
    Case(image: [2, 5, 3, 24], outputs: 40, kernel: [1, 1], padding: Padding(0), result: [5, 3]),
    Case(image: [1, 5, 4, 8], outputs: 6, kernel: [1, 1], stride: 2, padding: Padding(0), result: [3, 2]),
    Case(image: [1, 2, 2, 64], outputs: 32, kernel: [3, 3], padding: Padding(1), result: [2, 2]),
    Case(image: [1, 32, 40, 4], outputs: 64, kernel: [3, 3], padding: Padding(1), result: [32, 40]),
    Case(image: [1, 20, 16, 64], outputs: 4, kernel: [3, 3], padding: Padding(1), result: [20, 16]),
    Case(image: [3, 4, 4, 1], outputs: 1, kernel: [2, 4], padding: Padding(0), result: [3, 1]),
  ]

  @Test(arguments: Configuration.all)
  func matchesPlainLoop(_ configuration: Configuration) throws {
    let device = try configuration.device()
    var numbers = Numbers(3)
    for item in Self.cases {
      let weight = try numbers.tensor([item.outputs, item.image[3]] + item.kernel, scale: 0.5)
      let bias = try numbers.tensor([item.outputs])
      let x = try numbers.tensor(item.image)
      let shape = [item.image[0]] + item.result + [item.outputs]
      let addend = try numbers.tensor(shape)
      func expected(_ bias: Tensor?, _ addend: Tensor?) -> [Double] {
        Self.plainConvolution(
          x, weight, bias, stride: item.stride, padding: item.padding, addend: addend, rows: item.result[0],
          columns: item.result[1])
      }
      let layer = try device.makeConvolution(weight: weight, bias: bias, stride: item.stride, padding: item.padding)
      let name = "convolution \(item.image) \(item.kernel)"
      expectClose(try device.convolution(x, layer), expected(bias, nil), shape: shape, name)
      expectClose(
        try device.convolution(x, layer, adding: addend), expected(bias, addend), shape: shape, name + " added")
      let unbiased = try device.makeConvolution(weight: weight, bias: nil, stride: item.stride, padding: item.padding)
      expectClose(try device.convolution(x, unbiased), expected(nil, nil), shape: shape, name + " without bias")
    }
  }

  @Test(arguments: Device.Engine.allCases)
  func oneLayerServesManyShapes(_ engine: Device.Engine) throws {
    let device = try Device(engine: engine, threads: 2)
    var numbers = Numbers(4)
    let weight = try numbers.tensor([6, 10, 3, 3])
    let layer = try device.makeConvolution(weight: weight, bias: nil, padding: Padding(1))
    for size in Array(1...18) + [3, 40] {
      let x = try numbers.tensor([1, size, 5, 10])
      let expected = Self.plainConvolution(
        x, weight, nil, stride: 1, padding: Padding(1), addend: nil, rows: size, columns: 5)
      expectClose(try device.convolution(x, layer), expected, shape: [1, size, 5, 6], "convolution")
    }
  }

  @Test func wrongShapesAreErrors() throws {
    let device = try Device(threads: 1)
    let weight = try Tensor(zeros: [4, 3, 3, 3])
    #expect(throws: TensorError.self) {
      try device.makeConvolution(weight: weight, bias: nil, stride: 0, padding: Padding(1))
    }
    #expect(throws: TensorError.self) { try device.makeConvolution(weight: weight, bias: nil, padding: Padding(-1)) }
    let layer = try device.makeConvolution(weight: weight, bias: nil, padding: Padding(0))
    #expect(throws: TensorError.self) { try device.convolution(try Tensor(zeros: [1, 2, 5, 3]), layer) }
    #expect(throws: TensorError.self) { try device.convolution(try Tensor(zeros: [1, 5, 5, 4]), layer) }
    #expect(throws: TensorError.self) { try device.convolution(try Tensor(zeros: [5, 5, 3]), layer) }
    let x = try Tensor(zeros: [1, 5, 5, 3])
    #expect(throws: TensorError.self) { try device.convolution(x, layer, adding: x) }
    #expect(try device.convolution(try Tensor(zeros: [0, 5, 5, 3]), layer).shape == [0, 3, 3, 4])
  }

  // The first call fixes the weights' layout; then come more images, fewer, other sizes, and one too small for it.
  @Test(arguments: [1, 2]) func winogradMatchesDirect(threads: Int) throws {
    let direct = try Device(threads: threads)
    let winograd = try Device(threads: threads, convolutions: .winograd)
    var numbers = Numbers(5)
    for (inputs, outputs) in [(64, 80), (96, 64), (160, 160)] {
      let weight = try numbers.tensor([outputs, inputs, 3, 3], scale: 0.1)
      let bias = try numbers.tensor([outputs])
      let layers = try [direct, winograd].map {
        try $0.makeConvolution(weight: weight, bias: bias, padding: Padding(1))
      }
      for size in [[3, 24, 16], [6, 24, 16], [7, 24, 16], [1, 24, 16], [2, 17, 19], [1, 32, 48], [4, 8, 8]] {
        let x = try numbers.tensor(size + [inputs])
        let addend = try numbers.tensor(size + [outputs])
        let name = "winograd \(inputs) -> \(outputs)"
        let expected = try direct.convolution(x, layers[0])
        expectClose(
          try winograd.convolution(x, layers[1]), expected.doubles, shape: expected.shape, tolerance: 5e-6, name)
        let added = try direct.convolution(x, layers[0], adding: addend)
        expectClose(
          try winograd.convolution(x, layers[1], adding: addend), added.doubles, shape: added.shape, tolerance: 5e-6,
          name + " added")
      }
      winograd.trimMemory()
    }
  }

  /// Against the enlarged image convolved by plain loops; sides that do not double are convolved whole.
  @Test(arguments: Configuration.all)
  func upsampling(_ configuration: Configuration) throws {
    var numbers = Numbers(11)
    let devices = [
      try configuration.device(),
      try Device(engine: configuration.engine, threads: configuration.threads, convolutions: .winograd),
    ]
    for (image, outputs, rows, columns) in [
      ([2, 5, 7, 3], 5, 10, 14), ([1, 1, 1, 8], 4, 2, 2), ([1, 9, 4, 64], 64, 18, 8), ([2, 5, 7, 6], 3, 9, 14),
      ([1, 3, 4, 8], 8, 5, 7), ([1, 16, 16, 64], 64, 32, 32), ([1, 4, 4, 2], 2, 4, 8),
    ] {
      let (weight, bias) = (try numbers.tensor([outputs, image[3], 3, 3], scale: 0.3), try numbers.tensor([outputs]))
      let x = try numbers.tensor(image)
      for device in devices {
        let enlarged = try device.upsampleNearest(x, rows: rows, columns: columns)
        let expected = Self.plainConvolution(
          enlarged, weight, bias, stride: 1, padding: Padding(1), addend: nil, rows: rows, columns: columns)
        let layer = try device.makeUpsamplingConvolution(weight: weight, bias: bias)
        expectClose(
          try device.upsamplingConvolution(x, layer, rows: rows, columns: columns), expected,
          shape: [image[0], rows, columns, outputs], tolerance: 4e-6,
          "upsampling \(configuration.testDescription) \(device.convolutions)")
      }
    }
    let layer = try devices[0].makeUpsamplingConvolution(weight: try numbers.tensor([4, 4, 3, 3]), bias: nil)
    #expect(throws: TensorError.self) {
      try devices[1].upsamplingConvolution(try Tensor(zeros: [1, 2, 2, 4]), layer, rows: 4, columns: 4)
    }
    #expect(throws: TensorError.self) {
      try devices[0].upsamplingConvolution(try Tensor(zeros: [1, 2, 2, 5]), layer, rows: 4, columns: 4)
    }
    #expect(throws: TensorError.self) {
      try devices[0].makeUpsamplingConvolution(weight: try Tensor(zeros: [4, 4, 1, 1]), bias: nil)
    }
  }
}
