import Glibc
import Tensors
import Text

/// A model as it is read: configurations, a vocabulary, and the weights of three networks, from a folder of diffusers or
/// from one file.
public struct Checkpoint: Sendable {
  /// What the model's place leaves open.
  public struct Options: Sendable, Hashable {
    /// The variant to take of each network that has it ("fp16", "non_ema"); of folders only.
    public var variant: String?
    /// What the network predicts, over what the model says of itself.
    public var predictionType: SchedulerConfiguration.PredictionType?
    /// Networks that take the place of the model's own: a file, a folder, or `ORG/NAME` of the Hugging Face cache.
    public var unet: String?, vae: String?
    /// In the order in which they are merged.
    public var loras: [LoRA]
    public var embeddings: [Embedding]

    public init(
      variant: String? = nil, predictionType: SchedulerConfiguration.PredictionType? = nil, unet: String? = nil,
      vae: String? = nil, loras: [LoRA] = [], embeddings: [Embedding] = []
    ) {
      self.variant = variant
      self.predictionType = predictionType
      self.unet = unet
      self.vae = vae
      self.loras = loras
      self.embeddings = embeddings
    }
  }

  /// A LoRA or one of its relatives to be merged into the model's weights.
  public struct LoRA: Sendable, Hashable {
    /// A file, a folder, or `ORG/NAME` of the Hugging Face cache.
    public var path: String
    /// Of its change; 1 is as it was trained.
    public var weight: Float

    public init(path: String, weight: Float = 1) { (self.path, self.weight) = (path, weight) }
  }

  /// A textual inversion, under the word that means it in prompts.
  public struct Embedding: Sendable, Hashable {
    /// Nil: what the file calls its words, or, where it does not, its own name without the ending.
    public var word: String?
    /// A file, a folder, or `ORG/NAME` of the Hugging Face cache.
    public var path: String

    public init(word: String?, path: String) { (self.word, self.path) = (word, path) }
  }

  /// What a layout has to say.
  struct Parts: Sendable {
    var unet: UNetConfiguration
    var autoencoder: AutoencoderConfiguration
    var textEncoder: TextEncoderConfiguration
    var scheduler: SchedulerConfiguration
    var unetWeights: any WeightFile
    var autoencoderWeights: any WeightFile
    var textEncoderWeights: any WeightFile
    /// With a vocabulary as `TokenizerVocabulary` reads it.
    var tokenizerFolder: String
    /// What fills a short prompt; nil where the tokenizer's folder says so.
    var padToken: String?
    var recommendedSettings: String?
    /// What was taken for granted, as sentences.
    var assumptions: [String]
  }

  public let path: String
  public let options: Options
  private let parts: Parts
  let changes: WeightChanges
  let addedWords: AddedWords
  /// Sixteen hexadecimal digits that differ between models: a hash of the configurations, the vocabulary, and of each
  /// tensor its name, type, shape and first numbers; of those of adapters and textual inversions too.
  public let identity: String

  public var unet: UNetConfiguration { parts.unet }
  public var autoencoder: AutoencoderConfiguration { parts.autoencoder }
  public var textEncoder: TextEncoderConfiguration { parts.textEncoder }
  public var scheduler: SchedulerConfiguration { parts.scheduler }
  /// The text of `fatezero.json`, settings that the model's authors recommend, if there is one.
  public var recommendedSettings: String? { parts.recommendedSettings }
  /// What the model does not say of itself and was taken for granted, as sentences for people.
  public var assumptions: [String] { parts.assumptions }

  /// Opens and validates everything but the fit of the weights, which `Parameters` checks.
  /// - Throws: `ModelError`.
  public init(path: String, options: Options = Options()) throws {
    let path = path.count > 1 && path.ends(with: "/") ? String(path.dropLast()) : path
    guard fileExists(path) else { throw ModelError(.notFound, "there is no model at \(path)") }
    self.path = path
    self.options = options
    // The model need not have what another takes the place of.
    var replacements: [ModelComponent: SingleNetwork.Parts] = [:]
    for case (let component, let place?) in [(ModelComponent.unet, options.unet), (.vae, options.vae)] {
      replacements[component] = try SingleNetwork.parts(
        component, at: ModelLocation.place(place), variant: options.variant)
    }
    var parts: Parts
    if folderExists(path), let file = ModelDirectory.singleFile(in: path) {
      parts = try SingleFile.parts(file, options: options, replacements: replacements)
    } else if folderExists(path) {
      parts = try ModelDirectory.parts(path, variant: options.variant, replacements: replacements)
    } else {
      parts = try SingleFile.parts(path, options: options, replacements: replacements)
    }
    if let predictionType = options.predictionType { parts.scheduler.predictionType = predictionType }
    try Self.checkFit(parts, path: path)
    let adapters = try options.loras.map {
      (file: try AdapterFile(try ModelLocation.place($0.path)), weight: $0.weight)
    }
    changes = try WeightChanges(adapters, model: path) { Self.weights($0, in: parts) }
    parts.assumptions += changes.notes
    let words = try Self.words(options.embeddings, adapters.map(\.file), assumptions: &parts.assumptions)
    addedWords = try AddedWords(
      words, firstToken: parts.textEncoder.vocabularySize, width: parts.textEncoder.hiddenSize)
    self.parts = parts
    identity = try Self.identity(of: parts, adapters: adapters, words: addedWords)
  }

