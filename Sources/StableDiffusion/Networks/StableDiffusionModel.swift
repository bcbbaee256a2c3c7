import Tensors

/// The parts of a Stable Diffusion checkpoint, ready to run, or only opened: with every name and shape checked, but no
/// weight read.
public final class StableDiffusionModel: Sendable {
  public let tokenizer: CLIPTokenizer
  public let textEncoder: CLIPTextEncoder
  public let autoencoder: AutoencoderKL
  public let unet: UNet
  public let schedulerConfiguration: SchedulerConfiguration
  /// Changes with the checkpoint's content.
  public let identity: String
  /// Numbers in the weights.
  public let parameterCount: Int

  /// - Parameters:
  ///   - device: Where the weights are packed; nil opens the checkpoint only.
  ///   - progress: Told the share of the components that are done, 0...1.
  /// - Throws: `ModelError` listing what is missing or wrong, `CancellationRequested`.
  public init(
    _ directory: Checkpoint, device: Device?, surplus: Parameters.SurplusPolicy = .refuse,
    progress: (Double) -> Void = { _ in }
  ) throws {
    tokenizer = try directory.tokenizer()
    schedulerConfiguration = directory.scheduler
    identity = directory.identity

    var parameters = Parameters(.textEncoder, of: directory, device: device)
    textEncoder = try CLIPTextEncoder(directory.textEncoder, parameters, added: directory.addedWords.tables)
    try parameters.finish(surplus: surplus)
    var count = parameters.parameterCount
    progress(0.1)

    parameters = Parameters(.vae, of: directory, device: device)
    autoencoder = try AutoencoderKL(directory.autoencoder, parameters)
    try parameters.finish(surplus: surplus)
    count += parameters.parameterCount
    progress(0.2)

    parameters = Parameters(.unet, of: directory, device: device)
    unet = try UNet(directory.unet, parameters)
    try parameters.finish(surplus: surplus)
    parameterCount = count + parameters.parameterCount
    progress(1)
  }
}
