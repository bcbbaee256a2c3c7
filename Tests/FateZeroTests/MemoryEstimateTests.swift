import Foundation
import StableDiffusion
import TestSupport
import Testing

@testable import FateZero
@testable import Tensors

/// What a device holds in each phase of an edit, against what the plan said before.
@Suite(.serialized) struct MemoryEstimateTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var model = "tinyA"
    var record = Settings.Record.auto
    var guidanceScale: Float = 7.5
    var coupling: [FrameReference] = [.relative(0), .middle]
    var frames = 4
    var size = WorkingSize(width: 256, height: 256)
    var blendsLatents = false
    var precision = Settings.Precision.float32
    var economies: Set<Economy> = []
    /// Latents along the autoencoder's tiles; 0 for none.
    var tileSide = 0
    var attentionSource = Settings.AttentionSource.inversion

    var testDescription: String {
      "\(model), \(frames) frames of \(size.width)x\(size.height), \(record), guidance \(guidanceScale), \(coupling.count) frames of keys, "
        + "\(precision)\(blendsLatents ? ", latents blended" : ""), attention of the \(attentionSource)"
        + economies.sorted().map { ", \($0)" }.joined() + (tileSide > 0 ? ", tiles of \(tileSide)" : "")
    }

    static let all: [Case] =
      [
        Case(), Case(frames: 1), Case(frames: 7), Case(record: .recompute), Case(record: .maps), Case(guidanceScale: 1),
        Case(coupling: [.middle]), Case(size: WorkingSize(width: 384, height: 192)), Case(blendsLatents: true),
        Case(size: WorkingSize(width: 512, height: 512)), Case(model: "tinyA_tuned"), Case(model: "tinyB"),
        Case(economies: [.encodersLeave]), Case(economies: [.splitGuidance]), Case(economies: [.recomputedAttention]),
        Case(economies: Set(Economy.allCases)), Case(frames: 7, economies: Set(Economy.allCases)),
        Case(economies: [.splitGuidance], attentionSource: .reconstruction),
        Case(size: WorkingSize(width: 384, height: 192), tileSide: 32),
      ]
      + (Device.Precision.fastest == .bfloat16
        ? [
          Case(precision: .bfloat16), Case(record: .recompute, precision: .bfloat16),
          Case(record: .maps, precision: .bfloat16), Case(precision: .bfloat16, economies: Set(Economy.allCases)),
        ] : [])
  }

  @Test(arguments: Case.all)
  func whatIsHeldWasPredicted(_ wanted: Case) throws {
    var settings = Settings()
    settings.edit = "a red tiger walking on the floor"
    settings.source = "a black cat walking on the floor"
    settings.steps = 3
    settings.size = wanted.size
    settings.clipLength = 0
    settings.record = wanted.record
    settings.guidanceScale = wanted.guidanceScale
    settings.frameCoupling = wanted.coupling
    settings.precision = wanted.precision
    settings.attentionSource = wanted.attentionSource
    settings.threads = 2
    settings.blendWords = BlendWords(source: ["cat"], target: ["tiger"])
    settings.blendLatents = wanted.blendsLatents

    let size = FrameSize(width: wanted.size.width, height: wanted.size.height)
    let checkpoint = try Checkpoint(path: Fixtures.oracle.appendingPathComponent("models/\(wanted.model)").path)
    var plan = try EditPlan(
      model: try StableDiffusionModel(checkpoint, device: nil), edits: [settings], frameSize: size)
    plan.economies = wanted.economies
    if wanted.tileSide > 0 { plan.tiling = try AutoencoderTiling(side: wanted.tileSide) }
    let device = try Device(threads: 2, precision: plan.precision)
    let model = try StableDiffusionModel(checkpoint, device: device)
    device.trimMemory()

    var held: [String: Int] = [:]
    let editor = ClipEditor(plan: plan) { progress in
      guard progress.step == progress.steps else { return }
      let name =
        switch progress.phase {
        case .encode: "encode"
        case .invert: "invert"
        case .reconstruct: "reconstruct"
        case .edit: "edit"
        case .decode: "decode"
        }
      held[name] = device.heldByteCount
    } engine: { _ in
      ClipEditor.Engine(device: device, model: model)
    }
    defer { #expect(model.loaded == plan.staying.union([.vae])) }
    let pixels = (0..<size.width * size.height * 3).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    for _ in 0..<wanted.frames {
      _ = try editor.push(try Frame(width: size.width, height: size.height, pixels: pixels))
    }
    _ = try editor.finish()

    let estimate = plan.estimate.memory(
      plan, window: plan.window(index: 0, count: wanted.frames), isFirst: true)
    let inverts = wanted.attentionSource == .reconstruction ? "reconstruct" : "invert"
    let ofSource = estimate.inversion + (wanted.attentionSource == .reconstruction ? estimate.latents : 0)
    for (phase, predicted) in [
      // What the UNet reads of the prompts is not there yet.
      ("encode", estimate.encoding), (inverts, ofSource + estimate.text),
      ("edit", estimate.edit + estimate.latents + estimate.text),
      ("decode", estimate.decoding + estimate.latents + estimate.text),
    ] {
      let measured = Double(try #require(held[phase]))
      print(
        "\(wanted.testDescription), \(phase): \(Int(measured)) bytes held, \(Int(predicted)) predicted, ratio \(predicted / measured)"
      )
      #expect(abs(predicted / measured - 1) < 0.05, "\(phase)")
    }
  }

  struct TiledCase: Sendable, CustomTestStringConvertible {
    var model = "tinyA"
    /// Of the latents.
    var rows: Int, columns: Int
    /// nil: whole.
    var side: Int?
    var frames = 2

    var testDescription: String {
      "\(model), \(frames) frames of \(rows)x\(columns) latents, \(side.map { "tiles of \($0)" } ?? "whole")"
    }

    static let all = [
      TiledCase(rows: 64, columns: 64), TiledCase(rows: 64, columns: 64, side: 32),
      TiledCase(rows: 64, columns: 64, side: 48), TiledCase(rows: 40, columns: 100, side: 32),
      TiledCase(rows: 100, columns: 30, side: 48, frames: 1), TiledCase(rows: 73, columns: 49, side: 32, frames: 4),
      TiledCase(model: "tinyB", rows: 64, columns: 96), TiledCase(model: "tinyB", rows: 64, columns: 96, side: 32),
    ]
  }

  /// Frames through the autoencoder, whole and in tiles, against their rehearsal.
  @Test(arguments: TiledCase.all)
  func whatTheAutoencoderHoldsWasPredicted(_ wanted: TiledCase) throws {
    let checkpoint = try Checkpoint(path: Fixtures.oracle.appendingPathComponent("models/\(wanted.model)").path)
    let device = try Device(threads: 2)
    let autoencoder = try StableDiffusionModel(checkpoint, device: device).autoencoder
    let (rows, columns, factor) = (wanted.rows, wanted.columns, autoencoder.factor)
    let tiling = try wanted.side.map { try AutoencoderTiling(side: $0) }
    func expectPredicted(_ what: String, _ rehearse: (inout MemoryRehearsal) -> Void) {
      var memory = MemoryRehearsal(threads: 2, precision: .float32, convolutions: .direct)
      for _ in 0..<wanted.frames { rehearse(&memory) }
      let measured = Double(device.heldByteCount)
      print(
        "\(wanted.testDescription), \(what): \(Int(measured)) bytes held, \(Int(memory.peak)) predicted, ratio \(memory.peak / measured)"
      )
      #expect(abs(memory.peak / measured - 1) < 0.01, "\(what)")
    }

    device.trimMemory()
    let image = try Tensor(zeros: [1, rows * factor, columns * factor, 3])
    for _ in 0..<wanted.frames { _ = try autoencoder.encode(image, tiling: tiling, device: device) }
    expectPredicted("encode") {
      autoencoder.configuration.rehearseEncoding(&$0, rows: rows, columns: columns, tiling: tiling)
    }

    device.trimMemory()
    let latents = try Tensor(zeros: [wanted.frames, rows, columns, autoencoder.configuration.latentChannels])
    var pictures: [Tensor] = []
    try autoencoder.decode(latents, tiling: tiling, device: device) { pictures.append($1) }
    expectPredicted("decode") {
      autoencoder.configuration.rehearseDecoding(&$0, rows: rows, columns: columns, tiling: tiling)
    }
    #expect(pictures.count == wanted.frames)
  }

  /// At the size of Stable Diffusion 1.5, of 1024x1024 pixels: the choices come in the order of what they take.
  @Test func smallerTilesTakeLess() throws {
    let configuration = """
      {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
       "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
       "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]}
      """
    let autoencoder = try Fixtures.withTemporaryFolder { folder in
      let file = folder.appendingPathComponent("config.json")
      try Data(configuration.utf8).write(to: file)
      return try AutoencoderConfiguration(path: file.path)
    }
    let peaks = AutoencoderTiling.candidates(rows: 128, columns: 128).map { tiling in
      let rehearsals = [autoencoder.rehearseEncoding, autoencoder.rehearseDecoding]
      let peaks = rehearsals.map { rehearse in
        var memory = MemoryRehearsal(threads: 2, precision: .float32, convolutions: .direct)
        rehearse(&memory, 128, 128, tiling)
        return memory.peak
      }
      let operations = autoencoder.operations(rows: 128, columns: 128, tiling: tiling)
      print(
        "1024x1024, \(tiling.map { "tiles of \($0.side)" } ?? "whole"): encode \(Int(peaks[0]) >> 20) MiB, "
          + "\(operations.encode / 1e12) TFLOP, decode \(Int(peaks[1]) >> 20) MiB, \(operations.decode / 1e12) TFLOP")
      return peaks
    }
    #expect(peaks.count == 4)
    for (larger, smaller) in zip(peaks, peaks.dropFirst()) {
      #expect(smaller[0] < larger[0])
      #expect(smaller[1] < larger[1])
    }
  }
}
