import Text

/// Which of the files in a network's folder holds its weights.
enum WeightLocation {
  /// The first that exists of: safetensors without a variant, safetensors `.fp16`, and the same of `.bin`; before all
  /// of these, those of `variant`. Sharded files count as files.
  /// - Parameter folder: of the network.
  static func find(_ component: ModelComponent, in folder: String, variant: String?) throws -> String {
    if let variant, let path = file(of: component, in: folder, variant: variant) { return path }
    for suffix in suffixes {
      for variant in [nil, "fp16"] {
        if let name = names(component, suffix: suffix, variant: variant).first(where: { fileExists(folder + "/" + $0) })
        {
          return folder + "/" + name
        }
      }
    }
    let base = baseNames(component)[0]
    throw ModelError(
      .notFound,
      "\(folder) has no weights: none of \(base).safetensors, \(base).fp16.safetensors, "
        + "\(baseNames(component).last ?? base).bin is there"
    )
  }

  /// - Throws: `ModelError` unless at least one network has weights of the variant.
  static func checkVariant(_ variant: String, in model: String) throws {
    guard !variant.isEmpty, !variant.holds("/") else {
      throw ModelError(.notFound, "\"\(variant)\" cannot be the name of a variant")
    }
    let has = { file(of: $0, in: "\(model)/\($0.rawValue)", variant: variant) != nil }
    guard ModelComponent.allCases.contains(where: has) else {
      throw ModelError(
        .notFound,
        "\(model) has no weights of the variant \"\(variant)\", such as "
          + "unet/diffusion_pytorch_model.\(variant).safetensors"
      )
    }
  }

  private static let suffixes = ["safetensors", "bin"]

  private static func file(of component: ModelComponent, in folder: String, variant: String) -> String? {
    suffixes.flatMap { names(component, suffix: $0, variant: variant) }
      .map { "\(folder)/\($0)" }.first(where: fileExists)
  }

  private static func baseNames(_ component: ModelComponent) -> [String] {
    component == .textEncoder ? ["model", "pytorch_model"] : ["diffusion_pytorch_model"]
  }

  private static func names(_ component: ModelComponent, suffix: String, variant: String?) -> [String] {
    baseNames(component).flatMap { base in
      guard let variant else { return ["\(base).\(suffix)", "\(base).\(suffix).index.json"] }
      return [
        "\(base).\(variant).\(suffix)", "\(base).\(suffix).index.\(variant).json",
        "\(base).\(variant).\(suffix).index.json",
      ]
    }
  }
}
