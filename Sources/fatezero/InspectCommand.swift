import ArgumentParser
import FateZero
import StableDiffusion
import Tensors

/// `fatezero inspect`: what a checkpoint is.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Print what a checkpoint is: architecture, sizes, precision, parameters, and what is missing or left over.")

  @Argument(
    help: ArgumentHelp(
      "Folder of a Stable Diffusion checkpoint in diffusers' layout; by default the model that edit would take.",
      valueName: "model"), completion: .directory)
  var model: String?

  @Option(help: ArgumentHelp("Take the weights of this variant where there are such, like fp16.", valueName: "name"))
  var variant: String?

  func run() throws {
    let path = try EditJob.findModel(model)
    let directory = try ModelDirectory(path: path, variant: variant)
    print(Self.overview(directory))
    var isWhole = true
    for component in [ModelComponent.textEncoder, .vae, .unet] {
      let report = try Self.weights(of: component, in: directory)
      print(report.text)
      isWhole = isWhole && report.isWhole
    }
    _ = try directory.tokenizer()
    if let recommended = directory.recommendedSettings {
      let layer = try ModelDefaults.layer(json: Array(recommended.utf8))
      print("recommended settings: " + layer.map { "\($0.name)=\($0.text)" }.joined(separator: " "))
    }
    if !isWhole { throw CommandFailure(.data, "\(path) is incomplete or damaged") }
  }

  static func overview(_ directory: ModelDirectory) -> String {
    let unet = directory.unet
    let factor = directory.autoencoder.downscaleFactor
    let native = unet.sampleSize.map { "\($0 * factor)x\($0 * factor)" } ?? "not said"
    let prediction = directory.scheduler.predictionType == .epsilon ? "noise (epsilon)" : "velocity (v-prediction)"
    let text = directory.textEncoder
    return """
      model: \(directory.path)
      identity: \(directory.identity)
      native size: \(native) pixels, \(factor) per latent cell
      predicts: \(prediction), trained on \(directory.scheduler.trainingSteps) steps
      UNet: levels \(list(unet.blockOutChannels)), heads \(list(unet.attentionHeads)), \(Numerals.count(unet.layersPerBlock, "layer")) each, \
      \(unet.usesLinearProjection ? "linear" : "convolutional") projections, text width \(unet.crossAttentionDimension)
      VAE: levels \(list(directory.autoencoder.blockOutChannels)), \(directory.autoencoder.latentChannels) latent channels, \
      scaling factor \(directory.autoencoder.scalingFactor)
      text encoder: \(Numerals.count(text.layers, "layer")), width \(text.hiddenSize), \(Numerals.count(text.attentionHeads, "head")), \
      vocabulary \(text.vocabularySize)
      """
  }

  private static func list(_ numbers: [Int]) -> String { numbers.map { "\($0)" }.joined(separator: " ") }

  /// Names and shapes are checked; no weight is read.
  static func weights(of component: ModelComponent, in directory: ModelDirectory) throws -> (text: String, isWhole: Bool) {
    let file = directory.weights(component)
    let parameters = Parameters(file, device: nil, component: component)
    var extra = ""
    switch component {
    case .textEncoder: _ = try CLIPTextEncoder(directory.textEncoder, parameters)
    case .vae: _ = try AutoencoderKL(directory.autoencoder, parameters)
    case .unet:
      let unet = try UNet(directory.unet, parameters)
      if unet.hasTemporalAttention { extra = ", with temporal attention (tuned on a clip)" }
    }
    let types = Set(file.names.compactMap { file.elementType(of: $0)?.rawValue }).sorted()
    var lines = [
      "\(component.rawValue): \(file.path)",
      "  \(Numerals.fixed(Double(parameters.parameterCount) / 1e6, digits: 2)) million parameters, "
        + "\(types.joined(separator: " and ")), \(Numerals.bytes(parameters.byteCount))\(extra)",
    ]
    lines += parameters.problems.map { "  problem: \($0)" }
    lines += parameters.surplus.map { "  warning: \($0) is not part of this network" }
    return (lines.joined(separator: "\n"), parameters.problems.isEmpty)
  }
}
