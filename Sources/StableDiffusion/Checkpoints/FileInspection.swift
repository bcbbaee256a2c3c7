import Tensors
import Text

/// What a file or folder is that is no whole model: a LoRA, a textual inversion, one network.
public struct FileInspection: Sendable {
  /// The description that `fatezero inspect` prints.
  public let lines: [String]

  /// The same in one.
  public var text: String { lines.joined(separator: "\n") }

  /// - Parameter place: a file or folder.
  /// - Returns: nil for a whole model, which `ModelInspection` describes, and for what is nothing at all.
  /// - Throws: `ModelError` where it is damaged, or of a kind that is not implemented.
  public init?(_ place: String) throws {
    guard let path = try Self.file(in: place) else { return nil }
    let file = try openWeightFile(path)
    let lines: [(label: String, text: String)]
    switch CheckpointKind(file) {
    case .original, .unknown: return nil
    case .lora: lines = try Self.lines(LoRAFile(file: file))
    case .embedding: lines = Self.lines(try TextualInversion(file: file))
    case .autoencoder: lines = try Self.lines(.vae, at: place)
    case .part(let component): lines = try Self.lines(component, at: place)
    case .other(let name): throw ModelError(.unsupported, "\(path) is \(name), which is not implemented")
    }
    let all = [(label: "file", text: path)] + lines
    let width = (all.map(\.label.count).max() ?? 0) + 2
    self.lines = all.map { $0.label + String(repeating: " ", count: width - $0.label.count) + $0.text }
  }

  /// The one file of weights of a place; nil where it is, or may be, a whole model.
  private static func file(in place: String) throws -> String? {
    guard folderExists(place) else { return place.ends(with: ".json") ? nil : place }
    guard !fileExists("\(place)/\(ModelDirectory.index)"), ModelDirectory.singleFile(in: place) == nil else {
      return ModelDirectory.singleFile(in: place)
    }
    return folderEntries(place).first { $0.ends(with: ".safetensors") || $0.ends(with: ".bin") }.map {
      "\(place)/\($0)"
    }
  }

  // MARK: Kinds

  private static func lines(_ lora: LoRAFile) -> [(label: String, text: String)] {
    let changed = lora.layers.map { LowRankChanges.network(of: $0.name) }
    let counts = [ModelComponent.unet, .textEncoder].compactMap { component -> String? in
      let count = changed.count { $0 == component }
      return count == 0 ? nil : "\(count) layers of the \(component == .unet ? "UNet" : "text encoder")"
    }
    var kinds: [String: Int] = [:]
    for layer in lora.layers { kinds[kind(of: layer.name), default: 0] += 1 }
    let scales = Set(lora.layers.map(\.scale)).sorted()
    let textWidth = lora.layers.first { $0.name.holds(text: "attn2") && $0.name.holds(text: "to_k") }
      .flatMap { lora.file.shape(of: $0.down)?.last }
    var lines: [(label: String, text: String)] = [
      ("kind", "LoRA, in the layout of \(lora.layout.rawValue)"),
      ("made for", textWidth.map { family(textWidth: $0) } ?? "any model with such layers"),
      ("changes", counts.joined(separator: ", ")),
      (
        "",
        kinds.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
      ),
      ("rank", lora.ranks.map(String.init).joined(separator: ", ")),
      ("scale", scales.prefix(8).map { "\($0)" }.joined(separator: ", ") + " (alpha/rank), times the weight given"),
      ("precision", precision(lora.file)),
    ]
    if !lora.unknown.isEmpty {
      lines.append(
        (
          "left over",
          "\(lora.unknown.count) tensors, such as \(lora.unknown[0]); unless harmless, an edit refuses them"
        ))
    }
    return lines
  }

  /// What a layer is within its block: the last words of its name.
  private static func kind(of name: String) -> String {
    let kinds = [
      "attn1", "attn2", "self_attn", "mlp", "ff_net", "ff.net", "proj_in", "proj_out", "conv1", "conv2",
      "conv_shortcut",
      "time_emb_proj", "downsamplers", "upsamplers",
    ]
    return kinds.first { name.holds(text: $0) } ?? "other"
  }

  private static func lines(_ inversion: TextualInversion) -> [(label: String, text: String)] {
    let (count, width) = (inversion.vectors.shape[0], inversion.vectors.shape[1])
    return [
      ("kind", "textual inversion, in the layout of \(inversion.layout.rawValue)"),
      ("made for", family(textWidth: width)),
      ("adds", "one word of \(count) \(count == 1 ? "vector" : "vectors") of \(width) numbers"),
      ("word", inversion.trainedToken.map { "\($0), or any other" } ?? "any"), ("precision", inversion.typeName),
    ]
  }

  private static func lines(_ component: ModelComponent, at place: String) throws -> [(label: String, text: String)] {
    let parts = try SingleNetwork.parts(component, at: place, variant: nil)
    let precision = ("precision", precision(parts.weights))
    switch component {
    case .unet:
      let unet = try UNetConfiguration(parts.configuration)
      return [
        ("kind", "UNet alone; give it as unet, beside a model"),
        ("made for", family(textWidth: unet.crossAttentionDimension)), ("UNet", ModelInspection.text(of: unet)),
        precision,
      ]
    case .vae:
      return [
        ("kind", "autoencoder alone; give it as vae, beside a model"),
        ("VAE", ModelInspection.text(of: try AutoencoderConfiguration(parts.configuration))), precision,
      ]
    case .textEncoder:
      let text = try TextEncoderConfiguration(parts.configuration)
      return [
        ("kind", "text encoder alone, of no use without its model"), ("text encoder", ModelInspection.text(of: text)),
        precision,
      ]
    }
  }

  private static func family(textWidth: Int) -> String {
    switch textWidth {
    case 768: "Stable Diffusion 1.x"
    case 1024: "Stable Diffusion 2.x"
    case 2048: "Stable Diffusion XL, which is not implemented"
    default: "a model of text width \(textWidth)"
    }
  }

  private static func precision(_ file: any WeightFile) -> String {
    let count = file.names.reduce(0) { $0 + (Tensor.count(of: file.shape(of: $1) ?? []) ?? 0) }
    return "\(ModelInspection.types(in: file).joined(separator: " and ")), \(ModelInspection.count(count)) numbers"
  }
}
