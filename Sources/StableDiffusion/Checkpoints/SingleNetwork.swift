import Text

/// One network that takes the place of a model's own: a tuned UNet, another autoencoder.
enum SingleNetwork {
  struct Parts: Sendable {
    /// As diffusers' `config.json`.
    let configuration: JSONObject
    let weights: any WeightFile
  }

  /// - Parameters:
  ///   - place: the network's folder (`config.json` and weights), a folder of a whole model, one file of the network in
  ///     diffusers' or the original layout, or a whole checkpoint in one file.
  ///   - variant: as of the model.
  /// - Throws: `ModelError`.
  static func parts(_ component: ModelComponent, at place: String, variant: String?) throws -> Parts {
    guard fileExists(place) else { throw ModelError(.notFound, "there is no \(component.rawValue) at \(place)") }
    guard folderExists(place) else { return try file(component, place) }
    let own = "\(place)/\(component.rawValue)"
    let folder = fileExists("\(own)/config.json") ? own : place
    if fileExists("\(folder)/config.json") {
      return Parts(
        configuration: try JSONObject(path: "\(folder)/config.json"),
        weights: try openWeightFile(try WeightLocation.find(component, in: folder, variant: variant)))
    }
    guard let only = ModelDirectory.singleFile(in: place) else {
      throw ModelError(
        .notFound,
        "\(place) has no \(component.rawValue): neither config.json nor \(component.rawValue)/config.json is there; give "
          + "the folder that diffusers saved, or a file")
    }
    return try file(component, only)
  }

  private static func file(_ component: ModelComponent, _ path: String) throws -> Parts {
    let file = try openWeightFile(path)
    let weights: any WeightFile
    let isOriginal: Bool
    switch CheckpointKind(file) {
    case .original: (weights, isOriginal) = (try OriginalLayout(file: file).weights(component), true)
    case .autoencoder where component == .vae:
      weights = try OriginalLayout.autoencoder(file)
      isOriginal = weights is RenamedWeights
    case .part(component): (weights, isOriginal) = (file, false)
    case let kind:
      throw ModelError(.unsupported, "\(path) \(kind.description), where a \(component.rawValue) is expected")
    }
    // diffusers' files lie beside their configuration; others may have one in a folder of their name, as whole models in
    // one file.
    let given =
      isOriginal
      ? "\(SingleFile.folder(of: path))/\(component.rawValue)/config.json"
      : (path.lastPlace(ofScalar: "/").map { String(path[..<path.place(behind: $0)]) } ?? "") + "config.json"
    if fileExists(given) { return Parts(configuration: try JSONObject(path: given), weights: weights) }
    let inferred = InferredConfiguration(file: weights)
    let configuration =
      switch component {
      case .unet: try inferred.unet(sampleSize: 64)
      case .vae: try inferred.autoencoder(sampleSize: 64)
      case .textEncoder: try inferred.textEncoder(.first)
      }
    return Parts(configuration: configuration, weights: weights)
  }
}
