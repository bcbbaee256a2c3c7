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
    case .lora: lines = Self.lines(try AdapterFile(file: file))
    case .embedding: lines = Self.lines(try TextualInversion.read(file))
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

  private static func lines(_ adapter: AdapterFile) -> [(label: String, text: String)] {
    // A bias that goes with its weight is no layer of its own.
    var counts: [ModelComponent: Set<String>] = [:]
    var kinds: [String: Int] = [:], places: [String: Int] = [:]
    for layer in adapter.layers
    where counts[WeightChanges.network(of: layer.name), default: []].insert(layer.name).inserted {
      kinds[layer.kind, default: 0] += 1
      places[place(of: layer.name), default: 0] += 1
    }
    let changes = [ModelComponent.unet, .textEncoder].compactMap { component in
      counts[component].map { "\($0.count) layers of the \(component == .unet ? "UNet" : "text encoder")" }
    }
    func listed(_ counts: [String: Int]) -> String {
      counts.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }
    let kind = kinds.count == 1 ? kinds.keys.first ?? "" : kinds.isEmpty ? "words" : listed(kinds)
    let scales = Set(adapter.layers.map(\.change.scale)).sorted()
    let textWidth = adapter.layers.lazy.compactMap { layer -> Int? in
      guard layer.name.contains("attn2"), layer.name.contains("to_k"), case .lowRank(let factors) = layer.change.kind
      else {
        return nil
      }
      return adapter.file.shape(of: factors.right)?.dropFirst().first
    }.first
    var lines: [(label: String, text: String)] = [
      ("kind", "\(kind), in the layout of \(adapter.layout.rawValue)"),
      ("made for", textWidth.map { family(textWidth: $0) } ?? "any model with such layers"),
    ]
    if !adapter.layers.isEmpty { lines += [("changes", changes.joined(separator: ", ")), ("", listed(places))] }
    if !adapter.ranks.isEmpty {
      lines += [
        ("rank", adapter.ranks.map(String.init).joined(separator: ", ")),
        ("scale", scales.prefix(8).map { "\($0)" }.joined(separator: ", ") + " (alpha/rank), times the weight given"),
      ]
    }
    if !adapter.words.isEmpty { lines.append(("words", adapter.words.map(\.word).joined(separator: ", "))) }
    lines.append(("precision", precision(adapter.file)))
    if let first = adapter.unknown.first {
      lines.append(("left over", "\(adapter.unknown.count) tensors that are not understood, such as \(first)"))
    }
    return lines
  }

  /// What a layer is within its block: the last words of its name.
  private static func place(of name: String) -> String {
    let places = [
      "attn1", "attn2", "self_attn", "mlp", "ff_net", "ff.net", "proj_in", "proj_out", "conv1", "conv2",
      "conv_shortcut",
      "time_emb_proj", "downsamplers", "upsamplers",
    ]
    return places.first { name.contains($0) } ?? "other"
  }

  private static func lines(_ inversions: [TextualInversion]) -> [(label: String, text: String)] {
    guard let first = inversions.first else { return [] }
    let (count, width) = (inversions.reduce(0) { $0 + $1.vectors.shape[0] }, first.vectors.shape[1])
    let words = inversions.count == 1 ? "one word" : "\(inversions.count) words"
    let tokens = inversions.compactMap(\.trainedToken).joined(separator: ", ")
    return [
      ("kind", "textual inversion, in the layout of \(first.layout.rawValue)"),
      ("made for", family(textWidth: width)),
      ("adds", "\(words) of \(count) \(count == 1 ? "vector" : "vectors") of \(width) numbers"),
      ("word", tokens.isEmpty ? "any" : inversions.count == 1 ? "\(tokens), or any other" : tokens),
      ("precision", first.typeName),
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
