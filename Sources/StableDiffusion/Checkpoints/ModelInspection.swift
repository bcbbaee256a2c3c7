import Text

/// What a checkpoint is, and what it lacks, without reading its numbers.
public struct ModelInspection: Sendable {
  public struct Network: Sendable {
    public let component: ModelComponent
    public let path: String
    /// Numbers in the weights that the network uses.
    public let parameterCount: Int
    /// Their bytes in the file.
    public let byteCount: Int
    /// How the file stores its numbers ("F16"), most frequent first.
    public let types: [String]
    /// Weights that are missing, misshapen or of a type that is not read.
    public let problems: [Parameters.Problem]
    /// Tensors that nothing uses; an edit refuses them.
    public let surplus: [String]
  }

  public let directory: Checkpoint
  public let networks: [Network]
  /// Whether the UNet has layers along the frames (Tune-A-Video).
  public let hasTemporalLayers: Bool
  public let vocabularySize: Int
  /// Positions of the text encoder.
  public let promptLength: Int
  public let padToken: String

  /// Whether an edit would accept the checkpoint.
  public var isComplete: Bool { networks.allSatisfy { $0.problems.isEmpty && $0.surplus.isEmpty } }

  /// - Throws: `ModelError` where a configuration or the tokenizer is damaged. Weights that do not fit are part of the
  ///   result.
  public init(_ directory: Checkpoint) throws {
    self.directory = directory
    let tokenizer = try directory.tokenizer()
    vocabularySize = tokenizer.vocabularySize
    promptLength = tokenizer.length
    padToken = tokenizer.decode(tokenizer.padToken)
    hasTemporalLayers = directory.weights(.unet).names.contains {
      let name = CheckpointKeys.canonicalName(of: $0, component: .unet)
      return name.holds(text: ".attn_temporal.") || name.holds(text: ".conv_temporal.")
    }
    networks = try ModelComponent.allCases.map { component in
      let file = directory.weights(component)
      let parameters = Parameters(component, of: directory, device: nil)
      switch component {
      case .unet: _ = try UNet(directory.unet, parameters)
      case .vae: _ = try AutoencoderKL(directory.autoencoder, parameters)
      case .textEncoder: _ = try CLIPTextEncoder(directory.textEncoder, parameters)
      }
      return Network(
        component: component, path: file.path, parameterCount: parameters.parameterCount,
        byteCount: parameters.byteCount,
        types: Self.types(in: file), problems: parameters.problems, surplus: parameters.surplus)
    }
  }

  static func types(in file: any WeightFile) -> [String] {
    var counts: [String: Int] = [:]
    for name in file.names where file.elementType(of: name) != nil {
      counts[file.typeName(of: name) ?? "?", default: 0] += 1
    }
    return counts.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.map(\.key)
  }

  // MARK: Text

  /// The description that `fatezero inspect` prints, in one text.
  public var text: String { lines.joined(separator: "\n") }

  /// The description that `fatezero inspect` prints.
  public var lines: [String] {
    var lines: [(label: String, text: String)] = [
      ("model", directory.path), ("identity", directory.identity), ("family", family), ("native size", nativeSize),
      ("prediction", directory.scheduler.predictionType.rawValue), ("scheduler", schedulerText),
      ("UNet", Self.text(of: directory.unet)),
      ("temporal layers", hasTemporalLayers ? "yes (tuned on a clip)" : "none"),
      ("VAE", Self.text(of: directory.autoencoder)),
      ("text encoder", Self.text(of: directory.textEncoder)),
      ("tokenizer", "\(vocabularySize) pieces, \(promptLength) positions, padded with \"\(padToken)\""),
    ]
    for network in networks {
      let folder = network.path.pieces(at: "/").suffix(2).joined(separator: "/")
      lines.append(
        (
          "weights",
          "\(folder): \(Self.count(network.parameterCount)) parameters, "
            + "\(network.types.joined(separator: " and ")), \(Self.megabytes(network.byteCount))"
        ))
    }
    if directory.recommendedSettings != nil { lines.append(("settings", "fatezero.json")) }
    let total = networks.reduce(0) { $0 + $1.parameterCount }
    lines.append(("total", "\(Self.count(total)) parameters"))
    let width = (lines.map(\.label.count).max() ?? 0) + 2
    var text = lines.map { $0.label + String(repeating: " ", count: width - $0.label.count) + $0.text }
    for assumption in directory.assumptions { text.append("note: \(assumption)") }
    for network in networks {
      for problem in network.problems { text.append("error: \(network.component.rawValue): \(problem)") }
      for name in network.surplus {
        text.append(
          "warning: \(network.component.rawValue): \(Parameters.Problem.surplus(name: name)); an edit refuses it")
      }
    }
    return text
  }

  private var family: String {
    let temporal = hasTemporalLayers ? ", tuned on a clip" : ""
    switch (directory.unet.crossAttentionDimension, directory.unet.blockOutChannels) {
    case (768, [320, 640, 1280, 1280]): return "Stable Diffusion 1.x" + temporal
    case (1024, [320, 640, 1280, 1280]): return "Stable Diffusion 2.x" + temporal
    default: return "latent diffusion of its own size" + temporal
    }
  }

  private var nativeSize: String {
    guard let latents = directory.unet.sampleSize else { return "not stated" }
    let pixels = latents * directory.autoencoder.downscaleFactor
    return "\(pixels)x\(pixels) pixels (\(latents)x\(latents) latents)"
  }

  private var schedulerText: String {
    let scheduler = directory.scheduler
    let betas =
      switch scheduler.betaSchedule {
      case .linear(let start, let end): "linear betas \(start) to \(end)"
      case .scaledLinear(let start, let end): "scaled_linear betas \(start) to \(end)"
      case .squaredCosine: "squaredcos_cap_v2 betas"
      case .trained: "trained betas"
      }
    return "\(scheduler.trainingSteps) training steps, \(betas), steps_offset \(scheduler.stepsOffset), "
      + "set_alpha_to_one \(scheduler.setsAlphaToOne), \(scheduler.timestepSpacing.rawValue) timesteps"
      + (scheduler.rescalesBetas ? ", zero terminal SNR" : "")
  }

  static func text(of unet: UNetConfiguration) -> String {
    "channels \(Self.list(unet.blockOutChannels)), \(unet.layersPerBlock) layers per block, "
      + "heads \(Self.list(unet.attentionHeads)), text width \(unet.crossAttentionDimension), "
      + "\(unet.usesLinearProjection ? "linear" : "convolutional") projections"
  }

  static func text(of vae: AutoencoderConfiguration) -> String {
    "channels \(Self.list(vae.blockOutChannels)), \(vae.latentChannels) latent channels, "
      + "\(vae.downscaleFactor) pixels per latent, scaling factor \(vae.scalingFactor)"
  }

  static func text(of text: TextEncoderConfiguration) -> String {
    "\(text.layers) layers of width \(text.hiddenSize), \(text.attentionHeads) heads, "
      + (text.activation == .gelu ? "gelu" : "quick_gelu")
  }

  private static func list(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: ", ") }

  /// 859520964 as "859.5 million".
  static func count(_ number: Int) -> String {
    number < 1_000_000 ? "\(number)" : "\(tenths(number, 1_000_000)) million"
  }

  private static func megabytes(_ bytes: Int) -> String { "\(tenths(bytes, 1_000_000)) MB" }

  private static func tenths(_ number: Int, _ unit: Int) -> String {
    let tenths = (number / (unit / 10) + (number % (unit / 10) >= unit / 20 ? 1 : 0))
    return "\(tenths / 10).\(tenths % 10)"
  }
}
