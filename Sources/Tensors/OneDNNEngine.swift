import CDNNL

/// oneDNN 2 or 3 (https://uxlfoundation.github.io/oneDNN/): activations in plain channels-last layout, weights reordered
/// once into the layout that the library asks for, one compiled primitive per shape.
final class OneDNNEngine: MatrixEngine, @unchecked Sendable {
  let engine: dnnl_engine_t
  let stream: dnnl_stream_t
  /// Of the factors of products and convolutions.
  let factorType: dnnl_data_type_t

  init(precision: Device.Precision) throws {
    var engine: dnnl_engine_t?
    try check(dnnl_engine_create(&engine, dnnl_cpu, 0), "set up")
    var stream: dnnl_stream_t?
    let status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags.rawValue)
    guard status == dnnl_success, let engine, let stream else {
      dnnl_engine_destroy(engine)
      throw TensorError("oneDNN could not be set up: \(describe(status))")
    }
    (self.engine, self.stream) = (engine, stream)
    factorType = precision.factorType.dnnl
  }

  deinit {
    dnnl_stream_destroy(stream)
    dnnl_engine_destroy(engine)
  }

  func pack(linearWeight weight: Weights, bias: Tensor?, on device: Device) throws -> any PackedLinear {
    try OneDNNLinear(engine: self, weight: try device.unpackedWeights(weight), bias: bias)
  }

  func pack(
    convolutionWeight weight: Weights, bias: Tensor?, geometry: ConvolutionGeometry, on device: Device
  ) throws -> any PackedConvolution {
    try OneDNNConvolution(engine: self, weight: weight, bias: bias, geometry: geometry, device: device)
  }

  // Within a parallel loop the library keeps to the calling thread.
  func multiply(_ product: MatrixProduct) throws {
    try check(
      dnnl_sgemm(
        CChar(UInt8(ascii: "N")), CChar(UInt8(ascii: product.transposesB ? "T" : "N")), dnnl_dim_t(product.rows),
        dnnl_dim_t(product.columns), dnnl_dim_t(product.depth), product.alpha, product.a, dnnl_dim_t(product.aStride),
        product.b, dnnl_dim_t(product.bStride), product.beta, product.c, dnnl_dim_t(product.cStride)),
      "multiply matrices")
  }
}

// MARK: - Values of the C interface

/// Throws what oneDNN could not do and why.
func check(_ status: dnnl_status_t, _ action: @autoclosure () -> String) throws {
  guard status == dnnl_success else {
    throw TensorError(
      "oneDNN could not \(action()): \(describe(status))", kind: status == dnnl_out_of_memory ? .memory : .operation)
  }
}

private func describe(_ status: dnnl_status_t) -> String { String(cString: dnnl_status2str(status)) }

extension ElementType {
  var dnnl: dnnl_data_type_t {
    switch self {
    case .float32: dnnl_f32
    case .float16: dnnl_f16
    case .bfloat16: dnnl_bf16
    }
  }
}

/// Weights in one layout.
struct OneDNNWeights: Sendable {
  let layout: OneDNNLayout
  let storage: TensorStorage
  /// Bytes from the start of the storage.
  var offset = 0

  var pointer: UnsafeMutableRawPointer { storage.base + offset }
}

extension OneDNNEngine {
  /// A copy of `weights` in the layout that an operation asks for.
  func reorder(_ weights: OneDNNWeights, to layout: OneDNNLayout?) throws -> OneDNNWeights {
    guard let layout else { return weights }
    let result = OneDNNWeights(layout: layout, storage: try TensorStorage(byteCount: layout.byteCount))
    let primitive = try OneDNNPrimitive(reordering: weights.layout, to: layout, engine: self)
    try primitive.run(
      [(DNNL_ARG_SRC_0, weights.layout, weights.pointer), (DNNL_ARG_DST_0, layout, result.pointer)],
      pool: MemoryPool())
    return result
  }
}
