import Synchronization
import Tensors

/// The parts of a Stable Diffusion checkpoint, ready to run, or only opened: with every name and shape checked, but no
/// weight read. Each network's weights may leave and be loaded again.
public final class StableDiffusionModel: Sendable {
  private struct Networks {
    var textEncoder: CLIPTextEncoder
    var autoencoder: AutoencoderKL
    var unet: UNet
    var loaded: Set<ModelComponent> = []
  }

  public let tokenizer: CLIPTokenizer
  public let schedulerConfiguration: SchedulerConfiguration
  /// Changes with the checkpoint's content.
  public let identity: String
  /// Numbers in the weights of each network.
  public let parameterCounts: [ModelComponent: Int]
  private let checkpoint: Checkpoint
  private let opened: Networks
  private let networks: Mutex<Networks>

  /// - Parameters:
  ///   - device: Where the weights are packed; nil opens the checkpoint only.
  ///   - components: The networks whose weights are packed.
  ///   - progress: Told after each of them its share of their work so far, 0...1.
  /// - Throws: `ModelError` listing what is missing or wrong, `CancellationRequested`.
  public init(
    _ directory: Checkpoint, device: Device?, components: Set<ModelComponent> = Set(ModelComponent.allCases),
    surplus: Parameters.SurplusPolicy = .refuse, progress: (Double) -> Void = { _ in }
  ) throws {
    checkpoint = directory
    tokenizer = try directory.tokenizer()
    schedulerConfiguration = directory.scheduler
    identity = directory.identity

    var counts: [ModelComponent: Int] = [:]
    func open<Network>(_ component: ModelComponent, _ make: (Parameters) throws -> Network) throws -> Network {
      let parameters = Parameters(component, of: directory, device: nil)
      let network = try make(parameters)
      try parameters.finish(surplus: surplus)
      counts[component] = parameters.parameterCount
      return network
    }
    opened = Networks(
      textEncoder: try open(.textEncoder) {
        try CLIPTextEncoder(directory.textEncoder, $0, added: directory.addedWords.tables)
      },
      autoencoder: try open(.vae) { try AutoencoderKL(directory.autoencoder, $0) },
      unet: try open(.unet) { try UNet(directory.unet, $0) })
    parameterCounts = counts
    networks = Mutex(opened)

    guard let device else { return }
    for (component, share) in [(ModelComponent.textEncoder, 0.1), (.vae, 0.2), (.unet, 1)]
    where components.contains(component) {
      try load(component, on: device)
      progress(share)
    }
  }

  /// What is merged into the weights.
  public var loras: [Checkpoint.LoRA] { checkpoint.options.loras }
  public var textEncoder: CLIPTextEncoder { networks.withLock(\.textEncoder) }
  public var autoencoder: AutoencoderKL { networks.withLock(\.autoencoder) }
  public var unet: UNet { networks.withLock(\.unet) }
  /// The networks whose weights are there.
  public var loaded: Set<ModelComponent> { networks.withLock(\.loaded) }
  /// Numbers in the weights.
  public var parameterCount: Int { parameterCounts.values.reduce(0, +) }

  /// Packs the weights of a network on a device: that of the others.
  /// - Throws: `ModelError` where its file was changed since it was opened, `CancellationRequested`.
  public func load(_ component: ModelComponent, on device: Device) throws {
    try checkpoint.checkUnchanged(component)
    let parameters = Parameters(component, of: checkpoint, device: device)
    // What fits was found when it was opened.
    defer { parameters.releasePages() }
    switch component {
    case .textEncoder:
      let network = try CLIPTextEncoder(checkpoint.textEncoder, parameters, added: checkpoint.addedWords.tables)
      networks.withLock { $0.textEncoder = network }
    case .vae:
      let network = try AutoencoderKL(checkpoint.autoencoder, parameters)
      networks.withLock { $0.autoencoder = network }
    case .unet:
      let network = try UNet(checkpoint.unet, parameters)
      networks.withLock { $0.unet = network }
    }
    networks.withLock { _ = $0.loaded.insert(component) }
  }

  /// Lets the weights of a network leave, once nobody runs it any more. It stays open.
  public func unload(_ component: ModelComponent) {
    networks.withLock { networks in
      switch component {
      case .textEncoder: networks.textEncoder = opened.textEncoder
      case .vae: networks.autoencoder = opened.autoencoder
      case .unet: networks.unet = opened.unet
      }
      networks.loaded.remove(component)
    }
  }
}
