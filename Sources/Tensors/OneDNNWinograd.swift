import CDNNL

/// A 3x3 convolution by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional
/// Neural Networks", 2016): a quarter of the multiplications, for four times the memory of the weights.
///
/// The library computes it in a layout of its own, in blocks of 16 channels, and lays out the weights to suit the number
/// of images. Weights are held once, so the first call fixes the number of images that later calls are cut into. State
/// is guarded by the device's lock.
final class OneDNNWinograd {
  /// The operations for a number of images of one size.
  private struct Plan {
    let intoBlocks: OneDNNPrimitive
    let convolution: OneDNNPrimitive
    let outOfBlocks: OneDNNPrimitive
    /// Adds to what the result holds.
    let addOutOfBlocks: OneDNNPrimitive
    let source: OneDNNLayout, result: OneDNNLayout

    /// Bytes beside operands and weights: both images in blocks, and the transforms.
    var workspaceByteCount: Int { sourceRoom + resultRoom + convolution.scratchpadByteCount }
    var sourceRoom: Int { (convolution.source.byteCount + 63) / 64 * 64 }
    var resultRoom: Int { (convolution.result.byteCount + 63) / 64 * 64 }
  }

  private struct Key: Hashable {
    var images, rows, columns: Int
  }

  private let engine: OneDNNEngine
  private let geometry: ConvolutionGeometry
  private let bias: Tensor?
  private let weights: OneDNNWeights
  private let chunk: Int
  /// nil where the library wants the weights in another layout.
  private var plans: [Key: Plan?] = [:]
  private static let planLimit = 16

  /// Whether some images suit.
  static func suits(_ geometry: ConvolutionGeometry, on device: Device) -> Bool {
    geometry.isOfWinogradsForm
      && device.convolvesByWinograd(
        inputs: geometry.inputs, outputs: geometry.outputs, stride: geometry.stride, rows: .max, columns: .max)
  }

  /// nil where the processor or the library has no such convolution.
  /// - Parameters:
  ///   - weight: (outputs, inputs, 3, 3), float32; called once if at all.
  ///   - images, rows, columns: of the first call.
  init?(
    engine: OneDNNEngine, weight: () throws -> Tensor, bias: Tensor?, geometry: ConvolutionGeometry, images: Int,
    rows: Int, columns: Int
  ) throws {
    let key = Key(images: images, rows: rows, columns: columns)
    let any = try OneDNNLayout(geometry.weightShape, dnnl_format_tag_any)
    guard
      let asked = try? OneDNNWinograd.convolution(key, geometry, hasBias: bias != nil, weights: any, engine: engine)
    else { return nil }
    let plain = try weight()
    weights = try engine.reorder(
      OneDNNWeights(
        layout: try OneDNNLayout(plain.shape, dnnl_abcd), storage: plain.storage, offset: plain.byteOffset),
      to: asked.weights)
    (self.engine, self.geometry, self.bias, chunk) = (engine, geometry, bias, images)
  }

  /// - Returns: false where the weights' layout does not suit these images; nothing is done then.
  func apply(_ x: Tensor, addend: Tensor?, into y: Tensor, on device: Device) throws -> Bool {
    guard let parts = try parts(images: x.shape[0], rows: x.shape[1], columns: x.shape[2]) else { return false }
    if let addend { try device.copy(addend, into: y) }
    let workspace = try device.workspace(byteCount: parts.map(\.plan.workspaceByteCount).max() ?? 0)
    for (images, plan) in parts {
      try run(plan, x.rows(images), into: y.rows(images), adds: addend != nil, workspace: workspace)
    }
    return true
  }

  private func run(_ plan: Plan, _ x: Tensor, into y: Tensor, adds: Bool, workspace: TensorStorage) throws {
    let source = workspace.base
    let result = source + plan.sourceRoom
    let scratchpad = result + plan.resultRoom
    try plan.intoBlocks.run(
      [
        (DNNL_ARG_SRC_0, plan.source, UnsafeMutableRawPointer(mutating: x.bytes)),
        (DNNL_ARG_DST_0, plan.convolution.source, source),
      ], scratchpad: scratchpad)
    var arguments: [OneDNNPrimitive.Argument] = [
      (DNNL_ARG_SRC_0, plan.convolution.source, source), (DNNL_ARG_WEIGHTS_0, weights.layout, weights.pointer),
      (DNNL_ARG_DST_0, plan.convolution.result, result),
    ]
    if let bias {
      arguments.append(
        (
          DNNL_ARG_BIAS, try OneDNNLayout([geometry.outputs], dnnl_a),
          UnsafeMutableRawPointer(mutating: bias.bytes)
        ))
    }
    try plan.convolution.run(arguments, scratchpad: scratchpad)
    try (adds ? plan.addOutOfBlocks : plan.outOfBlocks).run(
      [
        (DNNL_ARG_SRC_0, plan.convolution.result, result),
        (DNNL_ARG_DST_0, plan.result, UnsafeMutableRawPointer(y.mutableFloatPointer)),
      ], scratchpad: scratchpad)
  }

