import Glibc
import Tensors

/// A checkpoint as diffusers lays it out: `model_index.json`, `unet/`, `vae/`, `text_encoder/`, `tokenizer/`,
/// `scheduler/`.
public struct ModelDirectory: Sendable {
  public let path: String
  public let unet: UNetConfiguration
  public let autoencoder: AutoencoderConfiguration
  public let textEncoder: TextEncoderConfiguration
  public let scheduler: SchedulerConfiguration
  /// The text of `fatezero.json`, settings that the model's authors recommend, if there is one.
  public let recommendedSettings: String?
  /// Sixteen hexadecimal digits that differ between models: a hash of the configurations, the vocabulary, and of each
  /// tensor its name, type, shape and first numbers.
  public let identity: String
  private let unetWeights: any WeightFile
  private let autoencoderWeights: any WeightFile
  private let textEncoderWeights: any WeightFile

  /// Opens and validates everything but the fit of the weights, which `Parameters` checks.
  ///
  /// Of each network the file without a variant is taken, else the `.fp16` one; safetensors before `.bin`.
  /// - Parameter variant: the variant to take instead, of each network that has it ("fp16", "non_ema").
  /// - Throws: `ModelError`.
  public init(path: String, variant: String? = nil) throws {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    self.path = path
    try Self.checkParts(path)
    unet = try UNetConfiguration(path: path + "/unet/config.json")
    autoencoder = try AutoencoderConfiguration(path: path + "/vae/config.json")
    textEncoder = try TextEncoderConfiguration(path: path + "/text_encoder/config.json")
    scheduler = try SchedulerConfiguration(path: path + "/scheduler/scheduler_config.json")
    guard unet.inputChannels == autoencoder.latentChannels else {
      throw ModelError(
        .badData,
        "\(path): the UNet has \(unet.inputChannels) in_channels, the VAE \(autoencoder.latentChannels) "
          + "latent_channels; they must be equal"
      )
    }
    guard unet.crossAttentionDimension == textEncoder.hiddenSize else {
      throw ModelError(
        .badData,
        """
        \(path): the UNet's cross_attention_dim is \(unet.crossAttentionDimension), the text encoder's hidden_size \
        \(textEncoder.hiddenSize); they must be equal
        """)
    }
    if let variant { try WeightLocation.checkVariant(variant, in: path) }
    unetWeights = try openWeightFile(try WeightLocation.find(.unet, in: path, variant: variant))
    autoencoderWeights = try openWeightFile(try WeightLocation.find(.vae, in: path, variant: variant))
    textEncoderWeights = try openWeightFile(try WeightLocation.find(.textEncoder, in: path, variant: variant))
    let settings = path + "/fatezero.json"
    recommendedSettings =
      fileExists(settings) ? String(decoding: try fileBytes(settings, limit: 1 << 16), as: UTF8.self) : nil
    identity = try Self.identity(of: path, weights: [unetWeights, autoencoderWeights, textEncoderWeights])
  }

  /// The weights of one network.
  public func weights(_ component: ModelComponent) -> any WeightFile {
    switch component {
    case .unet: unetWeights
    case .vae: autoencoderWeights
    case .textEncoder: textEncoderWeights
    }
  }

  /// - Throws: `ModelError` where the vocabulary is absent or damaged, or the text encoder is too small for it.
  public func tokenizer() throws -> CLIPTokenizer {
    let tokenizer = try CLIPTokenizer(directory: path + "/tokenizer")
    guard tokenizer.largestToken < textEncoder.vocabularySize, tokenizer.length <= textEncoder.maximumPositions else {
      throw ModelError(
        .badData,
        """
        \(path): the tokenizer has tokens up to \(tokenizer.largestToken) and \(tokenizer.length) positions, the text \
        encoder a vocab_size of \(textEncoder.vocabularySize) and \(textEncoder.maximumPositions) positions; are the \
        two from one model?
        """)
    }
    return tokenizer
  }

  private static func checkParts(_ path: String) throws {
    guard fileExists(path) else { throw ModelError(.notFound, "there is no model at \(path)") }
    guard folderExists(path) else {
      throw ModelError(
        .unsupported,
        "\(path) is a file; a model is a folder as diffusers saves it (model_index.json, unet/, vae/, "
          + "text_encoder/, ...)"
      )
    }
    let index = path + "/model_index.json"
    guard fileExists(index) else {
      throw ModelError(
        .notFound, "\(path) is not a model: it has no model_index.json; give the folder that diffusers saved")
    }
    let json = try JSONObject(path: index)
    for (part, what) in [
      ("text_encoder_2", "Stable Diffusion XL or 3"), ("transformer", "a diffusion transformer"), ("prior", "unCLIP"),
    ]
    where json.has(part) && json.values[part] != .array([.null, .null]) {
      throw ModelError(
        .unsupported,
        "\(index) has a \(part): this is \(what), which is not implemented; use a Stable Diffusion 1.x or 2.x model")
    }
    let missing = ["unet", "vae", "text_encoder", "tokenizer", "scheduler"].filter { !folderExists(path + "/" + $0) }
    guard missing.isEmpty else {
      throw ModelError(
        .notFound,
        "\(path) is incomplete: \(missing.map { $0 + "/" }.joined(separator: ", ")) missing; download the whole model")
    }
  }

  // MARK: Identity

  private static func identity(of path: String, weights: [any WeightFile]) throws -> String {
    var hash = FowlerNollVo()
    for file in [
      "unet/config.json", "vae/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json",
      "tokenizer/vocab.json",
      "tokenizer/merges.txt", "tokenizer/special_tokens_map.json",
    ] where fileExists(path + "/" + file) {
      hash.add(try fileBytes(path + "/" + file, limit: 1 << 26))
    }
    for file in weights {
      for name in file.names {
        hash.add(Array("\(name) \(file.typeName(of: name) ?? "") \(file.shape(of: name) ?? [])".utf8))
        guard file.elementType(of: name) != nil else { continue }
        let tensor = try file.tensor(name)
        for number in tensor.reshaped([tensor.count]).rows(0..<min(tensor.count, 64)).floats {
          hash.add(number.bitPattern)
        }
      }
    }
    let digits = String(hash.value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// The 64-bit FNV-1a hash (http://www.isthe.com/chongo/tech/comp/fnv/): the same on every run and machine, which
/// `Hasher` is not.
struct FowlerNollVo {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func add(_ bytes: [UInt8]) {
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
  }

  mutating func add(_ number: UInt32) {
    for shift in [0, 8, 16, 24] as [UInt32] { value = (value ^ UInt64(number >> shift & 0xff)) &* 0x100_0000_01b3 }
  }
}

func fileExists(_ path: String) -> Bool { access(path, F_OK) == 0 }

func folderExists(_ path: String) -> Bool {
  var status = stat()
  return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}
