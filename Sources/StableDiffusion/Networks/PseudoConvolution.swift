import Tensors

/// A 2-D convolution per frame, followed in tuned checkpoints by one along the frames (Tune-A-Video's pseudo-3-D
/// convolution).
struct PseudoConvolution: Sendable {
  private let spatial: Convolution
  private let temporal: TemporalConvolution

  init(
    _ parameters: Parameters, _ name: String, inputs: Int, outputs: Int, stride: Int = 1, padding: Padding? = nil
  ) throws {
    spatial = try parameters.convolution(
      name, inputs: inputs, outputs: outputs, stride: stride, padding: padding)
    temporal = try TemporalConvolution(parameters.scope(name), channels: outputs)
  }

  /// Whether it takes factors for images of the shape of `x`.
  func takesFactors(like x: Tensor) -> Bool { spatial.takesFactors(like: x) }

  /// (b*f, h, w, inputs) -> (b*f, h', w', outputs), plus `addend`.
  func callAsFunction(_ x: Tensor, frames: Int, device: Device, adding addend: Tensor? = nil) throws -> Tensor {
    guard temporal.isThere else { return try spatial(x, device: device, adding: addend) }
    return try temporal(try spatial(x, device: device), frames: frames, device: device, adding: addend)
  }
}

/// Nearest-neighbour upsampling and a 2-D convolution per frame, followed in tuned checkpoints by one along the frames.
struct PseudoUpsampler: Sendable {
  private let spatial: UpsamplingConvolution
  private let temporal: TemporalConvolution

  init(_ parameters: Parameters, _ name: String, channels: Int) throws {
    spatial = try parameters.upsamplingConvolution(name, channels: channels)
    temporal = try TemporalConvolution(parameters.scope(name), channels: channels)
  }

  /// (b*f, h, w, channels) -> (b*f, rows, columns, channels)
  func callAsFunction(_ x: Tensor, rows: Int, columns: Int, frames: Int, device: Device) throws -> Tensor {
    let image = try spatial(x, rows: rows, columns: columns, device: device)
    return temporal.isThere ? try temporal(image, frames: frames, device: device) : image
  }
}

/// A 1-D convolution along the frames for every pixel (SEMANTICS of FateZero's `conv_temporal`), or nothing.
///
/// It is either a full convolution, y = conv(x), or a low-rank residual, y = x + up(down(x)). Its presence and its rank are
/// read from the weights. The ends of the clip are zero padded.
private struct TemporalConvolution: Sendable {
  private enum Kind: Sendable {
    case none
    case full(Convolution)
    case lowRank(down: Convolution, up: Convolution)
  }

  private let kind: Kind

  init(_ scope: Parameters, channels: Int) throws {
    if let shape = scope.shape(of: "conv_temporal.down.weight"), let rank = shape.first {
      kind = .lowRank(
        down: try scope.temporalConvolution("conv_temporal.down", inputs: channels, outputs: rank, bias: false),
        up: try scope.temporalConvolution("conv_temporal.up", inputs: rank, outputs: channels, bias: false))
    } else if scope.has("conv_temporal.weight") {
      kind = .full(
        try scope.temporalConvolution("conv_temporal", inputs: channels, outputs: channels, bias: true))
    } else {
      kind = .none
    }
  }

  var isThere: Bool { if case .none = kind { false } else { true } }

  /// (b*f, h, w, channels) -> the same shape, plus `addend`.
  func callAsFunction(_ image: Tensor, frames: Int, device: Device, adding addend: Tensor? = nil) throws -> Tensor {
    // The convolution along the frames is a 3x1 convolution over the plane (frames, pixels).
    let (rows, columns, channels) = (image.shape[1], image.shape[2], image.shape[3])
    let plane = image.reshaped([image.shape[0] / frames, frames, rows * columns, channels])
    let filtered: Tensor
    switch kind {
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
