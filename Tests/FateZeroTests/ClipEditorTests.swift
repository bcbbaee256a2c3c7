import Foundation
import StableDiffusion
import Tensors
import TestSupport
import Testing

@testable import FateZero

/// The engine on the oracle's tiny model: windows, passes, repeatability, errors.
@Suite(.serialized) struct ClipEditorTests {
  static let size = 64

  func clip(_ count: Int, _ name: String = "c64f8") throws -> [Frame] {
    let entry = try TensorDump(Fixtures.oracle.appendingPathComponent("clips.safetensors"))[name]
    let (frames, height, width) = (entry.shape[0], entry.shape[1], entry.shape[2])
    let area = height * width * 3
    return try (0..<count).map { index in
      // Back and forth through the clip.
      let phase = index % (2 * frames - 2 + (frames == 1 ? 2 : 0))
      let frame = phase < frames ? phase : 2 * frames - 2 - phase
      return try Frame(
        width: width, height: height, pixels: entry.values[frame * area..<(frame + 1) * area].map { UInt8($0) })
    }
  }

  func settings(_ change: (inout Settings) throws -> Void = { _ in }) rethrows -> Settings {
    var settings = Settings()
    settings.edit = "a red tiger walking on the floor"
    settings.source = "a black cat walking on the floor"
    settings.steps = 4
    settings.size = WorkingSize(width: Self.size, height: Self.size)
    try change(&settings)
    return settings
  }

  struct Run {
    let frames: [[Frame]]
    let passes: Int
    let windows: [Int]
  }

  func edit(
    _ frames: [Frame], _ edits: [Settings], model name: String = "tinyA", modelAt folder: URL? = nil,
    mask: GivenMask? = nil, masks: [Frame] = [], economies: Set<Economy> = [],
    cancellation: Cancellation = Cancellation(),
    progress: @escaping (ClipEditor.Progress) -> Void = { _ in }, warn: @escaping (String) -> Void = { _ in }
  ) throws -> Run {
    let device = try Device(threads: 2)
    let folder = folder ?? Fixtures.oracle.appendingPathComponent("models/\(name)")
    let model = try StableDiffusionModel(Checkpoint(path: folder.path), device: device)
    let size = FrameSize(width: frames[0].width, height: frames[0].height)
    var plan = try EditPlan(model: model, edits: edits, frameSize: size, mask: mask)
    plan.economies = economies
    let editor = ClipEditor(plan: plan, cancellation: cancellation, progress: progress, warn: warn) { _ in
      ClipEditor.Engine(device: device, model: model)
    }
    var result = [[Frame]](repeating: [], count: edits.count)
    var windows: [Int] = []
    func take(_ window: ClipEditor.Window?) throws {
      guard let window else { return }
      windows.append(window.edits[0].count)
      for (index, edited) in window.edits.enumerated() { result[index] += try edited.map { try $0.frame() } }
    }
    for (index, frame) in frames.enumerated() {
      try take(try editor.push(frame, mask: masks.isEmpty ? nil : masks[index % masks.count]))
    }
    try take(try editor.finish())
    return Run(frames: result, passes: editor.passes, windows: windows)
  }

  @Test func oneInversionServesSeveralEdits() throws {
    let frames = try clip(3)
    let other = settings { $0.edit = "a black dog walking on the floor" }
    let one = try edit(frames, [settings()])
    let two = try edit(frames, [settings(), other])
    #expect(one.passes == 8)
    #expect(two.passes == 12)
    #expect(two.frames[0] == one.frames[0])
    #expect(two.frames[1] == (try edit(frames, [other])).frames[0])
    #expect(two.frames[0] != two.frames[1])
  }

  @Test func recomputingCostsAPassForEachStepThatReadsTheSource() throws {
    let frames = try clip(2)
    let kept = try edit(frames, [settings()])
    let computed = try edit(frames, [settings { $0.record = .recompute }])
    #expect(computed.passes == kept.passes + 4)
    #expect(computed.frames == kept.frames)
  }

