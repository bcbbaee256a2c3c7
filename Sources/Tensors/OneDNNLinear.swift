import CDNNL

/// A linear layer as oneDNN's matrix product. State is guarded by the device's lock.
final class OneDNNLinear: PackedLinear, @unchecked Sendable {
  private struct Key: Hashable {
    var rows: Int
    var activation: Activation
    var adds: Bool
    var resultType: ElementType
  }

  private let engine: OneDNNEngine
  private let inputs: Int, outputs: Int
  private let bias: Tensor?
  private var weights: OneDNNPackedWeights
  private var primitives = OneDNNPrimitives<Key>()

  /// The layout of the weights is asked for with this many rows; it serves other numbers of rows as well.
  private static let typicalRows = 4096

  init(engine: OneDNNEngine, weight: Tensor, bias: Tensor?) throws {
    (self.engine, self.bias) = (engine, bias)
    (outputs, inputs) = (weight.shape[0], weight.shape[1])
    // (outputs, inputs) row-major is (inputs, outputs) column-major.
    let plain = OneDNNWeights(
      layout: try OneDNNLayout([inputs, outputs], dnnl_ba), storage: weight.storage, offset: weight.byteOffset
    )
    let asked = try OneDNNLinear.primitive(
      Key(rows: OneDNNLinear.typicalRows, activation: .none, adds: false, resultType: .float32), inputs: inputs,
      outputs: outputs, hasBias: bias != nil,
      weights: try OneDNNLayout([inputs, outputs], dnnl_format_tag_any, engine.factorType), engine: engine)
    weights = OneDNNPackedWeights(try engine.reorder(plain, to: asked.weights))
  }

  func apply(_ x: Tensor, rows: Int, activation: Activation, addend: Tensor?, into y: Tensor, on device: Device) throws
  {
    let key = Key(rows: rows, activation: activation, adds: addend != nil, resultType: y.elementType)
    let primitive = try primitives.find(key) {
      func make(_ weights: OneDNNLayout) throws -> OneDNNPrimitive {
        try OneDNNLinear.primitive(
          key, inputs: inputs, outputs: outputs, hasBias: bias != nil, weights: weights, engine: engine)
      }
      // Some shapes want another layout: the library then refuses this one, or falls back to its plain loops.
      if let found = try? make(weights.preferred), !found.isReference { return found }
      return try make(try OneDNNLayout([inputs, outputs], dnnl_format_tag_any, engine.factorType))
    }
    let packed = try weights.find(primitive.weights, engine: engine)
    let numbers = try OneDNNLayout([rows, outputs], dnnl_ab)
    var arguments: [OneDNNPrimitive.Argument] = [
      (
        DNNL_ARG_SRC_0, try OneDNNLayout([rows, inputs], dnnl_ab, engine.factorType),
        try device.factors(x)
      ),
      (DNNL_ARG_WEIGHTS_0, packed.layout, packed.pointer),
      (DNNL_ARG_DST_0, try OneDNNLayout([rows, outputs], dnnl_ab, y.elementType.dnnl), y.mutableBytes),
    ]
    if let bias {
      arguments.append(
        (DNNL_ARG_BIAS, try OneDNNLayout([1, outputs], dnnl_ab), UnsafeMutableRawPointer(mutating: bias.bytes)))
    }
    if let addend {
      let position = activation == .none ? 0 : 1
      arguments.append((OneDNNPrimitive.addend(position), numbers, UnsafeMutableRawPointer(mutating: addend.bytes)))
    }
    try primitive.run(arguments, pool: device.pool)
  }

  private static func primitive(
    _ key: Key, inputs: Int, outputs: Int, hasBias: Bool, weights: OneDNNLayout, engine: OneDNNEngine
  ) throws -> OneDNNPrimitive {
    let source = try OneDNNLayout([key.rows, inputs], dnnl_ab, engine.factorType)
    let bias = hasBias ? try OneDNNLayout([1, outputs], dnnl_ab) : nil
    let result = try OneDNNLayout([key.rows, outputs], dnnl_ab, key.resultType.dnnl)
    var postOperations: [OneDNNPrimitive.PostOperation] = []
    if key.activation != .none { postOperations.append(.activation(key.activation)) }
    if key.adds { postOperations.append(.add(try OneDNNLayout([key.rows, outputs], dnnl_ab))) }
    return try OneDNNPrimitive(postOperations, work: 2 * key.rows * inputs * outputs, engine: engine) {
      try check(
        onednn_product_create(
          &$0, engine.engine, source.handle, weights.handle, bias?.handle, result.handle, $1),
        "multiply (\(key.rows), \(inputs)) by (\(inputs), \(outputs))")
    }
  }
}
