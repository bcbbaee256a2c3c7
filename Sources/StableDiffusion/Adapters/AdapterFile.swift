import Tensors
import Text

/// A file of changes to a model's layers, each as `WeightChange` describes: LoRA and its relatives. Beside them may stand
/// words that were trained along with them.
struct AdapterFile: Sendable {
  /// Who writes such names.
  enum Layout: String {
    case kohya = "kohya's sd-scripts"
    case lycoris = "LyCORIS"
    case diffusers = "diffusers before 0.20"
    case peft = "PEFT"
  }

  enum Part: String, Sendable { case weight, bias }

  /// The change of one weight or bias.
  struct Layer: Sendable {
    /// What the file calls the layer.
    let name: String
    let part: Part
    let change: WeightChange
    /// What people call such a change.
    let kind: String
    /// Nil where it has none.
    let rank: Int?
    /// Whether it follows from the change of the layer's weight, and goes where the layer has no bias.
    var isConsequence = false
  }

  let file: any WeightFile
  let layout: Layout
  let layers: [Layer]
  /// Words by their names, with the tensors of their vectors.
  let words: [(word: String, tensor: String)]
  /// Tensors that say nothing that is understood.
  let unknown: [String]

  var path: String { file.path }

  /// What a tensor is to its layer.
  private enum Role: String {
    case down, up, core, upBias, alpha, magnitude, peftMagnitude
    case hadamard1Left = "hada_w1_a", hadamard1Right = "hada_w1_b", hadamard1Core = "hada_t1"
    case hadamard2Left = "hada_w2_a", hadamard2Right = "hada_w2_b", hadamard2Core = "hada_t2"
    case kronecker1 = "lokr_w1", kronecker1Left = "lokr_w1_a", kronecker1Right = "lokr_w1_b"
    case kronecker2 = "lokr_w2", kronecker2Left = "lokr_w2_a", kronecker2Right = "lokr_w2_b"
    case kronecker2Core = "lokr_t2"
    case difference = "diff", biasDifference = "diff_b", normDifference = "w_norm", normBiasDifference = "b_norm"
    case factors = "weight", areOfInputs = "on_input", peftFactors = "ia3_l"
  }

  private struct Ending: Sendable {
    let text: String, role: Role
    /// Nil of one that does not tell.
    let layout: Layout?

    init(_ text: String, _ role: Role, _ layout: Layout?) { (self.text, self.role, self.layout) = (text, role, layout) }
  }

  /// How names end, of layout after layout.
  private static let endings: [Ending] = {
    let others: [Ending] = [
      Ending(".lora_down.weight", .down, .kohya), Ending(".lora_up.weight", .up, .kohya),
      Ending(".lora_mid.weight", .core, .lycoris), Ending(".lora_A.weight", .down, .peft),
      Ending(".lora_B.weight", .up, .peft), Ending(".lora_B.bias", .upBias, .peft),
      Ending(".lora_magnitude_vector", .peftMagnitude, .peft),
      Ending(".lora_magnitude_vector.weight", .peftMagnitude, .peft), Ending(".ia3_l", .peftFactors, .peft),
      Ending(".lora.down.weight", .down, .diffusers), Ending(".lora.up.weight", .up, .diffusers),
      Ending("_lora.down.weight", .down, .diffusers), Ending("_lora.up.weight", .up, .diffusers),
      Ending(".lora_linear_layer.down.weight", .down, .diffusers),
      Ending(".lora_linear_layer.up.weight", .up, .diffusers), Ending(".alpha", .alpha, nil),
      Ending(".dora_scale", .magnitude, nil),
    ]
    let lycoris: [Role] = [
      .hadamard1Left, .hadamard1Right, .hadamard1Core, .hadamard2Left, .hadamard2Right, .hadamard2Core, .kronecker1,
      .kronecker1Left, .kronecker1Right, .kronecker2, .kronecker2Left, .kronecker2Right, .kronecker2Core, .difference,
      .biasDifference, .normDifference, .normBiasDifference, .areOfInputs,
    ]
    return others + lycoris.map { Ending(".\($0.rawValue)", $0, .lycoris) }
  }()

  private static let wordPrefix = "bundle_emb."

