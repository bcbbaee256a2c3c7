import Tensors
import Text

/// A file of LoRA (Hu et al. 2021, arXiv:2106.09685): for some layers of a model a change of low rank. A weight W becomes
/// W + weight * alpha / rank * up down.
struct LoRAFile: Sendable {
  /// Who writes such names.
  enum Layout: String {
    case kohya = "kohya's sd-scripts"
    case diffusers = "diffusers before 0.20"
    case peft = "PEFT"
  }

  /// The change of one layer.
  struct Layer: Sendable {
    /// What the file calls the layer.
    let name: String
    /// (rank, inputs...) and (outputs, rank), maybe with 1x1 behind them.
    let down: String, up: String
    let rank: Int
    /// alpha / rank, or PEFT's alpha / sqrt(rank) where the file asks for it.
    let scale: Float
  }

  let file: any WeightFile
  let layout: Layout
  let layers: [Layer]
  /// Tensors that belong to no layer here.
  let unknown: [String]

  var path: String { file.path }

  /// How names end, of layout after layout.
  private static let endings: [(layout: Layout, down: String, up: String)] = [
    (.kohya, ".lora_down.weight", ".lora_up.weight"),
    (.peft, ".lora_A.weight", ".lora_B.weight"),
    (.peft, ".lora_A.default.weight", ".lora_B.default.weight"),
    (.diffusers, ".lora.down.weight", ".lora.up.weight"),
    (.diffusers, "_lora.down.weight", "_lora.up.weight"),
    (.diffusers, ".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
  ]

  /// What names contain that stand for other kinds of changes.
  private static let unsupported = [
    (".hada_w", "a LoHa"), (".lokr_w", "a LoKr"), (".lora_mid.", "a LoCon with Tucker decomposition"),
    ("dora_scale", "a DoRA"), ("lora_magnitude_vector", "a DoRA"), ("lora_embedding_", "a LoRA of embeddings"),
    (".oft_", "an OFT"), (".on_input", "an IA3"),
    ("lora_te2_", "a LoRA for Stable Diffusion XL"), ("text_encoder_2.", "a LoRA for Stable Diffusion XL"),
    ("transformer.single_transformer_blocks.", "a LoRA for Flux"), ("lora_unet_double_blocks_", "a LoRA for Flux"),
  ]

  /// - Parameter place: a file, or a folder that holds one under a name that diffusers or PEFT gives.
  /// - Throws: `ModelError` where it is no LoRA of a kind that is read, or is damaged.
  init(_ place: String) throws {
    try self.init(file: try openWeightFile(try Self.path(in: place)))
  }

  init(file: any WeightFile) throws {
    self.file = file
    let path = file.path
    if let name = Self.otherKind(file) {
      throw ModelError(
        .unsupported, "\(path) is \(name), which is not implemented; use a LoRA for Stable Diffusion 1.x or 2.x")
    }
    let names = file.names
    let configuration = try AdapterConfiguration(file: file)
    var layers: [Layer] = []
    var layouts: [Layout] = []
    var known: Set<String> = []
    for name in names {
      guard let ending = Self.endings.first(where: { name.ends(with: $0.down) }) else { continue }
      let module = String(name.dropLast(ending.down.count))
      let up = module + ending.up
      let rank = file.shape(of: name)?.first ?? 0
      guard let upShape = file.shape(of: up) else {
        throw ModelError(.badData, "\(path) is incomplete: it has \(name), but no \(up); download it again")
      }
      guard rank > 0, upShape.count >= 2, upShape[1] == rank else {
        throw ModelError(
          .badData,
          "\(path) is damaged: \(name) \(file.shape(of: name) ?? []) and \(up) \(upShape) are no factors of one product"
        )
      }
      for factor in [name, up] where file.elementType(of: factor) == nil {
        throw ModelError(
          .badData,
          "\(path): \(factor) holds \(file.typeName(of: factor) ?? "nothing") where floating-point numbers are needed")
      }
      let alpha = module + ".alpha"
      if file.shape(of: alpha) != nil { known.insert(alpha) }
      layers.append(
        Layer(
          name: module, down: name, up: up, rank: rank,
          scale: try Self.alpha(alpha, in: file).map { $0 / Float(rank) }
            ?? configuration?.scale(of: module, rank: rank) ?? 1))
      layouts.append(ending.layout)
      known.formUnion([name, up])
    }
    guard let layout = layouts.first else {
      throw ModelError(
        .unsupported,
        "\(path) is no LoRA: none of its \(names.count) tensors is a factor of a layer's change (.lora_down.weight, "
          + ".lora_A.weight, .lora.down.weight); inspect tells what it is")
    }
    self.layout = layout
    self.layers = layers
    unknown = names.filter { !known.contains($0) }
  }

  /// What else a file is whose names look like those of a LoRA; nil for one that is read.
  static func otherKind(_ file: any WeightFile) -> String? {
    let names = file.names
    return unsupported.first { part, _ in names.contains { $0.contains(part) } }?.1
  }

  /// The ranks of the layers, ascending, each once.
  var ranks: [Int] { Set(layers.map(\.rank)).sorted() }

  private static func path(in place: String) throws -> String {
    guard folderExists(place) else { return place }
    let names = ["pytorch_lora_weights", "adapter_model"].flatMap { ["\($0).safetensors", "\($0).bin"] }
    guard let name = names.first(where: { fileExists("\(place)/\($0)") }) else {
      throw ModelError(
        .notFound, "\(place) has no LoRA: none of \(names.joined(separator: ", ")) is there; give a file")
    }
    return "\(place)/\(name)"
  }

  private static func alpha(_ name: String, in file: any WeightFile) throws -> Float? {
    guard let shape = file.shape(of: name) else { return nil }
    guard Tensor.count(of: shape) == 1, file.elementType(of: name) != nil else {
      throw ModelError(
        .badData,
        "\(file.path): \(name) \(shape) of \(file.typeName(of: name) ?? "nothing") is not one floating-point number")
    }
    let value = try file.tensor(name).floats[0]
    guard value.isFinite else { throw ModelError(.badData, "\(file.path) is damaged: \(name) is \(value)") }
    return value
  }
}

/// What PEFT says of the layers beside their tensors: in the file's metadata as diffusers writes it, or in
/// `adapter_config.json` in its folder.
private struct AdapterConfiguration {
  /// Below which keys each network's values stand ("unet.lora_alpha").
  private let json: JSONObject

