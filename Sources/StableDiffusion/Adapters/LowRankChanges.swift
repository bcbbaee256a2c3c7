import Tensors
import Text

/// What LoRA files add to the weights of a model: for each network and weight the products, in the order of the files.
struct LowRankChanges: Sendable {
  /// scale * up down.
  struct Product: Sendable {
    let file: any WeightFile
    let down: String, up: String
    let scale: Float
  }

  /// Weights under their canonical names.
  private(set) var products: [ModelComponent: [String: [Product]]] = [:]
  /// What files hold that changes nothing, as sentences.
  private(set) var notes: [String] = []

  /// How names of layers begin.
  private static let prefixes: [(text: String, component: ModelComponent, isFlat: Bool)] = [
    ("lora_unet_", .unet, true), ("lora_te1_", .textEncoder, true), ("lora_te_", .textEncoder, true),
    ("base_model.model.unet.", .unet, false), ("base_model.model.text_encoder.", .textEncoder, false),
    ("unet.", .unet, false), ("text_encoder.", .textEncoder, false),
  ]

  /// The way from the names of older versions of diffusers to those of the layers.
  private static let rules = [
    NameRule("processor", ""), NameRule("to_out", "to_out.0"), NameRule("to_out.0.0", "to_out.0"),
    NameRule("self_attn.to_q", "self_attn.q_proj"), NameRule("self_attn.to_k", "self_attn.k_proj"),
    NameRule("self_attn.to_v", "self_attn.v_proj"), NameRule("self_attn.to_out.0", "self_attn.out_proj"),
  ]

  /// The layers of a model that can be changed.
  private struct Layers {
    /// Canonical name of the weight -> its shape.
    let shapes: [String: [Int]]
    /// Names with underscores for dots -> canonical names of the weights.
    let flat: [String: String]

    init(_ file: any WeightFile, _ component: ModelComponent) {
      var shapes: [String: [Int]] = [:]
      for name in file.names {
        let canonical = CheckpointKeys.canonicalName(of: name, component: component)
        guard canonical.ends(with: ".weight"), let shape = file.shape(of: name), shape.count >= 2 else { continue }
        shapes[canonical] = shape
      }
      self.shapes = shapes
      flat = Dictionary(
        shapes.keys.map { (String($0.dropLast(".weight".count).map { $0 == "." ? "_" : $0 }), $0) },
        uniquingKeysWith: { first, _ in first })
    }
  }

  /// - Parameters:
  ///   - model: for messages.
  ///   - weights: of a network that LoRA changes.
  /// - Throws: `ModelError` for what fits no layer.
  init(
    _ files: [(file: LoRAFile, weight: Float)], model: String, weights: (ModelComponent) -> any WeightFile
  ) throws {
    guard !files.isEmpty else { return }
    let networks: [ModelComponent: Layers] = [
      .unet: Layers(weights(.unet), .unet), .textEncoder: Layers(weights(.textEncoder), .textEncoder),
    ]
    for (file, weight) in files { try add(file, weight: weight, networks, model: model) }
  }

  private mutating func add(
    _ file: LoRAFile, weight: Float, _ networks: [ModelComponent: Layers], model: String
  ) throws {
    var unmatched = file.unknown
    var misshapen: [String] = []
    for layer in file.layers {
      guard let (component, name) = Self.target(of: layer.name, networks),
        let shape = networks[component]?.shapes[name]
      else {
        unmatched += [layer.down, layer.up]
        continue
      }
      let down = file.file.shape(of: layer.down) ?? [], up = file.file.shape(of: layer.up) ?? []
      guard up[0] == shape[0], Tensor.count(of: up) == up[0] * layer.rank,
        let inputs = Tensor.count(of: Array(down.dropFirst())), inputs == shape.dropFirst().reduce(1, *)
      else {
        misshapen.append("\(layer.name) \(up) x \(down) for \(shape)")
        continue
      }
      products[component, default: [:]][name, default: []].append(
        Product(file: file.file, down: layer.down, up: layer.up, scale: weight * layer.scale))
    }
    guard misshapen.isEmpty else {
      throw ModelError(
        .badData,
        "\(file.path) was made for a model of other sizes than \(model): \(Self.listed(misshapen)); use a LoRA for this "
          + "kind of model (1.x, 2.x)")
    }
    guard !unmatched.isEmpty else { return }
    guard let harmless = Self.harmless.first(where: { kind in unmatched.allSatisfy { kind.matches($0, networks) } })
    else {
      throw ModelError(
        .badData,
        "\(file.path): \(unmatched.count) of its \(file.file.names.count) tensors match no layer of \(model): "
          + "\(Self.listed(unmatched)); is it a LoRA for another kind of model?")
    }
    notes.append("\(file.path): \(unmatched.count) tensors are not used, \(harmless.what)")
  }