  /// What names contain that stand for changes which are not made, and how messages call them.
  private static let unsupported = [
    (".oft_", "an OFT"), (".boft_", "a BOFT"), (".a1.weight", "a GLoRA"), ("vera_lambda_", "a VeRA"),
    ("lora_embedding_", "a LoRA of embeddings"), (".lora_E", "an AdaLoRA"), (".hra_u", "an HRA"),
    ("fourierft_spectrum", "a FourierFT"),
  ]

  /// What names contain of changes to other models.
  private static let otherModels = [
    ("lora_te2_", "a LoRA for Stable Diffusion XL"), ("text_encoder_2.", "a LoRA for Stable Diffusion XL"),
    ("transformer_blocks_9_", "a LoRA for Stable Diffusion XL"),
    ("transformer_blocks.9.", "a LoRA for Stable Diffusion XL"),
    ("transformer.single_transformer_blocks.", "a LoRA for Flux"), ("lora_unet_double_blocks_", "a LoRA for Flux"),
  ]

  /// - Parameter place: a file, or a folder that holds one under a name that diffusers or PEFT gives.
  /// - Throws: `ModelError` where it is no file of changes of a kind that is made, or is damaged.
  init(_ place: String) throws {
    try self.init(file: try openWeightFile(try Self.path(in: place)))
  }

  init(file: any WeightFile) throws {
    self.file = file
    let path = file.path
    if let name = Self.otherKind(file) {
      throw ModelError(
        .unsupported,
        "\(path) is \(name), which is not implemented; use a LoRA, LoHa, LoKr, DoRA or IA3 for Stable Diffusion 1.x or "
          + "2.x")
    }
    var modules: [String: [Role: String]] = [:]
    var unknown: [String] = []
    var words: [(word: String, tensor: String)] = []
    var layouts: [Layout] = []
    for name in file.names {
      if let word = Self.word(of: name) {
        words.append((word, name))
        continue
      }
      guard let (module, ending) = Self.place(of: name, in: file) else {
        unknown.append(name)
        continue
      }
      if let other = modules[module, default: [:]].updateValue(name, forKey: ending.role) {
        throw ModelError(.badData, "\(path) is damaged: \(other) and \(name) are one and the same")
      }
      if let layout = ending.layout { layouts.append(layout) }
    }
    let configuration = try AdapterConfiguration(file: file)
    var layers: [Layer] = []
    for (module, roles) in modules.sorted(by: { $0.key < $1.key }) {
      let own = try Module(name: module, roles: roles, file: file, configuration: configuration).layers()
      // An alpha alone changes nothing.
      if own.isEmpty { unknown += roles.values }
      layers += own
    }
    guard !layers.isEmpty || !words.isEmpty else {
      throw ModelError(
        .unsupported,
        "\(path) is no LoRA: none of its \(file.names.count) tensors is part of a layer's change (.lora_down.weight, "
          + ".lora_A.weight, .lora.down.weight, .hada_w1_a, .lokr_w1, .diff); inspect tells what it is")
    }
    // Kohya's names say nothing where others stand beside them.
    layout = layouts.first { $0 != .kohya } ?? layouts.first ?? .kohya
    self.layers = layers
    self.words = words
    self.unknown = unknown.sorted()
  }

  /// Whether a file has names such as adapters have.
  static func isAdapter(_ file: any WeightFile) -> Bool {
    file.names.contains { name in
      word(of: name) != nil || place(of: name, in: file)?.ending.layout != nil
        || unsupported.contains { name.contains($0.0) }
    }
  }

  /// What a file is whose changes are not made; nil for one that is read.
  static func otherKind(_ file: any WeightFile) -> String? {
    let names = file.names
    return (unsupported + otherModels).first { part, _ in names.contains { $0.contains(part) } }?.1
  }

  /// The layer that a tensor belongs to, and what it is there; nil for one that belongs to none.
  private static func place(of name: String, in file: any WeightFile) -> (module: String, ending: Ending)? {
    // PEFT's name of the one adapter of a file.
    let plain =
      name.contains(".default") ? name.pieces(at: ".").filter { $0 != "default" }.joined(separator: ".") : name
    if let ending = endings.first(where: { plain.ends(with: $0.text) }) {
      let module = String(plain.dropLast(ending.text.count))
      return module.isEmpty ? nil : (module, ending)
    }
    // As many weights are called; an IA3's have a sign beside them.
    let ending = Ending(".weight", .factors, .lycoris)
    guard plain.ends(with: ending.text) else { return nil }
    let module = String(plain.dropLast(ending.text.count))
    return file.shape(of: "\(module).on_input") == nil ? nil : (module, ending)
  }