  /// With windows that carry frames, several edits, and attention from either side: what is loaded again is what it was, and
  /// two passes say what one of twice the frames does, to rounding.
  @Test(arguments: Economy.allCases.map { [$0] } + [[.encodersLeave, .unetLeaves], Economy.allCases])
  func economiesChangeNoFrame(_ economies: [Economy]) throws {
    let frames = try clip(5)
    for source in ["inversion", "reconstruction"] {
      let edits = try ["a red tiger walking on the floor", "a black dog walking on the floor"].map { edit in
        try settings {
          $0.edit = edit
          $0.clipLength = 3
          try $0.set("attention-source", to: source)
        }
      }
      let whole = try edit(frames, edits)
      let saving = try edit(frames, edits, economies: Set(economies))
      let difference =
        zip(whole.frames.joined(), saving.frames.joined()).map { whole, saving in
          zip(whole.pixels, saving.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 0
        }.max() ?? 255
      print("\(economies), attention of the \(source): largest difference \(difference) levels of 255")
      #expect(difference <= (economies.contains(.splitGuidance) || source == "reconstruction" ? 1 : 0))
      #expect(
        economies.contains(.splitGuidance) == (saving.passes > whole.passes) || economies.contains(.recomputedAttention)
      )
    }
  }

  /// A network that is read again after its file was cut short is an error; one whose file is gone is still there.
  @Test func aModelThatChangesBehindItsBack() throws {
    try Fixtures.withTemporaryFolder { folder in
      let model = folder.appendingPathComponent("model")
      try FileManager.default.copyItem(at: Fixtures.oracle.appendingPathComponent("models/tinyA"), to: model)
      let weights = try #require(
        FileManager.default.contentsOfDirectory(atPath: model.appendingPathComponent("vae").path).first {
          $0.hasSuffix(".safetensors")
        })
      let path = model.appendingPathComponent("vae/\(weights)").path
      let frames = try clip(2)
      let economies: Set<Economy> = [.encodersLeave, .unetLeaves]
      func cut(_ change: @escaping () throws -> Void) throws -> Run {
        try edit(frames, [settings()], modelAt: model, economies: economies) { progress in
          if progress.phase == .invert, progress.step == 1 { try? change() }
        }
      }
      let whole = try edit(frames, [settings()])
      let gone = try cut { try FileManager.default.moveItem(atPath: path, toPath: path + ".old") }
      #expect(gone.frames == whole.frames)
      try FileManager.default.moveItem(atPath: path + ".old", toPath: path)
      let error = #expect(throws: ModelError.self) { try cut { truncate(path, 4096) } }
      #expect(error?.description.contains("was changed") == true)
    }
  }

  @Test func theSameInputGivesTheSameBytes() throws {
    let frames = try clip(3)
    #expect(try edit(frames, [settings()]).frames == edit(frames, [settings()]).frames)
  }

  @Test(arguments: [1, 3, 4, 5, 9])
  func asManyFramesComeOutAsWentIn(_ count: Int) throws {
    let run = try edit(try clip(count), [settings { $0.clipLength = 4 }])
    #expect(run.frames[0].count == count)
    #expect(run.windows == [Int](repeating: 4, count: count / 4) + (count % 4 == 0 ? [] : [count % 4]))
  }

  @Test func aClipOfOneWindowIsTheWholeClip() throws {
    let frames = try clip(4)
    #expect(
      try edit(frames, [settings { $0.clipLength = 0 }]).frames
        == edit(frames, [settings { $0.clipLength = 4 }]).frames)
  }

  /// Carried frames follow the trajectory of their own window, so a window that repeats the first one's frames and reads
  /// only the anchor gives nearly the same pictures.
  @Test(arguments: ["self+middle", "middle", "self"])
  func laterWindowsFollowTheAnchor(_ coupling: String) throws {
    let first = try clip(4)
    let run = try edit(
      first + first,
      [
        settings {
          $0.clipLength = 4; $0.frameCoupling = try? FrameReference.parse(coupling)
        }
      ])
    var total = 0.0
    for index in 0..<4 {
      total +=
        zip(run.frames[0][index].pixels, run.frames[0][index + 4].pixels)
        .map { abs(Double($0) - Double($1)) }.reduce(0, +) / Double(first[0].pixels.count)
    }
    print("window 2 against window 1, \(coupling): mean difference \(total / 4) levels")
    #expect(coupling == "self" ? total == 0 : total / 4 < 24)
  }

  @Test func aGuidanceScaleOfOneTakesOneRun() throws {
    let run = try edit(try clip(2), [settings { $0.guidanceScale = 1 }])
    #expect(run.passes == 8)
    #expect(run.frames[0].count == 2)
  }

  @Test func withoutASourceOnlySelfAttentionIsKept() throws {
    let run = try edit(try clip(2), [settings { $0.source = nil }])
    #expect(run.frames[0].count == 2)
    #expect(run.frames[0] != (try edit(try clip(2), [settings { $0.attentionSource = .none }])).frames[0])
  }

  @Test func cancellingEndsTheRun() throws {
    let cancellation = Cancellation()
    var steps = 0
    #expect(throws: CancellationRequested.self) {
      try edit(try clip(2), [settings()], cancellation: cancellation) { progress in
        steps += 1
        if progress.phase == .invert, progress.step == 2 { cancellation.request() }
      }
    }
    // The beginning, two frames encoded, two steps inverted, nothing after.
    #expect(steps == 5)
  }

  @Test func progressAddsUpToThePlannedWork() throws {
    let frames = try clip(6)
    let edits = [
      settings { $0.clipLength = 4 },
      settings {
        $0.clipLength = 4; $0.edit = "a black dog walking on the floor"
      },
    ]
    var last = 0.0
    _ = try edit(frames, edits) { progress in
      #expect(progress.step == 0 ? progress.operations == last : progress.operations > last)
      #expect(progress.windowShare <= 1)
      last = progress.operations
    }
    let model = try StableDiffusionModel(
      Checkpoint(path: Fixtures.oracle.appendingPathComponent("models/tinyA").path), device: nil)
    let plan = try EditPlan(model: model, edits: edits, frameSize: FrameSize(width: 64, height: 64))
    #expect(abs(last / plan.operations(frames: 6) - 1) < 1e-9)
  }

  /// A damaged weight: the run ends at the first step and names the layer.
  @Test func numbersThatLeaveTheFiniteAreNamed() throws {
    try Fixtures.withTemporaryFolder { folder in
      let original = Fixtures.oracle.appendingPathComponent("models/tinyA")
      let copy = folder.appendingPathComponent("model")
      try FileManager.default.copyItem(at: original, to: copy)
      let weights = copy.appendingPathComponent("unet/diffusion_pytorch_model.safetensors")
      var data = try Data(contentsOf: weights)
      let length = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
      let header = try JSONSerialization.jsonObject(with: data[8..<8 + length]) as? [String: Any]
      let entry = try #require(header?["mid_block.resnets.0.conv1.bias"] as? [String: Any])
      let offset = try #require(entry["data_offsets"] as? [Int])[0]
      // Infinity in float16, little-endian.
      data.replaceSubrange(8 + length + offset..<8 + length + offset + 2, with: [0x00, 0x7c])
      try data.write(to: weights)
      let error = #expect(throws: EditError.self) { try edit(try clip(1), [settings()], modelAt: copy) }
      #expect(error?.kind == .numerics)
      #expect(error?.description.contains("inversion step 1 of 4") == true)
      #expect(error?.description.contains("the layer mid_block.resnets.0") == true)
    }
  }

  @Test func framesOfAnotherSizeAreRefused() throws {
    let frames = try clip(1) + [try Frame(width: 2, height: 2, pixels: [UInt8](repeating: 0, count: 12))]
    #expect(throws: EditError.self) { try edit(frames, [settings()]) }
  }

  @Test(arguments: [(101, 67), (64, 96), (72, 104)])
  func anySizeWorks(_ width: Int, _ height: Int) throws {
    let pixels = (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let frame = try Frame(width: width, height: height, pixels: pixels)
    let run = try edit(
      [frame, frame],
      [
        settings {
          $0.size = width % 8 == 0 && height % 8 == 0 ? WorkingSize(width: width, height: height) : nil
          $0.blendWords = BlendWords(source: ["cat"], target: ["tiger"])
          $0.blendLatents = true
        }
      ])
    #expect(run.frames[0].count == 2)
    #expect(run.frames[0][0].width == width && run.frames[0][0].height == height)
  }

  @Test func wordsThatDoNotOccurAreErrors() throws {
    #expect(throws: SettingsError.self) {
      try edit(try clip(1), [settings { $0.blendWords = BlendWords(source: ["zebra"], target: []) }])
    }
  }

  @Test func tunedModelsRunOverWindows() throws {
    let run = try edit(try clip(5), [settings { $0.clipLength = 3 }], model: "tinyA_tuned")
    #expect(run.frames[0].count == 5)
  }

  @Test func theDefaultModelCouplesLayersByDefault() throws {
    let model = try StableDiffusionModel(
      Checkpoint(path: Fixtures.repository.appendingPathComponent("Models/toyworld").path), device: nil)
    for preset in [nil] + Presets.all.map({ Optional($0) }) {
      var settings = settings { $0.size = nil }
      try settings.apply(preset?.layer ?? [])
      if settings.blendAttention == .on { settings.blendWords = BlendWords(source: ["cat"], target: ["tiger"]) }
      let plan = try EditPlan(model: model, edits: [settings], frameSize: FrameSize(width: 128, height: 128))
      #expect(!plan.coupledSites.isEmpty, "preset \(preset?.name ?? "none")")
    }
  }
}