  // MARK: Plans

  /// The images in pieces for which there are plans: as many as at the first call, and smaller ones for the rest.
  private func parts(images: Int, rows: Int, columns: Int) throws -> [(images: Range<Int>, plan: Plan)]? {
    var parts: [(Range<Int>, Plan)] = []
    var first = 0
    while first < images {
      var count = min(chunk, images - first)
      var found: Plan?
      while count > 0 {
        found = try plan(Key(images: count, rows: rows, columns: columns))
        if found != nil { break }
        count -= 1
      }
      guard let found else { return nil }
      parts.append((first..<first + count, found))
      first += count
    }
    return parts
  }

  private func plan(_ key: Key) throws -> Plan? {
    if let known = plans[key] { return known }
    if plans.count == OneDNNWinograd.planLimit { plans = [:] }
    let made = try makePlan(key)
    plans[key] = .some(made)
    return made
  }

  private func makePlan(_ key: Key) throws -> Plan? {
    guard
      let convolution = try? OneDNNWinograd.convolution(
        key, geometry, hasBias: bias != nil, weights: weights.layout, engine: engine)
    else { return nil }
    let source = try OneDNNConvolution.images([key.images, key.rows, key.columns, geometry.inputs])
    let result = try OneDNNConvolution.images([key.images, key.rows, key.columns, geometry.outputs])
    return Plan(
      intoBlocks: try OneDNNPrimitive(reordering: source, to: convolution.source, engine: engine),
      convolution: convolution,
      outOfBlocks: try OneDNNPrimitive(reordering: convolution.result, to: result, engine: engine),
      addOutOfBlocks: try OneDNNPrimitive(
        reordering: convolution.result, to: result, [.accumulate], engine: engine),
      source: source, result: result)
  }

  private static func convolution(
    _ key: Key, _ geometry: ConvolutionGeometry, hasBias: Bool, weights: OneDNNLayout, engine: OneDNNEngine
  ) throws -> OneDNNPrimitive {
    let source = try OneDNNLayout([key.images, geometry.inputs, key.rows, key.columns], dnnl_format_tag_any)
    let result = try OneDNNLayout([key.images, geometry.outputs, key.rows, key.columns], dnnl_format_tag_any)
    return try OneDNNPrimitive(
      convolving: source, weights, bias: hasBias ? geometry.outputs : nil, into: result, by: dnnl_convolution_winograd,
      strides: [1, 1], padding: (before: [1, 1], after: [1, 1]),
      work: 2 * key.images * key.rows * key.columns * geometry.outputs * geometry.inputs * 9, engine: engine)
  }

  /// Whether the library computes Winograd's convolutions on this processor: release 2 does with AVX-512, release 3 on
  /// no x86 processor.
  static let isAvailable: Bool = {
    let geometry = ConvolutionGeometry(
      inputs: 64, outputs: 64, kernelRows: 3, kernelColumns: 3, stride: 1, padding: Padding(1))
    guard let engine = try? OneDNNEngine(precision: .float32),
      let weights = try? OneDNNLayout(geometry.weightShape, dnnl_format_tag_any)
    else { return false }
    let key = Key(images: 1, rows: 32, columns: 32)
    return (try? convolution(key, geometry, hasBias: true, weights: weights, engine: engine)) != nil
  }()
}

extension Device {
  /// Whether a 3x3 convolution of images of (n, rows, columns, inputs) is computed by Winograd's way on this device.
  func convolvesByWinograd(inputs: Int, outputs: Int, stride: Int, rows: Int, columns: Int) -> Bool {
    Device.convolvesByWinograd(
      inputs: inputs, outputs: outputs, stride: stride, rows: rows, columns: columns, precision: precision,
      convolutions: convolutions)
  }

  /// Whether it is on a device that is made so: where that is allowed and pays. Fewer channels or pixels gain nothing; the
  /// library works on blocks of 16 channels. In bf16 the direct way is as fast at 16x16 pixels, where most of the weights are.
  public static func convolvesByWinograd(
    inputs: Int, outputs: Int, stride: Int, rows: Int, columns: Int, precision: Precision, convolutions: Convolutions
  ) -> Bool {
    let fewest = precision == .bfloat16 ? 32 : 16
    return convolutions == .winograd && stride == 1 && min(inputs, outputs) >= 64 && inputs % 16 == 0
      && outputs % 16 == 0 && min(rows, columns) >= fewest
  }
}