  /// The word whose vectors a tensor holds: `bundle_emb.WORD.string_to_param.*` of the web UI and OneTrainer.
  private static func word(of name: String) -> String? {
    guard name.begins(with: wordPrefix) else { return nil }
    let rest = name.dropFirst(wordPrefix.count)
    for ending in [".emb_params", ".clip_l"] where rest.ends(with: ending) {
      return String(rest.dropLast(ending.count))
    }
    return rest.firstPlace(of: ".string_to_param.").map { String(rest[..<$0.lowerBound]) } ?? String(rest)
  }

  /// The ranks of the layers, ascending, each once.
  var ranks: [Int] { Set(layers.compactMap(\.rank)).sorted() }

  private static func path(in place: String) throws -> String {
    guard folderExists(place) else { return place }
    let names = ["pytorch_lora_weights", "adapter_model"].flatMap { ["\($0).safetensors", "\($0).bin"] }
    guard let name = names.first(where: { fileExists("\(place)/\($0)") }) else {
      throw ModelError(
        .notFound, "\(place) has no LoRA: none of \(names.joined(separator: ", ")) is there; give a file")
    }
    return "\(place)/\(name)"
  }

  // MARK: One layer

  /// All that a file says of one layer.
  private struct Module {
    let name: String
    let roles: [Role: String]
    let file: any WeightFile
    let configuration: AdapterConfiguration?

    /// - Throws: `ModelError` where something is missing or damaged.
    func layers() throws -> [Layer] {
      for (role, tensor) in roles where role != .alpha && role != .areOfInputs && file.elementType(of: tensor) == nil {
        throw ModelError(
          .badData,
          "\(file.path): \(tensor) holds \(file.typeName(of: tensor) ?? "nothing") where floating-point numbers are needed"
        )
      }
      var layers: [Layer] = []
      func add(
        _ part: Part, _ kind: WeightChange.Kind, _ word: String, rank: Int? = nil, scale: Float = 1,
        isConsequence: Bool = false
      ) throws {
        let magnitude = part == .weight ? try magnitude() : nil
        layers.append(
          Layer(
            name: name, part: part, change: WeightChange(kind: kind, scale: scale, magnitude: magnitude),
            kind: magnitude == nil ? word : "DoRA", rank: rank, isConsequence: isConsequence))
      }
      if roles[.down] != nil || roles[.up] != nil {
        let factors = try factors(.up, .down, core: .core)
        let rank = factors.rank(in: file), scale = try scale(rank: rank) ?? 1
        try add(.weight, .lowRank(factors), factors.core == nil ? "LoRA" : "LoCon", rank: rank, scale: scale)
        if let bias = roles[.upBias] { try add(.bias, .difference(bias), "LoRA", scale: scale) }
      }
      if let first = roles[.hadamard1Left] ?? roles[.hadamard1Right] ?? roles[.hadamard2Left] ?? roles[.hadamard2Right]
      {
        let hasCores = roles[.hadamard1Core] != nil || roles[.hadamard2Core] != nil
        guard !hasCores || roles[.hadamard1Core] != nil && roles[.hadamard2Core] != nil else {
          throw incomplete(first, lacks: roles[.hadamard1Core] == nil ? .hadamard1Core : .hadamard2Core)
        }
        let one = try factors(.hadamard1Left, .hadamard1Right, core: .hadamard1Core, isLeftTransposed: hasCores)
        let two = try factors(.hadamard2Left, .hadamard2Right, core: .hadamard2Core, isLeftTransposed: hasCores)
        let rank = one.rank(in: file)
        try add(.weight, .hadamard(one, two), "LoHa", rank: rank, scale: try scale(rank: rank) ?? 1)
      }
      if roles.keys.contains(where: { $0.rawValue.begins(with: "lokr_") }) {
        let one = try matrix(.kronecker1, .kronecker1Left, .kronecker1Right)
        let two = try matrix(.kronecker2, .kronecker2Left, .kronecker2Right, core: .kronecker2Core)
        // Without factors there is no rank to divide by, whatever alpha says; PEFT's configuration has both.
        let rank = two.rank(in: file) ?? one.rank(in: file)
        try add(.weight, .kronecker(one, two), "LoKr", rank: rank, scale: try scale(rank: rank) ?? 1)
      }
      for (role, part) in [
        (Role.difference, Part.weight), (.biasDifference, .bias), (.normDifference, .weight),
        (.normBiasDifference, .bias),
      ] {
        if let tensor = roles[role] { try add(part, .difference(tensor), "full difference") }
      }
      if let tensor = roles[.factors], let sign = roles[.areOfInputs] {
        guard let sign = try file.number(sign) else { throw damaged(sign, "is not one number") }
        try add(.weight, .factors(tensor, axis: sign != 0 ? 1 : 0, offset: 1), "IA3")
      }
      if let tensor = roles[.peftFactors] {
        let shape = file.shape(of: tensor) ?? []
        // A convolution's is the same on either side.
        let isOfInputs =
          shape.count == 2 ? shape[0] == 1 && shape[1] != 1 : configuration?.isFeedforward(name) ?? false
        try add(.weight, .factors(tensor, axis: isOfInputs ? 1 : 0, offset: 0), "IA3")
        if !isOfInputs { try add(.bias, .factors(tensor, axis: 0, offset: 0), "IA3", isConsequence: true) }
      }
      let orphans = [Role.magnitude, .peftMagnitude, .core, .upBias].compactMap { roles[$0] }
      if layers.isEmpty, let orphan = orphans.first { throw incomplete(orphan, lacks: .down) }
      return layers
    }

