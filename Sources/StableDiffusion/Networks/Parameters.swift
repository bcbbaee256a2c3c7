import Tensors

/// The weights of one network, handed to its modules by name. Each module asks for what it needs; whatever is missing
/// or has the wrong shape is noted, and `finish()` reports all of it at once.
///
///     let parameters = Parameters(try directory.weights(.unet), device: device, component: .unet)
///     let unet = try UNet(configuration, parameters)
///     try parameters.finish()
public final class Parameters {
  public enum Problem: Sendable, Hashable, CustomStringConvertible {
    case missing(name: String, want: [Int])
    case shape(name: String, have: [Int], want: [Int])
    case type(name: String, have: String)
    case duplicate(name: String, stored: [String])
    case surplus(name: String)

    public var description: String {
      switch self {
      case .missing(let name, let want): "missing \(name) \(want)"
      case .shape(let name, let have, let want): "\(name) has the shape \(have), the configuration wants \(want)"
      case .type(let name, let have): "\(name) holds \(have) where floating-point numbers are needed"
      case .duplicate(let name, let stored): "\(name) is there more than once: \(stored.joined(separator: ", "))"
      case .surplus(let name): "\(name) is not part of this network"
      }
    }
  }

  /// What to do with tensors that nothing asked for and that are not known to be harmless.
  public enum SurplusPolicy: Sendable { case refuse, tolerate }

  /// Shared by all scopes of one network.
  private final class State {
    let file: any WeightFile
    let device: Device?
    let component: ModelComponent
    /// What messages call the network.
    let title: String
    /// What adapters change of weights and biases, by canonical name.
    let changes: [String: [WeightChanges.Entry]]
    /// Canonical name -> name in the file.
    var stored: [String: String] = [:]
    var used: Set<String> = []
    var problems: [Problem] = []
    var parameterCount = 0
    var byteCount = 0

    init(
      file: any WeightFile, device: Device?, component: ModelComponent, title: String? = nil,
      changes: [String: [WeightChanges.Entry]]
    ) {
      self.file = file
      self.device = device
      self.component = component
      self.title = title ?? component.rawValue
      self.changes = changes
      for name in file.names {
        let canonical = CheckpointKeys.canonicalName(of: name, component: component)
        if let other = stored.updateValue(name, forKey: canonical) {
          problems.append(.duplicate(name: canonical, stored: [other, name]))
        }
      }
    }
  }

  private let state: State
  private let prefix: String

  /// - Parameters:
  ///   - device: where the weights are packed. Nil only inspects: names and shapes are checked, nothing is read.
  ///   - title: what messages call the network; nil for the component's own name.
  public init(_ file: any WeightFile, device: Device?, component: ModelComponent, title: String? = nil) {
    state = State(file: file, device: device, component: component, title: title, changes: [:])
    prefix = ""
  }

  /// The weights of one of the checkpoint's networks, with its adapters merged into them.
  init(_ component: ModelComponent, of checkpoint: Checkpoint, device: Device?) {
    state = State(
      file: checkpoint.weights(component), device: device, component: component,
      changes: checkpoint.changes.entries[component] ?? [:])
    prefix = ""
  }

  private init(state: State, prefix: String) {
    self.state = state
    self.prefix = prefix
  }

  /// The weights whose names begin with `name` and a dot; `name` may have several parts ("down_blocks.0").
  public func scope(_ name: String) -> Parameters { Parameters(state: state, prefix: prefix + name + ".") }

  /// Whether the file has the tensor `name` (e.g. "conv_temporal.down.weight") within this scope.
  public func has(_ name: String) -> Bool { state.stored[prefix + name] != nil }

  public func shape(of name: String) -> [Int]? { state.stored[prefix + name].flatMap { state.file.shape(of: $0) } }

  // MARK: Layers

  /// `name`.weight (outputs, inputs) and `name`.bias (outputs). The weight may also have the shape of a 1x1
  /// convolution.
  public func linear(_ name: String, inputs: Int, outputs: Int, bias: Bool = true) throws -> Linear {
    let weight = take(name + ".weight", [outputs, inputs], orAs: [outputs, inputs, 1, 1])
    let offset = bias ? take(name + ".bias", [outputs]) : nil
    guard let device = state.device, let weight, !bias || offset != nil else {
      return Linear(name: prefix + name, layer: nil)
    }
    try device.checkCancellation()
    return Linear(
      name: prefix + name, layer: try device.makeLinear(weight: try read(weight), bias: try offset.map(readNow)))
  }

