import Tensors

/// The noise schedule and the deterministic (eta = 0) DDIM update in both directions
/// (Song et al., Denoising Diffusion Implicit Models, equation 12; inversion as in FateZero, section 3.1).
public struct DDIMScheduler: Sendable {
  public let configuration: SchedulerConfiguration
  /// Number of denoising steps N.
  public let steps: Int
  /// Noise levels of the edit, from the noisiest to the cleanest: t_i = (N-1-i) * ratio + offset.
  public let timesteps: [Int]
  private let ratio: Int
  /// Cumulative products of 1 - beta for every training timestep.
  public let cumulativeAlphas: [Float]

  /// - Throws: `ModelError` where the schedule cannot be cut into that many steps.
  public init(_ configuration: SchedulerConfiguration, steps: Int) throws {
    let training = configuration.trainingSteps
    guard (1...training).contains(steps) else {
      throw ModelError(
        .unsupported, "steps is \(steps), but the model's schedule allows 1 to \(training)")
    }
    self.configuration = configuration
    self.steps = steps
    let ratio = training / steps
    self.ratio = ratio
    timesteps = (0..<steps).map { (steps - 1 - $0) * ratio + configuration.stepsOffset }
    // Accumulated in double, as PyTorch's cumprod does.
    var product = 1.0
    cumulativeAlphas = DDIMScheduler.betas(configuration).map { beta in
      product *= Double(1 - beta)
      return Float(product)
    }
    guard timesteps[0] < cumulativeAlphas.count else {
      throw ModelError(
        .unsupported,
        "\(steps) steps begin at timestep \(timesteps[0]), past the schedule's last (\(cumulativeAlphas.count - 1)): "
          + "use fewer steps")
    }
  }

  /// The share of signal at a timestep; before the first one, the final level of the configuration.
  public func cumulativeAlpha(_ timestep: Int) -> Float {
    if timestep >= 0 { return cumulativeAlphas[timestep] }
    return configuration.setsAlphaToOne ? 1 : cumulativeAlphas[0]
  }

  /// The timestep at inversion step k = 0 ..< N: that of the level which is reached, so that inversion step k and edit
  /// step N-1-k run the network at the same time.
  public func inversionTimestep(_ step: Int) -> Int { timesteps[steps - 1 - step] }

  /// One inversion step: latents of level k to level k+1.
  /// - Parameter output: The network's prediction for `latents` at `inversionTimestep(step)`.
  public func invert(_ latents: Tensor, output: Tensor, step: Int, device: Device) throws -> Tensor {
    let timestep = inversionTimestep(step)
    return try move(
      latents, output: output, from: cumulativeAlpha(timestep - ratio), to: cumulativeAlpha(timestep),
      device: device)
  }

  /// One edit step i = 0 ..< N: latents of level N-i to level N-1-i.
  public func denoise(_ latents: Tensor, output: Tensor, step: Int, device: Device) throws -> Tensor {
    let timestep = timesteps[step]
    return try move(
      latents, output: output, from: cumulativeAlpha(timestep), to: cumulativeAlpha(timestep - ratio),
      device: device)
  }

  /// sqrt(to) * (z - sqrt(1 - from) e) / sqrt(from) + sqrt(1 - to) e, with e the predicted noise.
  ///
  /// A velocity v = sqrt(a) e - sqrt(1-a) z0 (Salimans and Ho, Progressive Distillation) gives
  /// e = sqrt(a) v + sqrt(1-a) z, where a is the level of z (as diffusers' DDIMInverseScheduler has it too).
  private func move(
    _ latents: Tensor, output: Tensor, from: Float, to: Float, device: Device
  ) throws -> Tensor {
    let noise: Tensor
    switch configuration.predictionType {
    case .epsilon: noise = output
    case .velocity: noise = try device.combine(from.squareRoot(), output, (1 - from).squareRoot(), latents)
    }
    // In double: neighbouring levels nearly cancel.
    let (from, to) = (Double(from), Double(to))
    let ratio = (to / from).squareRoot()
    let noiseShare = (1 - to).squareRoot() - ratio * (1 - from).squareRoot()
    return try device.combine(Float(ratio), latents, Float(noiseShare), noise)
  }

  /// The noise added at each training timestep, in float32 as PyTorch computes it.
  private static func betas(_ configuration: SchedulerConfiguration) -> [Float] {
    let count = configuration.trainingSteps
    func evenly(_ start: Float, _ end: Float) -> [Float] {
      // Counted from the nearer end, as torch.linspace does.
      let step = count > 1 ? (end - start) / Float(count - 1) : 0
      return (0..<count).map { $0 < count / 2 ? start + step * Float($0) : end - step * Float(count - 1 - $0) }
    }
    switch configuration.betaSchedule {
    case .linear(let start, let end): return evenly(Float(start), Float(end))
    case .scaledLinear(let start, let end):
      return evenly(Float(start.squareRoot()), Float(end.squareRoot())).map { $0 * $0 }
    case .squaredCosine:
      func signal(_ time: Double) -> Double {
        let level = cosine((time + 0.008) / 1.008 * .pi / 2)
        return level * level
      }
      return (0..<count).map { index in
        let (now, next) = (Double(index) / Double(count), Double(index + 1) / Double(count))
        return Float(min(1 - signal(next) / signal(now), 0.999))
      }
    case .trained(let betas): return betas.map { Float($0) }
    }
  }
}
