import Tensors

/// A 2-D convolution per frame, followed in tuned checkpoints by a 1-D convolution along the frames for every pixel
/// (Tune-A-Video's pseudo-3-D convolution; SEMANTICS of FateZero's `conv_temporal`).
///
/// The temporal part is either a full convolution, y = conv(x), or a low-rank residual, y = x + up(down(x)). Its presence
/// and its rank are read from the weights. The ends of the clip are zero padded.
struct PseudoConvolution: Sendable {
  private enum Temporal: Sendable {
    case none
    case full(Convolution)
    case lowRank(down: Convolution, up: Convolution)
  }

  private let spatial: Convolution
  private let temporal: Temporal

  init(
    _ parameters: Parameters, _ name: String, inputs: Int, outputs: Int, stride: Int = 1, padding: Padding? = nil
  ) throws {
    spatial = try parameters.convolution(
      name, inputs: inputs, outputs: outputs, stride: stride, padding: padding)
    let scope = parameters.scope(name)
    if let shape = scope.shape(of: "conv_temporal.down.weight"), let rank = shape.first {
      temporal = .lowRank(
        down: try scope.temporalConvolution("conv_temporal.down", inputs: outputs, outputs: rank, bias: false),
        up: try scope.temporalConvolution("conv_temporal.up", inputs: rank, outputs: outputs, bias: false))
    } else if scope.has("conv_temporal.weight") {
      temporal = .full(
        try scope.temporalConvolution("conv_temporal", inputs: outputs, outputs: outputs, bias: true))
    } else {
      temporal = .none
    }
  }

  var isTemporal: Bool { if case .none = temporal { false } else { true } }

  /// (b*f, h, w, inputs) -> (b*f, h', w', outputs), plus `addend`.
  func callAsFunction(_ x: Tensor, frames: Int, device: Device, adding addend: Tensor? = nil) throws -> Tensor {
    guard isTemporal else { return try spatial(x, device: device, adding: addend) }
    let image = try spatial(x, device: device)
    // The convolution along the frames is a 3x1 convolution over the plane (frames, pixels).
    let (rows, columns, channels) = (image.shape[1], image.shape[2], image.shape[3])
    let plane = image.reshaped([image.shape[0] / frames, frames, rows * columns, channels])
    let filtered: Tensor
    switch temporal {
    case .none: filtered = plane
    case .full(let convolution): filtered = try convolution(plane, device: device)
    case .lowRank(let down, let up):
      filtered = try up(try down(plane, device: device), device: device, adding: plane)
    }
    let result = filtered.reshaped(image.shape)
    guard let addend else { return result }
    return try device.add(result, addend)
  }
}
