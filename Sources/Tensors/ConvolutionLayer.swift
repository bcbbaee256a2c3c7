/// Packed weights of a 2-D convolution over channels-last images. Made by `Device.makeConvolution`, used on the
/// device that made it.
public final class ConvolutionLayer: Sendable {
  public let inputs: Int, outputs: Int
  let geometry: ConvolutionGeometry
  /// The device whose lock guards what is packed.
  let device: Device
  let packed: Packed

  /// A 1x1 kernel that visits every pixel is a linear layer over the pixels.
  enum Packed: Sendable {
    case convolution(any PackedConvolution)
    case linear(LinearLayer)
  }

  /// Whether images of (n, rows, columns, inputs) may be factors: but for Winograd's way, which is computed in float32.
  public func takesFactors(rows: Int, columns: Int) -> Bool {
    !geometry.isOfWinogradsForm
      || !device.convolvesByWinograd(
        inputs: inputs, outputs: outputs, stride: geometry.stride, rows: rows, columns: columns)
  }

  init(geometry: ConvolutionGeometry, device: Device, packed: Packed) {
    (inputs, outputs) = (geometry.inputs, geometry.outputs)
    (self.geometry, self.device, self.packed) = (geometry, device, packed)
  }
}

/// The numbers that describe a convolution apart from its image.
struct ConvolutionGeometry: Sendable {
  var inputs, outputs: Int
  var kernelRows, kernelColumns: Int
  var stride: Int
  var padding: Padding

  var isPointwise: Bool { kernelRows == 1 && kernelColumns == 1 && stride == 1 && padding == Padding(0) }

  /// The form that Winograd's way computes; the number of channels and the size of the images decide as well.
  var isOfWinogradsForm: Bool { kernelRows == 3 && kernelColumns == 3 && stride == 1 && padding == Padding(1) }

  var weightShape: [Int] { [outputs, inputs, kernelRows, kernelColumns] }

  /// Rows and columns of the result, nil where the padded image is smaller than the kernel.
  func outputSize(rows: Int, columns: Int) -> (rows: Int, columns: Int)? {
    let padded = (rows: rows + padding.top + padding.bottom, columns: columns + padding.left + padding.right)
    guard rows > 0, columns > 0, padded.rows >= kernelRows, padded.columns >= kernelColumns else { return nil }
    return ((padded.rows - kernelRows) / stride + 1, (padded.columns - kernelColumns) / stride + 1)
  }
}