  private static func listed(_ names: [String]) -> String {
    names.prefix(40).joined(separator: ", ") + (names.count > 40 ? " and \(names.count - 40) more" : "")
  }

  private static func target(
    of module: String, _ networks: [ModelComponent: Layers]
  ) -> (ModelComponent, String)? {
    if let prefix = prefixes.first(where: { module.begins(with: $0.text) }), let layers = networks[prefix.component] {
      var rest = String(module.dropFirst(prefix.text.count))
      if prefix.isFlat {
        rest = rest.dropping(prefix: "text_model_").map(String.init) ?? rest
        return layers.flat[rest].map { (prefix.component, $0) }
      }
      return name(of: rest, prefix.component, layers).map { (prefix.component, $0) }
    }
    // PEFT and old files do not say which network they are for.
    let rest = module.dropping(prefix: "base_model.model.").map(String.init) ?? module
    for component in [ModelComponent.unet, .textEncoder] {
      if let layers = networks[component], let name = name(of: rest, component, layers) { return (component, name) }
    }
    return nil
  }

  /// The network that a layer's name speaks of.
  static func network(of module: String) -> ModelComponent {
    let isText = prefixes.first { module.begins(with: $0.text) }.map { $0.component == .textEncoder }
    return isText ?? (module.holds(text: "self_attn") || module.holds(text: ".mlp.")) ? .textEncoder : .unet
  }

  private static func name(of module: String, _ component: ModelComponent, _ layers: Layers) -> String? {
    let name = CheckpointKeys.canonicalName(of: NameRule.apply(rules, to: module) + ".weight", component: component)
    return layers.shapes[name] == nil ? nil : name
  }

  // MARK: What changes nothing

  private struct Harmless: Sendable {
    /// The end of a sentence.
    let what: String
    let matches: @Sendable (String, [ModelComponent: Layers]) -> Bool
  }

  /// Tensors that match nothing and are no error where a file has no others such.
  private static let harmless = [
    Harmless(what: "they change layers of the text encoder that this model does not run") { name, networks in
      guard let place = name.firstPlace(of: "encoder.layers.") ?? name.firstPlace(of: "encoder_layers_"),
        let layer = Int(Substring(name[place.upperBound...].unicodeScalars.prefix { $0.isDigit }))
      else { return false }
      return networks[.textEncoder]?.shapes["encoder.layers.\(layer).mlp.fc1.weight"] == nil
    },
    Harmless(what: "they change the text encoder's projection, which Stable Diffusion does not use") { name, _ in
      name.holds(text: "text_projection")
    },
  ]
}

extension Device {
  /// W + sum of scale * up down, (outputs, ...), in float32.
  func merged(_ weight: Tensor, _ products: [LowRankChanges.Product]) throws -> Tensor {
    var merged = weight
    for product in products {
      let up = try product.file.tensor(product.up), down = try product.file.tensor(product.down)
      let rank = down.shape[0]
      merged = try adding(
        product.scale, up.reshaped([up.count / rank, rank]), down.reshaped([rank, down.count / rank]), to: merged)
    }
    return merged
  }
}