/// Plans of absurd clips and settings: an answer or an error, never a trap.
@Suite struct EditPlanTests {
  private func plan(_ size: FrameSize, _ change: (inout Settings) -> Void = { _ in }) throws -> EditPlan {
    let model = try StableDiffusionModel(
      Checkpoint(path: Fixtures.oracle.appendingPathComponent("models/tinyA").path), device: nil)
    var settings = Settings()
    settings.edit = "a tiger"
    settings.source = "a cat"
    settings.size = WorkingSize(width: 64, height: 64)
    change(&settings)
    return try EditPlan(model: model, edits: [settings], frameSize: size)
  }

  @Test func clipsThatSayTheyAreEndlessAreCounted() throws {
    let plan = try plan(FrameSize(width: 64, height: 64))
    #expect(plan.windows(frames: .max).count == Int.max / 8 + 1)
    #expect(plan.peakBytes(frames: .max) == plan.peakBytes(frames: 17))
    #expect(plan.operations(frames: .max).isFinite)
    #expect(plan.windows(frames: 0).count == 0)
    #expect(plan.peakBytes(frames: nil) >= plan.peakBytes(frames: 8))
  }

  /// Winograd's convolutions are chosen where their memory fits, which is more.
  @Test func convolutionsSuitTheMemory() throws {
    let model = try StableDiffusionModel(
      Checkpoint(path: try ModelLocation.find(nil)), device: nil)
    var settings = Settings()
    settings.edit = "a tiger"
    let plan = try EditPlan(model: model, edits: [settings], frameSize: FrameSize(width: 256, height: 256))
    var other = plan
    other.convolutions = .winograd
    let (direct, winograd) = (plan.peakBytes(frames: 8), other.peakBytes(frames: 8))
    print("direct \(direct) bytes, Winograd \(winograd)")
    #expect(winograd > direct)
    let fastest = Device.Convolutions.winograd.isAvailable ? Device.Convolutions.winograd : .direct
    #expect(plan.fitted(frames: 8, limit: winograd).convolutions == fastest)
    let tight = plan.fitted(frames: 8, limit: winograd - 1)
    #expect(tight.convolutions == .direct && tight.economies.isEmpty)
    #expect(plan.fitted(frames: 8, limit: nil).convolutions == .direct)
  }