  /// `name`.weight (outputs, inputs, kernel, kernel) and `name`.bias (outputs). A 1x1 kernel may also have the shape of
  /// a linear layer.
  /// - Parameter padding: nil is `kernel / 2` on all sides.
  public func convolution(
    _ name: String, inputs: Int, outputs: Int, kernel: Int = 3, stride: Int = 1, padding: Padding? = nil,
    bias: Bool = true
  ) throws -> Convolution {
    try convolution(
      name, shape: [outputs, inputs, kernel, kernel], orAs: kernel == 1 ? [outputs, inputs] : nil, stride: stride,
      padding: padding ?? Padding(kernel / 2), bias: bias)
  }

  /// A 3x3 convolution after an enlargement, of as many inputs as outputs: `name`.weight (channels, channels, 3, 3) and
  /// `name`.bias (channels).
  public func upsamplingConvolution(_ name: String, channels: Int) throws -> UpsamplingConvolution {
    let weight = take(name + ".weight", [channels, channels, 3, 3])
    let offset = take(name + ".bias", [channels])
    guard let device = state.device, let weight, let offset else {
      return UpsamplingConvolution(name: prefix + name, layer: nil)
    }
    try device.checkCancellation()
    return UpsamplingConvolution(
      name: prefix + name,
      layer: try device.makeUpsamplingConvolution(weight: try read(weight), bias: try readNow(offset)))
  }

  /// A convolution over frames with a kernel of three: `name`.weight (outputs, inputs, 3), used as a 3x1 kernel on
  /// images whose rows are frames; zero padding of one frame at either end.
  public func temporalConvolution(_ name: String, inputs: Int, outputs: Int, bias: Bool) throws -> Convolution {
    try convolution(
      name, shape: [outputs, inputs, 3, 1], orAs: [outputs, inputs, 3], stride: 1,
      padding: Padding(top: 1, left: 0, bottom: 1, right: 0), bias: bias)
  }

  private func convolution(
    _ name: String, shape: [Int], orAs other: [Int]?, stride: Int, padding: Padding, bias: Bool
  ) throws -> Convolution {
    let weight = take(name + ".weight", shape, orAs: other)
    let offset = bias ? take(name + ".bias", [shape[0]]) : nil
    guard let device = state.device, let weight, !bias || offset != nil else {
      return Convolution(name: prefix + name, layer: nil)
    }
    try device.checkCancellation()
    return Convolution(
      name: prefix + name,
      layer: try device.makeConvolution(
        weight: try read(weight), bias: try offset.map(readNow), stride: stride, padding: padding))
  }

  /// `name`.weight and `name`.bias, one number per channel, as float32.
  public func normalization(_ name: String, channels: Int) throws -> Normalization {
    let weight = take(name + ".weight", [channels])
    let offset = take(name + ".bias", [channels])
    guard let device = state.device, let weight, let offset else { return Normalization(weight: nil, bias: nil) }
    return Normalization(
      weight: try device.float32(try readNow(weight)), bias: try device.float32(try readNow(offset)))
  }

  /// A table such as an embedding, (rows, columns), as stored.
  public func table(_ name: String, rows: Int, columns: Int) throws -> Weights {
    guard let entry = take(name, [rows, columns]), state.device != nil else {
      return .memory(try Tensor(zeros: [0, 0]))
    }
    return try read(entry)
  }

  /// A single row, (1, columns), as stored; files also store it as (columns).
  public func row(_ name: String, columns: Int) throws -> Weights {
    guard let entry = take(name, [1, columns], orAs: [columns]), state.device != nil else {
      return .memory(try Tensor(zeros: [0, 0]))
    }
    return try read(entry)
  }

  // MARK: Result

  public var problems: [Problem] { state.problems }
  /// Numbers in the tensors that were asked for.
  public var parameterCount: Int { state.parameterCount }
  /// Their bytes in the file.
  public var byteCount: Int { state.byteCount }

  /// Tensors that nothing asked for, without the harmless ones, under their names in the file.
  public var surplus: [String] {
    state.stored.filter {
      !state.used.contains($0.key) && !CheckpointKeys.isHarmless($0.key, component: state.component)
    }
    .map { state.file.storedName(of: $0.value) }.sorted()
  }

