import StableDiffusion
import Tensors

/// The networks of a run as its windows use them: loaded when they are needed, cancelled, counted. A run of the UNet is a
/// pass.
final class WindowNetworks {
  let plan: EditPlan
  let device: Device
  let trace: Trace?
  private let model: StableDiffusionModel
  private let cancellation: Cancellation
  private let texts: Prompts<Tensor>
  private var conditionings: Prompts<TextConditioning>?
  /// Passes of the UNet so far.
  private(set) var passes = 0
  var report: (ClipEditor.Progress.Phase, Int) -> Void = { _, _ in }
  /// Takes what the user should know of.
  var warn: (String) -> Void = { _ in }
  private let poll: (() -> Void)?

  /// What the text encoder makes of the prompts, and what the UNet makes of that: with guidance the negative prompt's first.
  struct Prompts<Value> {
    let source: Value
    let reconstruction: Value?
    let targets: [Value]

    func map<Other>(_ body: (Value) throws -> Other) rethrows -> Prompts<Other> {
      Prompts<Other>(
        source: try body(source), reconstruction: try reconstruction.map(body), targets: try targets.map(body))
    }
  }

  /// - Parameters:
  ///   - model: Loaded on `device`.
  ///   - poll: Called some times a second while this works, on the thread that calls it.
  /// - Throws: `EditError`, `CancellationRequested`.
  init(
    plan: EditPlan, model: StableDiffusionModel, device: Device, cancellation: Cancellation, trace: Trace?,
    poll: (() -> Void)?
  ) throws {
    (self.plan, self.model, self.device, self.cancellation, self.trace) = (plan, model, device, cancellation, trace)
    self.poll = poll
    try WindowNetworks.prepare(.textEncoder, of: model, for: plan, on: device, cancellation, poll)
    texts = try device.perform(cancellation: cancellation, whileWaiting: poll) {
      func encode(_ tokens: [Int]) throws -> Tensor { try model.textEncoder(tokens, device: device) }
      let source = try encode(plan.sourceTokens)
      // A reconstruction is guided with the first edit's negative prompt.
      let reconstruction = try plan.reconstructionTokens.map { tokens in
        let prompt = try encode(tokens)
        guard plan.edits[0].settings.guidanceScale > 1 else { return prompt }
        return try device.concatenate([try encode(plan.negativeTokens[0]), prompt])
      }
      let targets = try zip(plan.edits, plan.negativeTokens).map { edit, negative in
        let target = try encode(edit.targetTokens)
        let negativeText = try encode(negative)
        trace?.setText(plan, edit, source: source, target: target, negative: negativeText, negativeTokens: negative)
        return edit.settings.guidanceScale > 1 ? try device.concatenate([negativeText, target]) : target
      }
      return Prompts(source: source, reconstruction: reconstruction, targets: targets)
    }
  }

  /// What the UNet reads of the prompts, made when it first works.
  func prompts() throws -> Prompts<TextConditioning> {
    if let conditionings { return conditionings }
    try prepare(.unet)
    let made = try perform { try texts.map { try model.unet.condition(on: $0, device: device) } }
    conditionings = made
    return made
  }

  // MARK: Networks

  /// Loads a network where it is not, after those have left that the plan has no room for beside it.
  func prepare(_ component: ModelComponent) throws {
    try WindowNetworks.prepare(component, of: model, for: plan, on: device, cancellation, poll)
  }

  private static func prepare(
    _ component: ModelComponent, of model: StableDiffusionModel, for plan: EditPlan, on device: Device,
    _ cancellation: Cancellation, _ poll: (() -> Void)?
  ) throws {
    for other in plan.leaving where other != component { model.unload(other) }
    guard !model.loaded.contains(component) else { return }
    try device.perform(cancellation: cancellation, whileWaiting: poll) { try model.load(component, on: device) }
  }

  func perform<Value>(_ body: () throws -> Value) throws -> Value {
    try device.perform(cancellation: cancellation, whileWaiting: poll, body)
  }

  // MARK: Frames and latents

  /// Pictures (1, height, width, 3) in -1...1 -> latents (f, rows, columns, channels).
  func encode(_ pictures: [Tensor]) throws -> Tensor {
    // What encoding leaves in the pool fits no tensor of the UNet.
    defer { device.trimMemory() }
    try prepare(.vae)
    let latents = try pictures.enumerated().map { index, picture in
      let latents = try perform { try model.autoencoder.encode(picture, tiling: plan.tiling, device: device) }
      guard latents.isFinite else {
        throw EditError(
          .numerics,
          "the autoencoder's latents of frame \(index + 1) are not finite: check the checkpoint's weights")
      }
      report(.encode, index + 1)
      return latents
    }
    return try perform { try device.concatenate(latents) }
  }

  /// Latents -> pictures (1, height, width, 3), about -1...1.
  func decode(_ latents: Tensor, edit: Int?) throws -> [Tensor] {
    device.trimMemory()
    defer { device.trimMemory() }
    try prepare(.vae)
    var pictures: [Tensor] = []
    for index in 0..<latents.shape[0] {
      try perform {
        try model.autoencoder.decode(
          latents.rows(index..<index + 1), tiling: plan.tiling, device: device
        ) { pictures.append($1) }
      }
      guard pictures.last?.isFinite ?? false else {
        throw EditError(
          .numerics, "the decoded picture of frame \(index + 1) is not finite: check the autoencoder's weights")
      }
      report(.decode(edit: edit), index + 1)
    }
    return pictures
  }

  /// Latents of carried frames before those of the window's own.
  func joined(_ carried: [Tensor], _ own: Tensor) throws -> Tensor {
    carried.isEmpty ? own : try perform { try device.concatenate(carried + [own]) }
  }

  // MARK: Passes

  /// What the UNet says to each run, in one pass or, where memory is short, with the runs that nothing controls alone.
  func predict(
    _ pass: NetworkPass, window: ClipWindow, inspect: ((String, Tensor) throws -> Void)? = nil
  ) throws -> [Tensor] {
    guard pass.latents.count == pass.text.batches, 0..<pass.latents.count ~= pass.apart else {
      throw TensorError("a pass of \(pass.latents.count) runs has \(pass.text.batches) prompts")
    }
    func run(_ runs: Range<Int>, _ processor: any AttentionProcessor) throws -> [Tensor] {
      passes += 1
      try prepare(.unet)
      let latents =
        try runs.count == 1
        ? pass.latents[runs.lowerBound] : perform { try device.concatenate(Array(pass.latents[runs])) }
      let output = try perform {
        try model.unet(
          latents, timestep: pass.timestep, text: pass.text.runs(runs), coupling: window.coupledFrames(plan.coupling),
          couplingMinWidth: plan.couplingMinWidth, processor: processor, device: device, inspect: inspect)
      }
      return (0..<runs.count).map { output.rows($0 * window.total..<($0 + 1) * window.total) }
    }
    guard pass.apart > 0, plan.economies.contains(.splitGuidance) else {
      return try run(pass.latents.indices, pass.processor)
    }
    return try run(0..<pass.apart, PlainAttention()) + run(pass.apart..<pass.latents.count, pass.processor)
  }
}
