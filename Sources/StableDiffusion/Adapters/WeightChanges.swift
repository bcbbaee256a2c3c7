import Tensors
import Text

/// What adapters change of a model: for each network and weight the changes, in the order of the files.
struct WeightChanges: Sendable {
  struct Entry: Sendable {
    let file: any WeightFile
    let change: WeightChange
    /// Of the change; 1 is as the file was made.
    let strength: Float
  }

  /// Weights and biases under their canonical names.
  private(set) var entries: [ModelComponent: [String: [Entry]]] = [:]
  /// What files hold that is not used, as sentences.
  private(set) var notes: [String] = []

  /// How names of layers begin. Flat ones have underscores for dots.
  private static let prefixes: [(text: String, component: ModelComponent, isFlat: Bool)] = [
    ("lora_unet_", .unet, true), ("lora_te1_", .textEncoder, true), ("lora_te_", .textEncoder, true),
    ("lycoris_", .unet, true),
    ("base_model.model.unet.", .unet, false), ("base_model.model.text_encoder.", .textEncoder, false),
    ("unet.", .unet, false), ("text_encoder.", .textEncoder, false),
    ("model.diffusion_model.", .unet, false), ("diffusion_model.", .unet, false),
  ]

  /// The way from the names of older versions of diffusers to those of the layers.
  private static let rules = [
    NameRule("processor", ""), NameRule("to_out", "to_out.0"), NameRule("to_out.0.0", "to_out.0"),
    NameRule("self_attn.to_q", "self_attn.q_proj"), NameRule("self_attn.to_k", "self_attn.k_proj"),
    NameRule("self_attn.to_v", "self_attn.v_proj"), NameRule("self_attn.to_out.0", "self_attn.out_proj"),
  ]

  /// The layers of a network that can be changed.
  private struct Layers {
    let component: ModelComponent
    /// Canonical names of weights and biases -> their shapes.
    let shapes: [String: [Int]]
    /// Names with underscores for dots -> canonical names of the layers.
    private let flat: [String: String]
    private let original: OriginalLayerNames

    init(_ file: any WeightFile, _ component: ModelComponent) {
      self.component = component
      var shapes: [String: [Int]] = [:]
      var flat: [String: String] = [:]
      for name in file.names {
        let canonical = CheckpointKeys.canonicalName(of: name, component: component)
        guard let shape = file.shape(of: name), !shape.isEmpty else { continue }
        shapes[canonical] = shape
        guard canonical.ends(with: ".weight") else { continue }
        let layer = String(canonical.dropLast(".weight".count))
        flat[layer.exchanging(".", for: "_")] = layer
      }
      (self.shapes, self.flat) = (shapes, flat)
      original = OriginalLayerNames(layers: flat.values)
    }

    /// The layer of a name with underscores for dots.
    func layer(flat name: String) -> String? {
      switch component {
      case .unet: return flat[name] ?? flat[original.diffusersName(flat: name).exchanging(".", for: "_")]
      default: return flat[name.begins(with: "text_model_") ? String(name.dropFirst("text_model_".count)) : name]
      }
    }

    /// The layer of a name with dots.
    func layer(_ name: String) -> String? {
      let canonical = CheckpointKeys.canonicalName(of: NameRule.apply(rules, to: name), component: component)
      if shapes[canonical + ".weight"] != nil { return canonical }
      return component == .unet ? flat[original.diffusersName(name).exchanging(".", for: "_")] : nil
    }
  }

  /// - Parameters:
  ///   - model: for messages.
  ///   - weights: of a network that adapters change.
  /// - Throws: `ModelError` for what fits no layer.
  init(
    _ files: [(file: AdapterFile, weight: Float)], model: String, weights: (ModelComponent) -> any WeightFile
  ) throws {
    guard !files.isEmpty else { return }
    let networks = [ModelComponent.unet, .textEncoder].map { Layers(weights($0), $0) }
    for (file, weight) in files { try add(file, strength: weight, networks, model: model) }
  }