    private func magnitude() throws -> WeightChange.Magnitude? {
      if let tensor = roles[.peftMagnitude] { return WeightChange.Magnitude(name: tensor, axis: 0) }
      guard let tensor = roles[.magnitude] else {
        if try configuration?.usesMagnitudes(name) == true {
          throw ModelError(
            .badData, "\(file.path) is said to be a DoRA, but \(name) has no lora_magnitude_vector; download it again")
        }
        return nil
      }
      let shape = file.shape(of: tensor) ?? []
      return WeightChange.Magnitude(name: tensor, axis: shape.count > 1 && shape[0] == 1 && shape[1] != 1 ? 1 : 0)
    }

    private func factors(
      _ left: Role, _ right: Role, core: Role, isLeftTransposed: Bool = false
    ) throws -> WeightChange.Factors {
      guard let first = roles[left] else { throw incomplete(roles[right] ?? name, lacks: left) }
      guard let second = roles[right] else { throw incomplete(first, lacks: right) }
      let factors = WeightChange.Factors(
        left: first, right: second, core: roles[core], isLeftTransposed: isLeftTransposed)
      guard factors.size(in: file) != nil else {
        let names = [second, first] + (roles[core].map { [$0] } ?? [])
        throw ModelError(
          .badData,
          "\(file.path) is damaged: \(names.map { "\($0) \(file.shape(of: $0) ?? [])" }.joined(separator: " and ")) are no "
            + "factors of one product")
      }
      return factors
    }

    private func matrix(_ whole: Role, _ left: Role, _ right: Role, core: Role? = nil) throws -> WeightChange.Matrix {
      if let tensor = roles[whole] {
        guard file.shape(of: tensor)?.isEmpty == false else { throw damaged(tensor, "is no matrix") }
        return .stored(tensor)
      }
      guard roles[left] != nil || roles[right] != nil else { throw incomplete(name, lacks: whole) }
      let hasCore = core.map { roles[$0] != nil } ?? false
      return .product(try factors(left, right, core: core ?? .core, isLeftTransposed: hasCore))
    }

    /// By what a change of the rank is multiplied; nil where nothing is said. One without a rank heeds PEFT's
    /// configuration alone.
    private func scale(rank: Int?) throws -> Float? {
      if let tensor = roles[.alpha] {
        guard let value = try file.number(tensor) else { throw damaged(tensor, "is not one number") }
        guard value.isFinite else { throw ModelError(.badData, "\(file.path) is damaged: \(tensor) is \(value)") }
        return rank.map { Float(value) / Float($0) }
      }
      return try configuration?.scale(of: name, rank: rank)
    }

