/// What a CLIP's `preprocessor_config.json` says about images on their way into it.
public struct ImageProcessorConfiguration: Sendable, Hashable {
  /// Pixels of the shorter side after scaling.
  public let shortestEdge: Int
  /// Pixels along each side of what is cut from the middle.
  public let cropSize: Int
  /// Of the red, green and blue numbers of 0...1.
  public let mean: [Float], standardDeviation: [Float]

  /// - Throws: `ModelError` where a number is out of range or a feature is not implemented.
  public init(path: String) throws {
    let json = try JSONObject(path: path)
    shortestEdge = try Self.side(json, "size", part: "shortest_edge")
    cropSize = try Self.side(json, "crop_size", part: "height")
    guard cropSize == (try Self.side(json, "crop_size", part: "width")), cropSize <= shortestEdge else {
      throw ModelError(
        .unsupported,
        "\(path): crop_size must be a square that is not larger than size; other crops are not implemented")
    }
    mean = try json.numbers("image_mean", default: [0.48145466, 0.4578275, 0.40821073], in: -10...10).map { Float($0) }
    standardDeviation = try json.numbers("image_std", default: [0.26862954, 0.26130258, 0.27577711], in: 1e-6...1e6)
      .map { Float($0) }
    try json.refuse("resample", unless: .integer(3), what: "only 3, bicubic, is implemented")
    for step in ["do_resize", "do_center_crop", "do_rescale", "do_normalize"] {
      try json.refuse(step, unless: .bool(true), what: "images are always scaled, cropped and normalised")
    }
    let factor = try json.number("rescale_factor", default: 1 / 255, in: 0...1)
    guard abs(factor * 255 - 1) < 1e-6 else {
      throw ModelError(.unsupported, "\(path): rescale_factor is \(factor); only 1/255 is implemented")
    }
  }

  /// A number, or an object that names its sides.
  private static func side(_ json: JSONObject, _ key: String, part: String) throws -> Int {
    if case .object(let values)? = json.values[key] {
      return try JSONObject(path: json.path, values: values).integer(part, default: nil, in: 1...4096)
    }
    return try json.integer(key, default: 224, in: 1...4096)
  }
}