  /// Where the autoencoder needs the most, the tiles are as large as fits.
  @Test func tilesSuitTheMemory() throws {
    let plan = try plan(FrameSize(width: 768, height: 640)) {
      ($0.record, $0.steps) = (.recompute, 1)
      $0.size = WorkingSize(width: 768, height: 640)
    }
    var limit = plan.peakBytes(frames: 1)
    var sides: [Int] = []
    while true {
      let fitted = plan.fitted(frames: 1, limit: limit)
      let peak = fitted.peakBytes(frames: 1)
      guard peak <= limit else { break }
      print("\(limit) bytes: \(peak), \(fitted.economiesText ?? "all")")
      if let tiling = fitted.tiling {
        if sides.last != tiling.side { sides.append(tiling.side) }
        var other = fitted
        other.tiling = nil
        #expect(other.peakBytes(frames: 1) > limit)
      }
      limit = peak - 1
    }
    #expect(!sides.isEmpty && sides == sides.sorted(by: >))
  }

  /// The less memory, the more is done without, until nothing helps; what the user chose is never taken back.
  @Test func economiesSuitTheMemory() throws {
    var last: (peak: Int, plan: EditPlan)?
    for (record, guidance) in [(Settings.Record.auto, Float(7.5)), (.queriesKeys, 7.5), (.auto, 1)] {
      let plan = try plan(FrameSize(width: 256, height: 256)) {
        ($0.record, $0.guidanceScale) = (record, guidance)
        $0.size = WorkingSize(width: 256, height: 256)
      }
      var limit = plan.peakBytes(frames: 8)
      var seen: Set<Economy> = []
      while true {
        let fitted = plan.fitted(frames: 8, limit: limit)
        let peak = fitted.peakBytes(frames: 8)
        guard peak <= limit else {
          #expect(throws: EditError.self) { try fitted.checkMemory(frames: 8, limit: limit) }
          last = (peak, fitted)
          break
        }
        try fitted.checkMemory(frames: 8, limit: limit)
        print("\(record), guidance \(guidance), \(limit) bytes: \(peak), \(fitted.economiesText ?? "all")")
        // None is made in vain.
        for economy in fitted.economies {
          var other = fitted
          other.economies.remove(economy)
          #expect(other.peakBytes(frames: 8) > limit)
        }
        seen.formUnion(fitted.economies)
        limit = peak - 1
      }
      #expect(seen.contains(.recomputedAttention) == (record == .auto))
      #expect(seen.contains(.splitGuidance) == (guidance > 1))
      #expect(last?.plan.record == (record == .auto ? .recompute : .queriesKeys))
      #expect(plan.record == .queriesKeys)
    }
    let inFiles = try plan(FrameSize(width: 64, height: 64)) { $0.recordFolder = "/tmp" }
    #expect(inFiles.fitted(frames: 8, limit: 1).record == .queriesKeys)
  }

  @Test func absurdSettingsCostAbsurdMuch() throws {
    let plan = try plan(FrameSize(width: 65536, height: 65536)) {
      $0.size = WorkingSize(width: 8192, height: 8192)
      $0.fusionMaxTokens = 1 << 20
      $0.clipLength = 100_000
      $0.record = .maps
    }
    #expect(plan.peakBytes(frames: 1_000_000) > 1 << 50)
  }

  @Test(arguments: [(0, 0), (-5, 5), (64, 1 << 20)])
  func sizesThatAreNone(_ width: Int, _ height: Int) {
    #expect(throws: EditError.self) { try plan(FrameSize(width: width, height: height)) { $0.size = nil } }
    #expect(throws: EditError.self) {
      try plan(FrameSize(width: 64, height: 64)) { $0.size = WorkingSize(width: width, height: height) }
    }
  }

  @Test func moreStepsThanTheScheduleHas() {
    #expect(throws: SettingsError.self) { try plan(FrameSize(width: 64, height: 64)) { $0.steps = 1000 } }
  }
}
