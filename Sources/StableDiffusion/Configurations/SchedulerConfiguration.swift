/// What `scheduler/scheduler_config.json` says, read as for DDIM whatever scheduler it names; absent keys take the
/// defaults of diffusers' `DDIMScheduler`.
public struct SchedulerConfiguration: Sendable, Hashable {
  public enum BetaSchedule: Sendable, Hashable {
    /// Evenly spaced from `start` to `end`.
    case linear(start: Double, end: Double)
    /// Square roots evenly spaced (Stable Diffusion).
    case scaledLinear(start: Double, end: Double)
    /// Glide's cosine schedule.
    case squaredCosine
    case trained([Double])
  }

  public enum PredictionType: String, Sendable, Hashable {
    /// The network predicts the noise.
    case epsilon
    /// The network predicts the velocity (SD 2.x at 768 pixels).
    case velocity = "v_prediction"
  }

  public let trainingSteps: Int
  public let betaSchedule: BetaSchedule
  public internal(set) var predictionType: PredictionType
  /// Whether the level before the first is noise-free (1) or that of step 0.
  public let setsAlphaToOne: Bool
  /// Added to every time step.
  public let stepsOffset: Int

  /// - Throws: `ModelError` where a number is out of range or a feature is not implemented.
  public init(path: String) throws { try self.init(try JSONObject(path: path)) }

  /// The same, of an object that need not come from a file: its path is for messages.
  init(_ json: JSONObject) throws {
    let path = json.path
    if json.has("trained_betas"), case .array(let values)? = json.values["trained_betas"] {
      let betas = try values.map { value in
        switch value {
        case .number(let beta) where beta > 0 && beta < 1: beta
        default: throw json.mismatch("trained_betas", value, "a list of numbers between 0 and 1")
        }
      }
      // The step ratio follows num_train_timesteps, whatever the length of the list, as in diffusers.
      trainingSteps = try json.integer("num_train_timesteps", default: 1000, in: 1...100_000)
      betaSchedule = .trained(betas)
      guard (1...100_000).contains(betas.count) else {
        throw ModelError(.badData, "\(path): trained_betas has \(betas.count) numbers; it must have 1 to 100000")
      }
    } else {
      trainingSteps = try json.integer("num_train_timesteps", default: 1000, in: 1...100_000)
      let start = try json.number("beta_start", default: 0.0001, in: 1e-8...0.999)
      let end = try json.number("beta_end", default: 0.02, in: 1e-8...0.999)
      let schedule = try json.string("beta_schedule", default: "linear")
      switch schedule {
      case "linear": betaSchedule = .linear(start: start, end: end)
      case "scaled_linear": betaSchedule = .scaledLinear(start: start, end: end)
      case "squaredcos_cap_v2": betaSchedule = .squaredCosine
      default:
        throw ModelError(
          .unsupported,
          "\(path): beta_schedule is \"\(schedule.prefix(80))\"; linear, scaled_linear, squaredcos_cap_v2 and "
            + "trained_betas are implemented"
        )
      }
    }
    let prediction = try json.string("prediction_type", default: "epsilon")
    guard let predictionType = PredictionType(rawValue: prediction) else {
      throw ModelError(
        .unsupported,
        "\(path): prediction_type is \"\(prediction.prefix(80))\"; epsilon and v_prediction are implemented")
    }
    self.predictionType = predictionType
    setsAlphaToOne = try json.bool("set_alpha_to_one", default: true)
    stepsOffset = try json.integer("steps_offset", default: 0, in: 0...100_000)
    guard stepsOffset < trainingSteps else {
      throw ModelError(.badData, "\(path): steps_offset \(stepsOffset) leaves no step of \(trainingSteps)")
    }
    guard try !json.bool("clip_sample", default: true) else {
      throw ModelError(
        .unsupported,
        """
        \(path): clip_sample is \(json.has("clip_sample") ? "true" : "absent, which means true"); clipped samples \
        cannot be inverted. Latent models are made for "clip_sample": false; set that
        """)
    }
    try json.refuse("thresholding", unless: .bool(false), what: "thresholded samples cannot be inverted")
    try json.refuse("timestep_spacing", unless: .string("leading"), what: "only \"leading\" is implemented")
    try json.refuse("rescale_betas_zero_snr", unless: .bool(false), what: "rescaled betas are not implemented")
  }
}
