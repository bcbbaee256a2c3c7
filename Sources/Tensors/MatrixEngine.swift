/// What the libraries do differently: matrix products and convolutions. All else (activations, norms, softmax,
/// gathers) is the same loops for every engine.
///
/// The device calls an engine with its lock held, with libgomp's thread count set, and with operands whose shapes it
/// has checked; tensors are aligned float32, or factors where that is said.
protocol MatrixEngine: Sendable {
  /// - Parameter weight: (outputs, inputs).
  func pack(linearWeight weight: Weights, bias: Tensor?, on device: Device) throws -> any PackedLinear
  /// - Parameter weight: (outputs, inputs, kernel rows, kernel columns).
  func pack(
    convolutionWeight weight: Weights, bias: Tensor?, geometry: ConvolutionGeometry, on device: Device
  ) throws -> any PackedConvolution
  /// C = alpha A op(B) + beta C on the calling thread alone, one of several that do so.
  func multiply(_ product: MatrixProduct) throws
}

/// Row-major C (rows, columns) = alpha A (rows, depth) op(B) + beta C. Strides are floats from row to row.
struct MatrixProduct {
  var rows, columns, depth: Int
  var alpha: Float = 1
  var a: UnsafePointer<Float>
  var aStride: Int
  var b: UnsafePointer<Float>
  var bStride: Int
  /// B is stored as (columns, depth).
  var transposesB = false
  var beta: Float = 0
  var c: UnsafeMutablePointer<Float>
  var cStride: Int
}

/// Weights in the layout of an engine.
protocol PackedLinear: AnyObject, Sendable {
  /// y (rows, outputs) = activation(x W^T + b) + addend; x and y may be factors.
  func apply(_ x: Tensor, rows: Int, activation: Activation, addend: Tensor?, into y: Tensor, on device: Device) throws
}

/// Weights in the layout of an engine.
protocol PackedConvolution: AnyObject, Sendable {
  /// y (n, h', w', outputs) = convolution of x (n, h, w, inputs) + bias + addend; x may be factors.
  func apply(_ x: Tensor, addend: Tensor?, into y: Tensor, on device: Device) throws
}