    private func incomplete(_ tensor: String, lacks role: Role) -> ModelError {
      let text = AdapterFile.missing(role, beside: tensor, module: name)
      return ModelError(.badData, "\(file.path) is incomplete: it has \(tensor), but no \(text); download it again")
    }

    private func damaged(_ tensor: String, _ what: String) -> ModelError {
      ModelError(
        .badData,
        "\(file.path): \(tensor) \(file.shape(of: tensor) ?? []) of \(file.typeName(of: tensor) ?? "nothing") \(what)")
    }
  }

  /// The name that a tensor would have that is missing, in the layout of one that is there.
  private static func missing(_ role: Role, beside tensor: String, module: String) -> String {
    let layout = endings.first { tensor.ends(with: $0.text) }?.layout
    let ending = endings.first { $0.role == role && $0.layout == layout } ?? endings.first { $0.role == role }
    return module + (ending?.text ?? ".\(role.rawValue)")
  }
}

/// What PEFT says of the layers beside their tensors: in the file's metadata as diffusers writes it, or in
/// `adapter_config.json` in its folder.
private struct AdapterConfiguration {
  /// Below which keys each network's values stand ("unet.lora_alpha").
  private let json: JSONObject

  /// - Returns: nil where nothing is said.
  /// - Throws: `ModelError`, also for a kind of change that is not made.
  init?(file: any WeightFile) throws {
    if let text = file.metadata["lora_adapter_metadata"] {
      let path = "the metadata of \(file.path)"
      json = JSONObject(
        path: path, values: try JSONObject.decode([String: JSONValue].self, from: Array(text.utf8), path: path))
    } else {
      let folder = file.path.lastPlace(ofScalar: "/").map { file.path[...$0] } ?? ""
      let path = "\(folder)adapter_config.json"
      guard fileExists(path) else { return nil }
      json = try JSONObject(path: path)
    }
    if case .string(let type)? = json.values["peft_type"], !["LORA", "LOHA", "LOKR", "IA3"].contains(type) {
      throw ModelError(.unsupported, "\(json.path) says peft_type \(type.prefix(40)), which is not implemented")
    }
  }

  /// The key of a value for the layer's network.
  private func key(_ name: String, _ module: String) -> String {
    let component = ["unet.", "text_encoder."].first { module.begins(with: $0) } ?? ""
    return json.has(component + name) ? component + name : name
  }

  /// Whether an IA3 is of the layer's inputs.
  func isFeedforward(_ module: String) -> Bool {
    guard case .array(let names)? = json.values["feedforward_modules"] else { return false }
    return names.contains { name in
      if case .string(let text) = name { module == text || module.ends(with: ".\(text)") } else { false }
    }
  }

  func usesMagnitudes(_ module: String) throws -> Bool { try json.bool(key("use_dora", module), default: false) }

  /// - Parameter rank: nil of a change without one, which is divided by what the configuration says.
  /// - Throws: `ModelError` where it says something that cannot be.
  func scale(of module: String, rank: Int?) throws -> Float? {
    // Of LoRA, and of LoHa and LoKr.
    guard let name = ["lora_alpha", "alpha"].first(where: { json.has(key($0, module)) }) else { return nil }
    func number(_ key: String, patterns: String, default value: Double) throws -> Double {
      let whole = try json.number(self.key(key, module), default: value, in: -1e6...1e6)
      guard case .object(let pattern)? = json.values[self.key(patterns, module)] else { return whole }
      let own = pattern.keys.filter { module == $0 || module.ends(with: ".\($0)") }.max { $0.count < $1.count }
      guard let own else { return whole }
      return try JSONObject(path: json.path, values: pattern).number(own, default: whole, in: -1e6...1e6)
    }
    let alpha = try number(name, patterns: "alpha_pattern", default: rank.map(Double.init) ?? 1)
    let divisor = try rank.map(Double.init) ?? number("r", patterns: "rank_pattern", default: alpha)
    guard divisor > 0 else { throw ModelError(.badData, "\(json.path) says a rank of \(divisor)") }
    return Float(alpha / (try json.bool(key("use_rslora", module), default: false) ? divisor.squareRoot() : divisor))
  }
}
