import CDNNL

/// A convolution by oneDNN: its direct algorithm, or Winograd's where that is allowed and pays. State is guarded by the
/// device's lock.
final class OneDNNConvolution: PackedConvolution, @unchecked Sendable {
  private struct Key: Hashable {
    var images, rows, columns: Int
    var adds: Bool
  }

  private let engine: OneDNNEngine
  private let geometry: ConvolutionGeometry
  private let bias: Tensor?
  /// The weights as they were stored, kept where both algorithms may ask for them: mapped ones cost no memory.
  private let stored: Tensor?
  private var weights: OneDNNPackedWeights?
  private var winograd: OneDNNWinograd?
  private var primitives = OneDNNPrimitives<Key>()

  /// - Parameter weight: of any element type.
  init(
    engine: OneDNNEngine, weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry, device: Device
  ) throws {
    (self.engine, self.bias, self.geometry) = (engine, bias, geometry)
    // Which algorithm it is depends on the image: packed when that is known.
    let isOpen = OneDNNWinograd.suits(geometry, on: device)
    stored = isOpen ? weight : nil
    if !isOpen { weights = try pack(try device.unpackedWeights(weight)) }
  }

  private func pack(_ weight: Tensor) throws -> OneDNNPackedWeights {
    let plain = OneDNNWeights(
      layout: try OneDNNLayout(weight.shape, dnnl_abcd), storage: weight.storage, offset: weight.byteOffset)
    // The layout that suits this image serves others as well.
    let typical = Key(
      images: 2, rows: max(32, geometry.kernelRows), columns: max(32, geometry.kernelColumns), adds: false)
    let asked = try OneDNNConvolution.primitive(
      typical, geometry, hasBias: bias != nil,
      weights: try OneDNNLayout(weight.shape, dnnl_format_tag_any, engine.factorType),
      engine: engine)
    return OneDNNPackedWeights(try engine.reorder(plain, to: asked.weights))
  }

  func apply(_ x: Tensor, addend: Tensor?, into y: Tensor, on device: Device) throws {
    if let stored,
      device.convolvesByWinograd(
        inputs: geometry.inputs, outputs: geometry.outputs, stride: 1, rows: x.shape[1], columns: x.shape[2])
    {
      if winograd == nil {
        winograd = try OneDNNWinograd(
          engine: engine, weight: { try device.unpackedWeights(stored) }, bias: bias, geometry: geometry,
          images: x.shape[0],
          rows: x.shape[1], columns: x.shape[2])
        stored.releasePages()
      }
      if let winograd, try winograd.apply(x, addend: addend, into: y, on: device) { return }
    }
    if weights == nil, let stored {
      weights = try pack(try device.unpackedWeights(stored))
      stored.releasePages()
    }
    guard var weights else { preconditionFailure("neither packed nor stored weights") }
    defer { self.weights = weights }
    // The library adds to what it finds in the result's place; reading a separate addend is left to a slower kernel
    // of its.
    if let addend { try device.copy(addend, into: y) }
    let key = Key(images: x.shape[0], rows: x.shape[1], columns: x.shape[2], adds: addend != nil)
    let primitive = try primitives.find(key) {
      func make(_ weights: OneDNNLayout) throws -> OneDNNPrimitive {
        try OneDNNConvolution.primitive(key, geometry, hasBias: bias != nil, weights: weights, engine: engine)
      }
      // Some sizes want another layout: the library then refuses this one, or falls back to its plain loops.
      if let found = try? make(weights.preferred), !found.isReference { return found }
      return try make(try OneDNNLayout(geometry.weightShape, dnnl_format_tag_any, engine.factorType))
    }
    let packed = try weights.find(primitive.weights, engine: engine)
    var arguments: [OneDNNPrimitive.Argument] = [
      (DNNL_ARG_SRC_0, try OneDNNConvolution.images(x.shape, engine.factorType), try device.factors(x)),
      (DNNL_ARG_WEIGHTS_0, packed.layout, packed.pointer),
      (DNNL_ARG_DST_0, try OneDNNConvolution.images(y.shape), UnsafeMutableRawPointer(y.mutableFloatPointer)),
    ]
    if let bias {
      arguments.append(
        (
          DNNL_ARG_BIAS, try OneDNNLayout([geometry.outputs], dnnl_a),
          UnsafeMutableRawPointer(mutating: bias.bytes)
        )
      )
    }
    try primitive.run(arguments, pool: device.pool)
  }

  /// (n, h, w, c) in memory, which the library wants named in the order n, c, h, w.
  static func images(_ shape: [Int], _ type: dnnl_data_type_t = dnnl_f32) throws -> OneDNNLayout {
    try OneDNNLayout([shape[0], shape[3], shape[1], shape[2]], dnnl_acdb, type)
  }

  private static func primitive(
    _ key: Key, _ geometry: ConvolutionGeometry, hasBias: Bool, weights: OneDNNLayout, engine: OneDNNEngine
  ) throws -> OneDNNPrimitive {
    guard let size = geometry.outputSize(rows: key.rows, columns: key.columns) else {
      throw TensorError("an image of \(key.rows)x\(key.columns) is smaller than the kernel")
    }
    let source = try images([key.images, key.rows, key.columns, geometry.inputs], engine.factorType)
    let result = try images([key.images, size.rows, size.columns, geometry.outputs])
    let stride = dnnl_dim_t(geometry.stride)
    // Rows and columns that no window reaches, where the stride does not divide the image, are a negative padding to
    // the library.
    let bottom = (size.rows - 1) * geometry.stride + geometry.kernelRows - key.rows - geometry.padding.top
    let right = (size.columns - 1) * geometry.stride + geometry.kernelColumns - key.columns - geometry.padding.left
    let work =
      2 * key.images * size.rows * size.columns * geometry.outputs * geometry.inputs
      * geometry.kernelRows * geometry.kernelColumns
    return try OneDNNPrimitive(
      convolving: source, weights, bias: hasBias ? geometry.outputs : nil, into: result, by: dnnl_convolution_direct,
      strides: [stride, stride],
      padding: (
        before: [dnnl_dim_t(geometry.padding.top), dnnl_dim_t(geometry.padding.left)],
        after: [dnnl_dim_t(bottom), dnnl_dim_t(right)]
      ), key.adds ? [.accumulate] : [], work: work, engine: engine)
  }
}

extension OneDNNPrimitive {
  /// - Parameters:
  ///   - bias: Its length, if there is one.
  ///   - strides, padding: of rows and columns.
  convenience init(
    convolving source: OneDNNLayout, _ weights: OneDNNLayout, bias: Int?, into result: OneDNNLayout,
    by algorithm: dnnl_alg_kind_t, strides: [dnnl_dim_t], padding: (before: [dnnl_dim_t], after: [dnnl_dim_t]),
    _ postOperations: [PostOperation] = [], work: Int, engine: OneDNNEngine
  ) throws {
    let bias = try bias.map { try OneDNNLayout([$0], dnnl_a) }
    try self.init(postOperations, work: work, engine: engine) { operation, attributes in
      try check(
        onednn_convolution_create(
          &operation, engine.engine, algorithm, source.handle, weights.handle, bias?.handle, result.handle, strides,
          padding.before, padding.after, attributes), "prepare a convolution")
    }
  }
}