  /// To be called when all modules have taken their weights.
  /// - Throws: one `ModelError` that lists everything that is missing, misshapen or, unless tolerated, left over.
  public func finish(surplus policy: SurplusPolicy = .refuse) throws {
    var all = state.problems
    if policy == .refuse { all += surplus.map(Problem.surplus) }
    guard !all.isEmpty else { return }
    let shown = 40
    let lines = all.prefix(shown).map { "  \($0)" } + (all.count > shown ? ["  and \(all.count - shown) more"] : [])
    throw ModelError(
      .badData,
      """
      the weights in \(state.file.path) do not fit the configuration of the \(state.title) \
      (\(all.count) \(all.count == 1 ? "problem" : "problems")); are the two from the same model, and complete?
      \(lines.joined(separator: "\n"))
      """)
  }

  // MARK: Reading

  private struct Entry {
    /// Canonical.
    let name: String
    let stored: String
    let shape: [Int]
  }

  /// Notes that `name` is needed with the shape `want`; `other` is the shape under which other files store the same
  /// numbers.
  private func take(_ name: String, _ want: [Int], orAs other: [Int]? = nil) -> Entry? {
    let full = prefix + name
    guard let stored = state.stored[full], let have = state.file.shape(of: stored) else {
      state.problems.append(.missing(name: full, want: want))
      return nil
    }
    let isNew = state.used.insert(full).inserted
    guard have == want || have == other else {
      state.problems.append(.shape(name: full, have: have, want: want))
      return nil
    }
    guard let format = state.file.format(of: stored), format.isFloatingPoint else {
      state.problems.append(.type(name: full, have: state.file.typeName(of: stored) ?? "nothing"))
      return nil
    }
    if isNew, let count = Tensor.count(of: want) {
      state.parameterCount += count
      state.byteCount += count * format.byteCount
    }
    return Entry(name: full, stored: stored, shape: want)
  }

  private func read(_ entry: Entry) throws -> Weights {
    let stored = try state.file.stored(entry.stored).reshaped(entry.shape)
    guard let device = state.device, let changes = state.changes[entry.name] else { return .file(stored) }
    return .memory(try device.changed(try stored.read(), by: changes))
  }

  private func readNow(_ entry: Entry) throws -> Tensor { try read(entry).read() }
}

/// A linear layer with weights from a checkpoint.
public struct Linear: Sendable {
  let name: String
  /// Nil where the checkpoint was only inspected.
  public let layer: LinearLayer?

  /// (..., inputs) -> (..., outputs): activation(x W^T + b) + addend.
  /// - Parameter asFactors: Whether the result is stored as factors.
  public func callAsFunction(
    _ x: Tensor, device: Device, activation: Activation = .none, adding addend: Tensor? = nil, asFactors: Bool = false
  ) throws -> Tensor {
    guard let layer else { throw ModelError(.badData, "the weights of \(name) are not loaded") }
    return try device.linear(x, layer, activation: activation, adding: addend, asFactors: asFactors)
  }
}

/// A convolution with weights from a checkpoint.
public struct Convolution: Sendable {
  let name: String
  /// Nil where the checkpoint was only inspected.
  public let layer: ConvolutionLayer?

  /// Whether it takes factors for images of the shape of `x`.
  func takesFactors(like x: Tensor) -> Bool { layer?.takesFactors(rows: x.shape[1], columns: x.shape[2]) ?? false }

  /// (n, h, w, inputs) -> (n, h', w', outputs): convolution + bias + addend.
  public func callAsFunction(_ x: Tensor, device: Device, adding addend: Tensor? = nil) throws -> Tensor {
    guard let layer else { throw ModelError(.badData, "the weights of \(name) are not loaded") }
    return try device.convolution(x, layer, adding: addend)
  }
}

/// Nearest-neighbour upsampling and a convolution with weights from a checkpoint.
public struct UpsamplingConvolution: Sendable {
  let name: String
  /// Nil where the checkpoint was only inspected.
  public let layer: UpsamplingConvolutionLayer?

  /// (n, h, w, channels) -> (n, rows, columns, channels)
  public func callAsFunction(_ x: Tensor, rows: Int, columns: Int, device: Device) throws -> Tensor {
    guard let layer else { throw ModelError(.badData, "the weights of \(name) are not loaded") }
    return try device.upsamplingConvolution(x, layer, rows: rows, columns: columns)
  }
}

/// The scale and the shift of a normalisation, one number per channel, float32. Nil where the checkpoint was only
/// inspected.
public struct Normalization: Sendable {
  public let weight: Tensor?
  public let bias: Tensor?
}