  /// The words of embeddings, then those that adapters bring along. Of two of one name the first is taken.
  private static func words(
    _ embeddings: [Embedding], _ adapters: [AdapterFile], assumptions: inout [String]
  ) throws -> [(word: String, inversion: TextualInversion)] {
    var words: [(word: String, inversion: TextualInversion)] = []
    func add(_ word: String, _ inversion: TextualInversion) {
      guard !word.isEmpty, !word.contains(where: \.isWhitespace) else {
        assumptions.append("\(inversion.path): not used is the word \"\(word)\", which is no single word")
        return
      }
      guard let other = words.first(where: { $0.word.lowercased() == word.lowercased() }) else {
        words.append((word, inversion))
        return
      }
      assumptions.append("\(inversion.path): not used is its word \(word), which \(other.inversion.path) gives too")
    }
    for embedding in embeddings {
      let own = try TextualInversion.words(embedding.word, at: ModelLocation.place(embedding.path))
      for (word, inversion) in own { add(word, inversion) }
    }
    for adapter in adapters {
      let own = try adapter.words.map {
        ($0.word, try TextualInversion(adapter.file, tensor: $0.tensor, layout: .webUI, token: $0.word))
      }
      for (word, inversion) in own { add(word, inversion) }
      if !own.isEmpty {
        assumptions.append("\(adapter.path) brings words for prompts: \(own.map(\.0).joined(separator: ", "))")
      }
    }
    return words
  }

  /// The weights of one network.
  public func weights(_ component: ModelComponent) -> any WeightFile { Self.weights(component, in: parts) }

  private static func weights(_ component: ModelComponent, in parts: Parts) -> any WeightFile {
    switch component {
    case .unet: parts.unetWeights
    case .vae: parts.autoencoderWeights
    case .textEncoder: parts.textEncoderWeights
    }
  }

  /// - Throws: `ModelError` where the files of a network were written to since they were opened.
  func checkUnchanged(_ component: ModelComponent) throws {
    try weights(component).checkUnchanged()
    for entry in (changes.entries[component] ?? [:]).values.joined() { try entry.file.checkUnchanged() }
  }

  /// - Throws: `ModelError` where the vocabulary is absent or damaged, or the text encoder is too small for it.
  public func tokenizer() throws -> CLIPTokenizer {
    let tokenizer = try CLIPTokenizer(
      directory: parts.tokenizerFolder, padToken: parts.padToken, added: addedWords.words)
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

  private static func checkFit(_ parts: Parts, path: String) throws {
    let (unet, autoencoder, textEncoder) = (parts.unet, parts.autoencoder, parts.textEncoder)
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
  }

  // MARK: Identity

  private static func identity(
    of parts: Parts, adapters: [(file: AdapterFile, weight: Float)], words: AddedWords
  ) throws -> String {
    var hash = FowlerNollVo()
    func add(_ text: String) { hash.add(Array(text.utf8)) }
    func add(_ file: any WeightFile) throws {
      for name in file.names {
        add("\(name) \(file.typeName(of: name) ?? "") \(file.shape(of: name) ?? [])")
        guard file.elementType(of: name) != nil else { continue }
        for number in try file.stored(name).first(64) { hash.add(number.bitPattern) }
      }
    }
    for text in [
      "\(parts.unet)", "\(parts.autoencoder)", "\(parts.textEncoder)", "\(parts.scheduler)", parts.padToken ?? "",
    ] { add(text) }
    for file in TokenizerVocabulary.files(in: parts.tokenizerFolder) + [
      "\(parts.tokenizerFolder)/special_tokens_map.json"
    ]
    where fileExists(file) {
      hash.add(try fileBytes(file, limit: 1 << 26))
    }
    for file in [parts.unetWeights, parts.autoencoderWeights, parts.textEncoderWeights] { try add(file) }
    for (adapter, weight) in adapters {
      // What whole numbers say, such as an alpha, is in the scales.
      add("lora \(weight) \(adapter.layers.map(\.change.scale))")
      try add(adapter.file)
    }
    for (word, table) in zip(words.words, words.tables) {
      add("\(word)")
      for number in table.floats { hash.add(number.bitPattern) }
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
