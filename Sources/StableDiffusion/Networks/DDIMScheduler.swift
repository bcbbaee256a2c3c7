import Tensors

/// The noise schedule and the deterministic (eta = 0) DDIM update in both directions
/// (Song et al., Denoising Diffusion Implicit Models, equation 12; inversion as in FateZero, section 3.1).
public struct DDIMScheduler: Sendable {
  public let configuration: SchedulerConfiguration
  /// Number of denoising steps N.
  public let steps: Int
  /// Noise levels of the edit, from the noisiest to the cleanest.
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
    timesteps = DDIMScheduler.timesteps(configuration, steps: steps)
    let betas = DDIMScheduler.betas(configuration)
    cumulativeAlphas = DDIMScheduler.cumulativeAlphas(
      configuration.rescalesBetas ? DDIMScheduler.rescaled(betas) : betas)
    guard timesteps[0] < cumulativeAlphas.count else {
      throw ModelError(
        .unsupported,
        "\(steps) steps begin at timestep \(timesteps[0]), past the schedule's last (\(cumulativeAlphas.count - 1)): "
          + "use fewer steps")
    }
    guard configuration.predictionType == .velocity || timesteps.allSatisfy({ cumulativeAlphas[$0] > 0 }) else {
      throw ModelError(
        .unsupported,
        "the schedule begins at pure noise (zero terminal SNR), where a prediction of the noise says nothing of the picture: "
          + "set prediction-type to v_prediction, or timestep_spacing in scheduler_config.json to leading")
    }
  }

  /// As diffusers' `DDIMScheduler` has them; halves are rounded to even.
  private static func timesteps(_ configuration: SchedulerConfiguration, steps: Int) -> [Int] {
    let training = configuration.trainingSteps
    switch configuration.timestepSpacing {
    case .leading: return (0..<steps).map { (steps - 1 - $0) * (training / steps) + configuration.stepsOffset }
    case .trailing:
      let ratio = Double(training) / Double(steps)
      return (0..<steps).map { max(Int((Double(training) - Double($0) * ratio).rounded(.toNearestOrEven)) - 1, 0) }
    case .linspace:
      guard steps > 1 else { return [0] }
      let ratio = Double(training - 1) / Double(steps - 1)
      return (0..<steps).map { Int((Double(steps - 1 - $0) * ratio).rounded(.toNearestOrEven)) }
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

  /// sqrt(to) z0 + sqrt(1 - to) e, with e the predicted noise and z0 = (z - sqrt(1 - from) e) / sqrt(from).
  ///
  /// A velocity v = sqrt(a) e - sqrt(1-a) z0 (Salimans and Ho, Progressive Distillation) gives
  /// z0 = sqrt(a) z - sqrt(1-a) v and e = sqrt(a) v + sqrt(1-a) z, where a is the level of z (as diffusers'
  /// DDIMInverseScheduler has it too): nothing is divided, and a may be 0.
  private func move(
    _ latents: Tensor, output: Tensor, from: Float, to: Float, device: Device
  ) throws -> Tensor {
    // In double: neighbouring levels nearly cancel.
    let (from, to) = (Double(from), Double(to))
    let (latentsShare, outputShare): (Double, Double)
    switch configuration.predictionType {
    case .epsilon:
      latentsShare = (to / from).squareRoot()
      outputShare = (1 - to).squareRoot() - latentsShare * (1 - from).squareRoot()
    case .velocity:
      latentsShare = (to * from).squareRoot() + ((1 - to) * (1 - from)).squareRoot()
      outputShare = ((1 - to) * from).squareRoot() - (to * (1 - from)).squareRoot()
    }
    return try device.combine(Float(latentsShare), latents, Float(outputShare), output)
  }

  /// Accumulated in double, as PyTorch's cumprod does.
  private static func cumulativeAlphas(_ betas: [Float]) -> [Float] {
    var product = 1.0
    return betas.map { beta in
      product *= Double(1 - beta)
      return Float(product)
    }
  }

  /// The betas whose cumulative alphas have square roots of the same shape, but reach zero at the end (Lin et al. 2023,
  /// algorithm 1).
  private static func rescaled(_ betas: [Float]) -> [Float] {
    let roots = cumulativeAlphas(betas).map { $0.squareRoot() }
    guard let first = roots.first, let last = roots.last, first > last else { return betas }
    let alphas = roots.map { root in
      let rescaled = (root - last) * (first / (first - last))
      return rescaled * rescaled
    }
    return alphas.indices.map { 1 - ($0 == 0 ? alphas[0] : alphas[$0] / alphas[$0 - 1]) }
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
