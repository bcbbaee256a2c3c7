import Text

/// What `scheduler/scheduler_config.json` says of the noise that the model was trained with, for DDIM, whatever sampler it
/// names: how a sampler steps through that noise is its own. Absent keys take the defaults of diffusers' `DDIMScheduler`.
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

  /// Which timesteps the steps are.
  public enum TimestepSpacing: String, Sendable, Hashable {
    /// Evenly from the first one on.
    case leading
    /// Evenly down from the last one.
    case trailing
    /// From the first to the last.
    case linspace
  }

  public let trainingSteps: Int
  public let betaSchedule: BetaSchedule
  public internal(set) var predictionType: PredictionType
  /// Whether the level before the first is noise-free (1) or that of step 0.
  public let setsAlphaToOne: Bool
  /// Added to every time step of leading ones.
  public let stepsOffset: Int
  public internal(set) var timestepSpacing: TimestepSpacing
  /// Whether the betas are scaled so that nothing but noise is left at the last timestep (Lin et al. 2023,
  /// arXiv 2305.08891).
  public internal(set) var rescalesBetas: Bool

  /// Samplers whose class is called DDIM..., and those that clip what they predict as DDIM does, where nothing is said.
  private static let ddim = ["DDIMScheduler", "DDIMInverseScheduler", "DDIMParallelScheduler"]
  private static let clipping = ddim + ["DDPMScheduler", "DDPMParallelScheduler"]

  /// - Throws: `ModelError` where a number is out of range or a feature is not implemented.
  public init(path: String) throws { try self.init(try JSONObject(path: path)) }

  /// The same, of an object that need not come from a file: its path is for messages.
  init(_ json: JSONObject) throws {
    let path = json.path
    if json.has("trained_betas"), case .array(let values)? = json.values["trained_betas"] {
      let betas = try values.map { value in
        switch value {
        case .number(let beta) where beta > 0 && beta <= 1: beta
        case .integer(1): 1.0
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
    let sampler = try Self.sampler(json)
    guard !sampler.begins(with: "FlowMatch") else {
      throw ModelError(
        .unsupported,
        "\(path): \(sampler.prefix(80)) is for models of rectified flow (Stable Diffusion 3), which are not implemented; use a "
          + "1.x or 2.x model")
    }
    let isDDIM = Self.ddim.contains(sampler)
    guard try !json.bool("clip_sample", default: Self.clipping.contains(sampler)) || Self.neverClips(sampler) else {
      throw ModelError(
        .unsupported,
        """
        \(path): clip_sample is \(json.has("clip_sample") ? "true" : "absent, which means true"); clipped samples \
        cannot be inverted. Latent models are made for "clip_sample": false; set that
        """)
    }
    try json.refuse("thresholding", unless: .bool(false), what: "thresholded samples cannot be inverted")
    rescalesBetas = try json.bool("rescale_betas_zero_snr", default: false)
    let spacing = isDDIM ? try json.string("timestep_spacing", default: "leading") : "leading"
    guard let timestepSpacing = TimestepSpacing(rawValue: spacing) else {
      throw ModelError(
        .unsupported,
        "\(path): timestep_spacing is \"\(spacing.prefix(80))\"; leading, trailing and linspace are implemented")
    }
    self.timestepSpacing = timestepSpacing
  }

  private static func sampler(_ json: JSONObject) throws -> String { try json.string("_class_name", default: ddim[0]) }

  /// Whether a sampler has no such setting, and carries another's.
  private static func neverClips(_ sampler: String) -> Bool {
    let others = ["PNDM", "Euler", "DPMSolver", "UniPC", "DEIS", "Heun", "LMS", "KDPM2"]
    return others.contains { sampler.begins(with: $0) }
  }

  /// What a file for another sampler says that means nothing for DDIM, as sentences.
  static func notes(_ json: JSONObject) -> [String] {
    guard let sampler = try? sampler(json), !ddim.contains(sampler) else { return [] }
    // Read here, or without effect where nothing is clipped; and what Stable Diffusion's own files have.
    let known: Set<String> = [
      "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
      "set_alpha_to_one", "steps_offset", "clip_sample", "thresholding", "rescale_betas_zero_snr", "clip_sample_range",
      "dynamic_thresholding_ratio", "sample_max_value", "skip_prk_steps",
    ]
    let others = json.values.filter { key, value in
      !key.begins(with: "_") && !known.contains(key) && value != .null && value != .bool(false)
        && !(key == "timestep_spacing" && value == .string(TimestepSpacing.leading.rawValue))
    }
    guard !others.isEmpty else { return [] }
    let texts = others.map { "\($0.key) \($0.value.text)" }.sorted()
    return [
      "\(json.path) is made for \(sampler.prefix(80)); DDIM takes its betas and its prediction type, and leaves that "
        + "sampler's own: \(texts.prefix(24).joined(separator: ", "))"
    ]
  }
}