  /// - Returns: nil where nothing is said.
  init?(file: any WeightFile) throws {
    if let text = file.metadata["lora_adapter_metadata"] {
      let path = "the metadata of \(file.path)"
      json = JSONObject(
        path: path, values: try JSONObject.decode([String: JSONValue].self, from: Array(text.utf8), path: path))
    } else {
      let folder = file.path.lastPlace(ofScalar: "/").map { file.path[..<file.path.place(behind: $0)] } ?? ""
      let path = "\(folder)adapter_config.json"
      guard fileExists(path) else { return nil }
      json = try JSONObject(path: path)
    }
  }

  /// - Throws: `ModelError` where the file asks for what is not implemented, or says something that cannot be.
  func scale(of module: String, rank: Int) throws -> Float? {
    let component = ["unet.", "text_encoder."].first { module.begins(with: $0) } ?? ""
    func key(_ name: String) -> String { json.has(component + name) ? component + name : name }
    guard try !json.bool(key("use_dora"), default: false) else {
      throw ModelError(.unsupported, "\(json.path) says use_dora: a DoRA is not implemented")
    }
    guard json.has(key("lora_alpha")) else { return nil }
    var alpha = try json.number(key("lora_alpha"), default: Double(rank), in: -1e6...1e6)
    if case .object(let pattern)? = json.values[key("alpha_pattern")] {
      let own = pattern.keys.filter { module == $0 || module.ends(with: ".\($0)") }.max { $0.count < $1.count }
      if let own {
        alpha = try JSONObject(path: json.path, values: pattern).number(own, default: alpha, in: -1e6...1e6)
      }
    }
    return Float(alpha) / (try json.bool(key("use_rslora"), default: false) ? Float(rank).squareRoot() : Float(rank))
  }
}
