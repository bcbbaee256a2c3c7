import CKernels

/// Packed weights of a 3x3 convolution, padded by one, over images that are enlarged by nearest neighbour first. Made by
/// `Device.makeUpsamplingConvolution`, used on the device that made it.
///
/// Where both sides double, a window of 3x3 enlarged pixels covers 2x2 of the image: each quarter of the result, the even or
/// odd rows at the even or odd columns, is a 2x2 convolution whose weights are sums of the 3x3 ones. That takes four ninths
/// of the multiplications, and the enlarged image is never made.
///
/// State is guarded by the device's lock.
public final class UpsamplingConvolutionLayer: @unchecked Sendable {
  public let channels: (inputs: Int, outputs: Int)
  let device: Device
  /// Those in a file cost no memory.
  private let weight: Weights
  private let bias: Tensor?
  private var whole: ConvolutionLayer?
  /// For each quarter, row by row, its convolution; nil where the device computes the whole faster.
  private(set) var quarters: [ConvolutionLayer]?

  init(weight: Weights, bias: Tensor?, device: Device) throws {
    channels = (weight.shape[1], weight.shape[0])
    (self.weight, self.bias, self.device) = (weight, bias, device)
    if device.upsamplesInQuarters(inputs: channels.inputs, outputs: channels.outputs) {
      quarters = try makeQuarters()
    } else {
      whole = try packed()
    }
  }

  /// Made when images are first enlarged to other sides than the double.
  func wholeLayer() throws -> ConvolutionLayer {
    if let whole { return whole }
    let made = try packed()
    whole = made
    return made
  }

  private func packed() throws -> ConvolutionLayer {
    try device.makeConvolution(weight: weight, bias: bias, padding: Padding(1))
  }

  private func makeQuarters() throws -> [ConvolutionLayer] {
    try [0, 1].flatMap { row in
      try [0, 1].map { column in
        // An even line's window begins one pixel before the image.
        let padding = Padding(top: 1 - row, left: 1 - column, bottom: row, right: column)
        return try device.makeConvolution(weight: try quarter(row, column), bias: bias, padding: padding)
      }
    }
  }

  /// (outputs, inputs, 2, 2): of the three lines of the kernel, an even line of the result meets the first, and the other two
  /// at the same pixel; an odd one the first two, and the last.
  private func quarter(_ row: Int, _ column: Int) throws -> Tensor {
    try device.run {
      let kernels = try device.unpackedWeights(weight)
      let count = channels.inputs * channels.outputs
      let sums = Tensor(
        shape: [channels.outputs, channels.inputs, 2, 2], elementType: .float32,
        storage: try TensorStorage(byteCount: 16 * count))
      let (from, to) = (kernels.floatPointer, sums.mutableFloatPointer)
      func lines(_ half: Int, _ isOdd: Int) -> ClosedRange<Int> { half == 0 ? 0...isOdd : isOdd + 1...2 }
      for half in 0..<4 {
        let (rows, columns) = (lines(half / 2, row), lines(half % 2, column))
        for kernel in 0..<count {
          var sum: Float = 0
          for r in rows { for c in columns { sum += from[9 * kernel + 3 * r + c] } }
          to[4 * kernel + half] = sum
        }
      }
      return sums
    }
  }
}

extension Device {
  /// Whether an upsampling convolution that doubles both sides is computed quarter by quarter. In float32 Winograd's way
  /// needs fewer multiplications still.
  public static func upsamplesInQuarters(
    inputs: Int, outputs: Int, precision: Precision, convolutions: Convolutions
  ) -> Bool {
    precision == .bfloat16
      || !convolvesByWinograd(
        inputs: inputs, outputs: outputs, stride: 1, rows: .max, columns: .max, precision: precision,
        convolutions: convolutions)
  }

  func upsamplesInQuarters(inputs: Int, outputs: Int) -> Bool {
    Device.upsamplesInQuarters(inputs: inputs, outputs: outputs, precision: precision, convolutions: convolutions)
  }

  /// Packs a 3x3 convolution that follows an enlargement: weight (outputs, inputs, 3, 3), bias (outputs), of any element
  /// type.
  public func makeUpsamplingConvolution(weight: Tensor, bias: Tensor?) throws -> UpsamplingConvolutionLayer {
    try makeUpsamplingConvolution(weight: .memory(weight), bias: bias)
  }

  /// The same, of weights that may lie in a file.
  public func makeUpsamplingConvolution(weight: Weights, bias: Tensor?) throws -> UpsamplingConvolutionLayer {
    guard weight.shape.count == 4, weight.shape.allSatisfy({ $0 > 0 }), weight.shape[2...] == [3, 3] else {
      throw TensorError(
        "the weight of an upsampling convolution has the shape (outputs, inputs, 3, 3), not \(weight.shape)")
    }
    try requireBias(bias, outputs: weight.shape[0])
    return try UpsamplingConvolutionLayer(weight: weight, bias: bias, device: self)
  }

  /// (n, h, w, inputs) -> (n, rows, columns, outputs): `upsampleNearest`, then a 3x3 convolution + bias.
  public func upsamplingConvolution(_ x: Tensor, _ layer: UpsamplingConvolutionLayer, rows: Int, columns: Int) throws
    -> Tensor
  {
    try requireFloat32(x, in: "an upsampling convolution")
    guard layer.device === self else { throw TensorError("a convolution was made on another device") }
    guard x.shape.count == 4, x.shape[1] > 0, x.shape[2] > 0, rows == 2 * x.shape[1], columns == 2 * x.shape[2],
      let quarters = layer.quarters
    else {
      return try convolution(try upsampleNearest(x, rows: rows, columns: columns), try layer.wholeLayer())
    }
    return try run {
      let outputs = layer.channels.outputs
      let y = try makeResult([x.shape[0], rows, columns, outputs])
      let factors = try rounded(x)
      for (index, quarter) in quarters.enumerated() {
        let part = try convolution(factors, quarter)
        let (width, first) = (x.shape[2], index / 2 * columns + index % 2)
        let (input, output) = (part.floatPointer, y.mutableFloatPointer + first * outputs)
        try parallel(count: x.shape[0] * x.shape[1], grain: Device.grain / (width * outputs)) { lines in
          for line in lines {
            kernel_spread_pixels(
              input + line * width * outputs, output + line * 2 * columns * outputs, width, outputs)
          }
        }
      }
      return y
    }
  }
}
