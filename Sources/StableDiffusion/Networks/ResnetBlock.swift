import Tensors

/// The residual block of the UNet and the autoencoder: two normalised 3x3 convolutions, the time embedding between them.
struct ResnetBlock: Sendable {
  private let norm1: Normalization, norm2: Normalization
  private let conv1: PseudoConvolution, conv2: PseudoConvolution
  private let timeProjection: Linear?
  private let shortcut: Convolution?
  private let groups: Int
  private let epsilon: Float

  /// - Parameter timeChannels: Width of the time embedding, nil in the autoencoder.
  init(
    _ parameters: Parameters, inputs: Int, outputs: Int, timeChannels: Int?, groups: Int, epsilon: Float
  ) throws {
    self.groups = groups
    self.epsilon = epsilon
    norm1 = try parameters.normalization("norm1", channels: inputs)
    conv1 = try PseudoConvolution(parameters, "conv1", inputs: inputs, outputs: outputs)
    timeProjection = try timeChannels.map {
      try parameters.linear("time_emb_proj", inputs: $0, outputs: outputs)
    }
    norm2 = try parameters.normalization("norm2", channels: outputs)
    conv2 = try PseudoConvolution(parameters, "conv2", inputs: outputs, outputs: outputs)
    shortcut =
      inputs == outputs
      ? nil : try parameters.convolution("conv_shortcut", inputs: inputs, outputs: outputs, kernel: 1)
  }

  /// (b*f, h, w, inputs) -> (b*f, h, w, outputs).
  ///
  /// - Parameters:
  ///   - frames: f. The normalisations take mean and variance over all frames of a clip, as the reference does.
  ///   - time: The activated time embedding (1, timeChannels).
  func callAsFunction(_ x: Tensor, frames: Int, time: Tensor?, device: Device) throws -> Tensor {
    var hidden = try norm1.group(
      x, groups: groups, frames: frames, epsilon: epsilon, activation: .silu, asFactors: conv1.takesFactors(like: x),
      device: device)
    hidden = try conv1(hidden, frames: frames, device: device)
    if let time, let timeProjection {
      hidden = try device.addChannels(hidden, try timeProjection(time, device: device))
    }
    hidden = try norm2.group(
      hidden, groups: groups, frames: frames, epsilon: epsilon, activation: .silu,
      asFactors: conv2.takesFactors(like: hidden), device: device)
    let residual = try shortcut.map { try $0(x, device: device) } ?? x
    return try conv2(hidden, frames: frames, device: device, adding: residual)
  }
}

extension Normalization {
  /// Group normalisation of (n, ..., channels) with statistics over `frames` consecutive frames.
  func group(
    _ x: Tensor, groups: Int, frames: Int, epsilon: Float, activation: Activation = .none, asFactors: Bool = false,
    device: Device
  ) throws -> Tensor {
    let (weight, bias) = try loaded
    return try device.groupNorm(
      x, groups: groups, framesPerStatistic: frames, weight: weight, bias: bias, epsilon: epsilon,
      activation: activation, asFactors: asFactors)
  }

  /// Layer normalisation over the channels.
  func layer(_ x: Tensor, epsilon: Float, asFactors: Bool = false, device: Device) throws -> Tensor {
    let (weight, bias) = try loaded
    return try device.layerNorm(x, weight: weight, bias: bias, epsilon: epsilon, asFactors: asFactors)
  }

  private var loaded: (Tensor, Tensor) {
    get throws {
      guard let weight, let bias else { throw ModelError(.badData, "the weights of a normalisation are not loaded") }
      return (weight, bias)
    }
  }
}
