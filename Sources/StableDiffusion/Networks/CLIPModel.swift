import Tensors

/// A whole CLIP (Radford et al. 2021, arXiv 2103.00020): images and texts to features of one space, compared by the
/// cosine of their angle. From a folder in the layout of transformers: `config.json`, `preprocessor_config.json`,
/// weights, and the vocabulary.
public final class CLIPModel: Sendable {
  public let path: String
  public let tokenizer: CLIPTokenizer
  public let textEncoder: CLIPTextEncoder
  public let visionEncoder: CLIPVisionEncoder
  public let imageProcessor: CLIPImageProcessor
  private let textProjection: Linear, visualProjection: Linear
  /// The token whose state stands for the text; nil: that of the highest number.
  private let endToken: Int?

  /// - Parameter place: the folder, or `ORG/NAME` of the Hugging Face cache.
  /// - Throws: `ModelError` where something is missing, damaged or not implemented; `CancellationRequested`.
  public init(_ place: String, device: Device) throws {
    let path = try ModelLocation.place(place)
    self.path = path
    guard folderExists(path) else { throw ModelError(.notFound, "there is no folder of a CLIP at \(path)") }
    let json = try JSONObject(path: "\(path)/config.json")
    guard case .object(let text)? = json.values["text_config"], case .object(let vision)? = json.values["vision_config"]
    else {
      throw ModelError(
        .badData, "\(json.path) is not of a CLIP with both towers: text_config or vision_config is missing")
    }
    let textConfiguration = try TextEncoderConfiguration(json)
    let visionConfiguration = try VisionEncoderConfiguration(JSONObject(path: json.path, values: vision))
    let features = try json.integer("projection_dim", default: 512, in: 1...16384)
    // Older configurations name another token here, and mean the last of the vocabulary, as transformers knows.
    let end = try JSONObject(path: json.path, values: text).integer(
      "eos_token_id", default: 49407, in: 0...1_000_000)
    endToken = end == 2 ? nil : end

    imageProcessor = CLIPImageProcessor(
      try ImageProcessorConfiguration(path: "\(path)/preprocessor_config.json"))
    guard imageProcessor.configuration.cropSize == visionConfiguration.imageSize else {
      throw ModelError(
        .badData,
        "\(path): preprocessor_config.json makes images of \(imageProcessor.configuration.cropSize) pixels, "
          + "config.json wants \(visionConfiguration.imageSize)")
    }
    tokenizer = try CLIPTokenizer(
      directory: TokenizerVocabulary.isIn(path) ? path : try ModelLocation.clipVocabulary())
    guard tokenizer.largestToken < textConfiguration.vocabularySize,
      tokenizer.length <= textConfiguration.maximumPositions
    else {
      throw ModelError(
        .badData,
        "\(path): the tokenizer has tokens up to \(tokenizer.largestToken) and \(tokenizer.length) positions, the "
          + "text tower a vocab_size of \(textConfiguration.vocabularySize) and "
          + "\(textConfiguration.maximumPositions) positions")
    }

    let parameters = Parameters(
      try openWeightFile(try WeightLocation.find(.textEncoder, in: path, variant: nil)), device: device,
      component: .textEncoder, title: "CLIP")
    textEncoder = try CLIPTextEncoder(textConfiguration, parameters)
    textProjection = try parameters.linear(
      "text_projection", inputs: textConfiguration.hiddenSize, outputs: features, bias: false)
    visionEncoder = try CLIPVisionEncoder(visionConfiguration, parameters.scope("vision_model"))
    visualProjection = try parameters.linear(
      "visual_projection", inputs: visionConfiguration.hiddenSize, outputs: features, bias: false)
    try parameters.finish()
  }

  /// A picture's place in the common space, not normalised.
  /// - Parameter pixels: packed 8-bit RGB, row by row.
  public func features(ofImage pixels: [UInt8], width: Int, height: Int, device: Device) throws -> [Float] {
    let side = visionEncoder.configuration.imageSize
    let image = try Tensor(
      try imageProcessor(pixels, width: width, height: height), shape: [1, side, side, 3])
    return try visualProjection(try visionEncoder(image, device: device), device: device).floats
  }

  /// A text's place in the common space, not normalised; `lost` is what was beyond the longest text.
  public func features(ofText text: String, device: Device) throws -> (features: [Float], lost: String?) {
    let (tokens, lost) = tokenizer.padded(text)
    let place = endToken.map { tokens.firstIndex(of: $0) ?? 0 } ?? tokens.firstIndex(of: tokens.max() ?? 0) ?? 0
    let states = try textEncoder(tokens, device: device)
    let state = states.reshaped([tokens.count, textEncoder.configuration.hiddenSize]).rows(place..<place + 1)
    return (try textProjection(state, device: device).floats, lost)
  }
}