  private mutating func add(_ file: AdapterFile, strength: Float, _ networks: [Layers], model: String) throws {
    var unmatched: [String] = []
    var misshapen: [String] = []
    for layer in file.layers {
      guard let (network, module) = Self.target(of: layer.name, networks),
        let shape = network.shapes["\(module).\(layer.part.rawValue)"]
      else {
        if !layer.isConsequence, try !Self.isNothing(layer.change, in: file.file) { unmatched += layer.change.tensors }
        continue
      }
      guard layer.change.fits(shape, in: file.file) else {
        let tensors = layer.change.tensors.map { "\(file.file.shape(of: $0) ?? [])" }
        misshapen.append("\(layer.name) \(tensors.joined(separator: " x ")) for \(shape)")
        continue
      }
      entries[network.component, default: [:]]["\(module).\(layer.part.rawValue)", default: []].append(
        Entry(file: file.file, change: layer.change, strength: strength))
    }
    guard misshapen.isEmpty else {
      throw ModelError(
        .badData,
        "\(file.path) was made for a model of other sizes than \(model): \(Self.listed(misshapen)); use a LoRA for this "
          + "kind of model (1.x, 2.x)")
    }
    // What a layer has beside its change says something that is not understood; what stands elsewhere is bookkeeping.
    let modules = Set(file.layers.map(\.name))
    let isOfLayer = { (name: String) in
      name.indices.contains { name[$0] == "." && modules.contains(String(name[..<$0])) }
    }
    unmatched += file.unknown.filter(isOfLayer)
    for kind in Self.harmless {
      let names = unmatched.filter { kind.matches($0, networks) }
      guard !names.isEmpty else { continue }
      unmatched.removeAll { kind.matches($0, networks) }
      notes.append("\(file.path): \(names.count) tensors are not used, \(kind.what)")
    }
    guard unmatched.isEmpty else {
      throw ModelError(
        .badData,
        "\(file.path): \(unmatched.count) of its \(file.file.names.count) tensors match no layer of \(model): "
          + "\(Self.listed(unmatched)); is it a LoRA for another kind of model?")
    }
    let others = file.unknown.filter { !isOfLayer($0) }
    if !others.isEmpty {
      let what = others.count == 1 ? "a tensor that belongs" : "\(others.count) tensors that belong"
      notes.append(
        "\(file.path): left out \(others.count == 1 ? "is" : "are") \(what) to no layer: \(Self.listed(others))")
    }
  }

  /// Whether a change adds zeros, as trainers leave them for layers that they did not train.
  private static func isNothing(_ change: WeightChange, in file: any WeightFile) throws -> Bool {
    guard change.isSum else { return false }
    return try change.tensors.contains { try file.tensor($0).floats.allSatisfy { $0 == 0 } }
  }

  private static func listed(_ names: [String]) -> String {
    names.prefix(40).joined(separator: ", ") + (names.count > 40 ? " and \(names.count - 40) more" : "")
  }

  /// The network and the layer of it that a file's name means.
  private static func target(of module: String, _ networks: [Layers]) -> (Layers, String)? {
    if let prefix = prefixes.first(where: { module.begins(with: $0.text) }),
      let layers = networks.first(where: { $0.component == prefix.component })
    {
      let rest = String(module.dropFirst(prefix.text.count))
      return (prefix.isFlat ? layers.layer(flat: rest) : layers.layer(rest)).map { (layers, $0) }
    }
    // PEFT and old files do not say which network they are for.
    let rest = module.begins(with: "base_model.model.") ? String(module.dropFirst("base_model.model.".count)) : module
    for layers in networks {
      if let layer = layers.layer(rest) { return (layers, layer) }
    }
    return nil
  }

  /// The network that a layer's name speaks of.
  static func network(of module: String) -> ModelComponent {
    let isText = prefixes.first { module.begins(with: $0.text) }.map { $0.component == .textEncoder }
    return isText ?? (module.contains("self_attn") || module.contains(".mlp.")) ? .textEncoder : .unet
  }

  // MARK: What changes nothing

  private struct Harmless: Sendable {
    /// The end of a sentence.
    let what: String
    let matches: @Sendable (String, [Layers]) -> Bool
  }

  /// Changes of layers that the model lacks and that are no error.
  private static let harmless = [
    Harmless(what: "they change layers of the text encoder that this model does not run") { name, networks in
      guard let place = name.firstPlace(of: "encoder.layers.") ?? name.firstPlace(of: "encoder_layers_"),
        let layer = Int(name[place.upperBound...].prefix { $0.isNumber })
      else { return false }
      let text = networks.first { $0.component == .textEncoder }
      return text?.shapes["encoder.layers.\(layer).mlp.fc1.weight"] == nil
    },
    Harmless(what: "they change the text encoder's projection, which Stable Diffusion does not use") { name, _ in
      name.contains("text_projection")
    },
  ]
}

extension Device {
  /// A weight with its changes one after another, in float32.
  func changed(_ weight: Tensor, by entries: [WeightChanges.Entry]) throws -> Tensor {
    try entries.reduce(weight) { weight, entry in
      try changed(weight, by: entry.change, in: entry.file, strength: entry.strength)
    }
  }
}
