import FateZero
import StableDiffusion
import Tensors
import TestSupport
import Testing

/// A method of somebody else's, through public interfaces alone: no inversion; at each step the source's noisy latents are
/// made anew from z_0, go through the network beside the edit's, and the difference of the two predictions moves the edit.
private struct PairedRows: EditingMethod {
  let name = "paired rows"

  func sourceLevels(steps: Int) -> Int { 1 }

  func source(_ latents: Tensor, in run: WindowRun) throws -> Inversion { try run.inversion([latents]) }

  func trajectory(edit index: Int, of source: Inversion, in run: WindowRun) throws -> any Trajectory {
    try Rows(index, source.latents[0], in: run)
  }

  private final class Rows: Trajectory {
    let phase: ClipEditor.Progress.Phase
    let start: Tensor
    private let clean: Tensor, noise: Tensor
    private let text: TextConditioning
    private let scheduler: DDIMScheduler

    init(_ index: Int, _ clean: Tensor, in run: WindowRun) throws {
      phase = .edit(index)
      scheduler = run.plan.scheduler
      self.clean = clean
      noise = try Tensor(
        (0..<clean.shape.reduce(1, *)).map { Float(($0 * 7919) % 201 - 100) / 58 }, shape: clean.shape)
      text = try run.joined([try run.sourceText(), try run.targetText(edit: index)])
      start = try Rows.mix(clean, noise, scheduler.cumulativeAlpha(scheduler.timesteps[0]))
    }

    func pass(from latents: Tensor, step: Int) throws -> NetworkPass {
      let timestep = scheduler.timesteps[step]
      let beside = try Rows.mix(clean, noise, scheduler.cumulativeAlpha(timestep))
      return NetworkPass([beside, latents], timestep: timestep, text: text, processor: ValuesOfTheSource())
    }

    /// p = z_0 + (x - x_s - sqrt(1 - a) (e - e_s)) / sqrt(a), then noise of the next level.
    func advance(_ latents: Tensor, predictions: [Tensor], step: Int, device: Device) throws -> Tensor {
      let share = scheduler.cumulativeAlpha(scheduler.timesteps[step])
      let beside = try Rows.mix(clean, noise, share)
      let moved = try device.combine(1, latents, -1, beside)
      let said = try device.combine(1, predictions[1], -1, predictions[0])
      let difference = try device.combine(
        1 / share.squareRoot(), moved, -((1 - share) / share).squareRoot(), said)
      let predicted = try device.combine(1, clean, 1, difference)
      guard step + 1 < scheduler.steps else { return predicted }
      let next = scheduler.cumulativeAlpha(scheduler.timesteps[step + 1])
      return try device.combine(next.squareRoot(), predicted, (1 - next).squareRoot(), noise)
    }

    private static func mix(_ clean: Tensor, _ noise: Tensor, _ share: Float) throws -> Tensor {
      try Tensor(
        zip(clean.floats, noise.floats).map { share.squareRoot() * $0 + (1 - share).squareRoot() * $1 },
        shape: clean.shape)
    }
  }

  /// The edit attends with the queries and keys of the source's run beside it.
  private struct ValuesOfTheSource: AttentionProcessor {
    func attend(_ call: AttentionCall, device: Device) throws -> Tensor {
      guard call.site.kind == .selfAttention, call.batches == 2 else {
        return try PlainAttention().attend(call, device: device)
      }
      let (source, edit) = (call.batch(0), call.batch(1))
      let scale = call.scale
      return try device.concatenate([
        try PlainAttention().attend(source, device: device),
        try device.attention(source.operands, values: edit.values, heads: call.site.heads, scale: scale),
      ])
    }
  }
}

@Suite(.serialized) struct EditingMethodTests {
  private func edit(
    _ target: String, method: (any EditingMethod)?, clipLength: Int = 0
  ) throws -> (frames: [[UInt8]], passes: Int) {
    let clips = ClipEditorTests()
    let settings = clips.settings {
      $0.edit = target
      $0.guidanceScale = 1
      $0.clipLength = clipLength
    }
    let device = try Device(threads: 2)
    let folder = Fixtures.oracle.appendingPathComponent("models/tinyA").path
    let model = try StableDiffusionModel(Checkpoint(path: folder), device: device)
    let plan = try EditPlan(
      model: model, edits: [settings], frameSize: FrameSize(width: 64, height: 64), method: method)
    let editor = ClipEditor(plan: plan) { _ in ClipEditor.Engine(device: device, model: model) }
    var windows: [ClipEditor.Window?] = []
    for frame in try clips.clip(4) { windows.append(try editor.push(frame)) }
    windows.append(try editor.finish())
    let frames = try windows.compactMap { $0 }.flatMap { $0.edits[0] }.map { try $0.frame().pixels }
    return (frames, editor.passes)
  }

  /// What the autoencoder alone returns.
  private func autoencoded(_ frames: [Frame]) throws -> [[UInt8]] {
    let device = try Device(threads: 2)
    let folder = Fixtures.oracle.appendingPathComponent("models/tinyA").path
    let model = try StableDiffusionModel(Checkpoint(path: folder), device: device)
    return try device.perform {
      try frames.map { frame in
        let picture = try Tensor(frame.pixels.map { Float($0) / 127.5 - 1 }, shape: [1, 64, 64, 3])
        let latents = try model.autoencoder.encode(picture, tiling: nil, device: device)
        var pixels: [UInt8] = []
        try model.autoencoder.decode(latents, tiling: nil, device: device) { _, picture in
          pixels = picture.floats.map { UInt8((min(max($0 / 2 + 0.5, 0), 1) * 255).rounded()) }
        }
        return pixels
      }
    }
  }

  /// Without a difference of the prompts nothing moves away from z_0: the frames are those that the autoencoder returns.
  @Test(arguments: [0, 2]) func aMethodOfAnotherModuleEditsAClip(_ clipLength: Int) throws {
    let same = try edit("a black cat walking on the floor", method: PairedRows(), clipLength: clipLength)
    let other = try edit("a red tiger walking on the floor", method: PairedRows(), clipLength: clipLength)
    #expect(same.passes == (clipLength == 0 ? 4 : 8))
    let source = try autoencoded(try ClipEditorTests().clip(4))
    #expect([same.frames.count, other.frames.count] == [4, 4])
    func difference(_ a: [[UInt8]], _ b: [[UInt8]]) -> Int {
      zip(a.joined(), b.joined()).map { abs(Int($0) - Int($1)) }.max() ?? 0
    }
    let moved = difference(same.frames, other.frames)
    let kept = difference(same.frames, source)
    print("largest difference: \(kept) levels without a difference of the prompts, \(moved) with one")
    #expect(kept <= 1)
    #expect(moved > 1)
    let again = try edit("a red tiger walking on the floor", method: PairedRows(), clipLength: clipLength)
    #expect(again.frames == other.frames)
  }

  /// Each of the built-in methods is what its setting asks for.
  @Test func methodsAreWhatTheSettingNames() throws {
    let target = "a red tiger walking on the floor"
    let byDefault = try edit(target, method: nil)
    #expect(byDefault.frames == (try edit(target, method: InversionAttention())).frames)
    #expect(byDefault.frames != (try edit(target, method: PlainInversion())).frames)
  }
}
