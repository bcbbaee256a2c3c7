import CKernels
import COpenBLAS

/// OpenBLAS, one product per tile of the result: its own threads stay off, since a second pool would fight with ours.
final class OpenBLASEngine: MatrixEngine {
  init() { openblas_set_num_threads(1) }

  func pack(linearWeight weight: Weights, bias: Tensor?, on device: Device) throws -> any PackedLinear {
    OpenBLASLinear(engine: self, weight: try device.weights(weight), bias: bias)
  }

  func pack(
    convolutionWeight weight: Weights, bias: Tensor?, geometry: ConvolutionGeometry, on device: Device
  ) throws -> any PackedConvolution {
    try OpenBLASConvolution(engine: self, weight: try device.unpackedWeights(weight), bias: bias, geometry: geometry)
  }

  func multiply(_ product: MatrixProduct) throws {
    let limit = Int(Int32.max)
    guard
      product.rows <= limit, product.columns <= limit, product.depth <= limit,
      max(product.aStride, product.bStride, product.cStride) <= limit
    else { throw TensorError("a matrix with more than \(limit) rows or columns is too large for OpenBLAS") }
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, product.transposesB ? CblasTrans : CblasNoTrans, Int32(product.rows),
      Int32(product.columns), Int32(product.depth), product.alpha, product.a, Int32(product.aStride), product.b,
      Int32(product.bStride), product.beta, product.c, Int32(product.cStride))
  }
}

/// (outputs, depth) weights; the result is computed in tiles, each from start to end by one thread.
final class OpenBLASLinear: PackedLinear {
  private let engine: OpenBLASEngine
  private let weight: Tensor
  private let bias: Tensor?

  private static let tileRows = 256
  private static let tileColumns = 512

  init(engine: OpenBLASEngine, weight: Tensor, bias: Tensor?) {
    (self.engine, self.weight, self.bias) = (engine, weight, bias)
  }

  func apply(_ x: Tensor, rows: Int, activation: Activation, addend: Tensor?, into y: Tensor, on device: Device) throws
  {
    let (outputs, inputs) = (weight.shape[0], weight.shape[1])
    let columnTiles = (outputs + Self.tileColumns - 1) / Self.tileColumns
    let rowTiles = (rows + Self.tileRows - 1) / Self.tileRows
    try device.parallel(rowTiles * columnTiles) { tile, _ in
      let first = (row: tile / columnTiles * Self.tileRows, column: tile % columnTiles * Self.tileColumns)
      let count = (rows: min(Self.tileRows, rows - first.row), columns: min(Self.tileColumns, outputs - first.column))
      let start = first.row * outputs + first.column
      let y = y.mutableFloatPointer + start
      for row in 0..<count.rows {
        if let bias {
          (y + row * outputs).update(from: bias.floatPointer + first.column, count: count.columns)
        } else {
          (y + row * outputs).update(repeating: 0, count: count.columns)
        }
      }
      try engine.multiply(
        MatrixProduct(
          rows: count.rows, columns: count.columns, depth: inputs, a: x.floatPointer + first.row * inputs,
          aStride: inputs, b: weight.floatPointer + first.column * inputs, bStride: inputs, transposesB: true, beta: 1,
          c: y, cStride: outputs))
      for row in 0..<count.rows {
        activation.apply(to: y + row * outputs, into: y + row * outputs, count: count.columns)
        if let addend {
          kernel_add(y + row * outputs, addend.floatPointer + start + row * outputs, y + row * outputs, count.columns)
        }
      }
    }
  }
}

/// Convolution as a matrix product: the windows of some output positions are written out as rows (im2col) and
/// multiplied by the weights, tile by tile.
final class OpenBLASConvolution: PackedConvolution {
  private let engine: OpenBLASEngine
  private let geometry: ConvolutionGeometry
  /// (outputs, kernel rows, kernel columns, inputs)
  private let weight: Tensor
  private let bias: Tensor?

  /// Floats that the windows of one tile may take.
  private static let workspaceLimit = 4 << 20

  init(engine: OpenBLASEngine, weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry) throws {
    (self.engine, self.geometry, self.bias) = (engine, geometry, bias)
    let packed = Tensor(
      shape: [geometry.outputs, geometry.kernelRows, geometry.kernelColumns, geometry.inputs], elementType: .float32,
      storage: try TensorStorage(byteCount: weight.byteCount))
    let taps = geometry.kernelRows * geometry.kernelColumns
    let (from, to) = (weight.floatPointer, packed.mutableFloatPointer)
    for output in 0..<geometry.outputs {
      let start = output * taps * geometry.inputs
      kernel_transpose(from + start, to + start, geometry.inputs, taps)
    }
    self.weight = packed
  }

  func apply(_ x: Tensor, addend: Tensor?, into y: Tensor, on device: Device) throws {
    let depth = weight.count / geometry.outputs
    let outputs = geometry.outputs
    let positions = y.count / outputs
    // Enough tiles for all threads, none larger than the limit.
    let share = (positions / (4 * device.threads) + 15) / 16 * 16
    let tileRows = min(max(share, 16), 256, max(OpenBLASConvolution.workspaceLimit / depth, 1))
    let workspace = try device.makeResult([device.threads, tileRows, depth])
    var window = kernel_window(
      rows: x.shape[1], columns: x.shape[2], channels: geometry.inputs, kernel_rows: geometry.kernelRows,
      kernel_columns: geometry.kernelColumns, stride: geometry.stride, top: geometry.padding.top,
      left: geometry.padding.left, output_rows: y.shape[1], output_columns: y.shape[2])
    try withUnsafePointer(to: &window) { window in
      try device.parallel((positions + tileRows - 1) / tileRows) { tile, worker in
        let first = tile * tileRows
        let count = min(tileRows, positions - tile * tileRows)
        let matrix = workspace.mutableFloatPointer + worker * tileRows * depth
        kernel_im2col(x.floatPointer, window, first, count, matrix)
        let y = y.mutableFloatPointer + first * outputs
        for row in 0..<count {
          if let bias {
            (y + row * outputs).update(from: bias.floatPointer, count: outputs)
          } else {
            (y + row * outputs).update(repeating: 0, count: outputs)
          }
        }
        try engine.multiply(
          MatrixProduct(
            rows: count, columns: outputs, depth: depth, a: matrix, aStride: depth, b: weight.floatPointer,
            bStride: depth, transposesB: true, beta: 1, c: y, cStride: outputs))
        if let addend { kernel_add(y, addend.floatPointer + first * outputs, y, count * outputs) }
      }
    }
  }
}
