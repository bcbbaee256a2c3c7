import Foundation
import Tensors
import TestSupport
import Testing

@testable import StableDiffusion

/// Checkpoints in one file as trainers and mergers write them: other formats of numbers, marks, text encoders, parts that are
/// not there, and tensors that are of no use.
@Suite(.serialized) struct CheckpointFormatTests {
  private typealias Entry = (type: String, shape: [Int], bytes: [UInt8])

  private static func folder(_ name: String) -> URL { Fixtures.folder.appendingPathComponent("modules/\(name)") }

  /// The tensors of a fixture as one file in the original layout.
  private static func original(_ name: String) throws -> [String: Entry] {
    try Fixtures.withTemporaryFolder { place in
      let file = try SafetensorsFile(path: try OriginalFile(name).write(folder(name), into: place, linking: false))
      return try file.names.reduce(into: [:]) {
        $0[$1] = ("F32", file.shape(of: $1) ?? [], bytes(try file.tensor($1).floats))
      }
    }
  }

  private static func bytes<Number: FixedWidthInteger>(_ numbers: [Number]) -> [UInt8] {
    numbers.flatMap { number in
      (0..<MemoryLayout<Number>.size).map { UInt8(truncatingIfNeeded: number >> (8 * Number($0))) }
    }
  }

  private static func bytes(_ numbers: [Float]) -> [UInt8] { bytes(numbers.map(\.bitPattern)) }

  private static func floats(_ entry: Entry) -> [Float] {
    stride(from: 0, to: entry.bytes.count, by: 4).map { start in
      Float(bitPattern: UInt32(entry.bytes[start..<start + 4].littleEndian))
    }
  }

  private static func write(_ tensors: [String: Entry], metadata: [String: String] = [:], to url: URL) throws {
    var header: [String: Any] = [:], data = Data()
    for (name, entry) in tensors {
      header[name] = [
        "dtype": entry.type, "shape": entry.shape, "data_offsets": [data.count, data.count + entry.bytes.count],
      ]
      data.append(contentsOf: entry.bytes)
    }
    if !metadata.isEmpty { header["__metadata__"] = metadata }
    let text = try JSONSerialization.data(withJSONObject: header)
    try (withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) } + text + data).write(to: url)
  }

  /// What all networks compute with a model.
  private static func outputs(_ checkpoint: Checkpoint) throws -> [[Float]] {
    let device = try Device(threads: 2)
    let model = try StableDiffusionModel(checkpoint, device: device)
    let text = try model.textEncoder(model.tokenizer.padded("a cat on the grass").ids, device: device)
    let channels = model.unet.configuration.inputChannels
    let latents = try Tensor((0..<8 * 8 * channels).map { Float($0 % 13) / 13 - 0.5 }, shape: [1, 8, 8, channels])
    let noise = try model.unet(
      latents, timestep: 500, text: try model.unet.condition(on: text, device: device), coupling: [[0]], device: device)
    var numbers = [text.floats, noise.floats]
    try model.autoencoder.decode(latents, device: device) { numbers.append($1.floats) }
    return numbers
  }

  /// The file `m.safetensors` of these tensors, beside which lies what a folder of a fixture has.
  private static func with<Result>(
    _ tensors: [String: Entry], metadata: [String: String] = [:], beside name: String, parts: [String],
    _ body: (String) throws -> Result
  ) throws -> Result {
    try Fixtures.withTemporaryFolder { place in
      try write(tensors, metadata: metadata, to: place.appendingPathComponent("m.safetensors"))
      let files = FileManager.default
      try files.createDirectory(at: place.appendingPathComponent("m"), withIntermediateDirectories: true)
      for part in parts {
        try files.createSymbolicLink(
          at: place.appendingPathComponent("m/\(part)"), withDestinationURL: folder(name).appendingPathComponent(part))
      }
      return try body(place.appendingPathComponent("m.safetensors").path)
    }
  }

  private static let all = ["unet", "vae", "text_encoder", "tokenizer", "scheduler"]

  @Test func doubles() throws {
    let tensors = try Self.original("sd1")
    let want = try Self.outputs(Checkpoint(path: Self.folder("sd1").path))
    let doubles = tensors.mapValues { entry -> Entry in
      ("F64", entry.shape, Self.bytes(Self.floats(entry).map { Double($0).bitPattern }))
    }
    let have = try Self.with(doubles, beside: "sd1", parts: Self.all) { try Self.outputs(Checkpoint(path: $0)) }
    #expect(have == want)
  }

  /// The numbers of all bytes, by the definition: `bits` of exponent.
  private static func table(_ bits: Int) -> [Float] {
    let fractions = 7 - bits, bias = (1 << (bits - 1)) - 1
    return (0...255).map { byte in
      let (exponent, fraction) = (byte >> fractions & ((1 << bits) - 1), byte & ((1 << fractions) - 1))
      let share = Float(fraction) / Float(1 << fractions)
      let number = exponent == 0 ? share * exp2(Float(1 - bias)) : (1 + share) * exp2(Float(exponent - bias))
      return byte < 128 ? number : -number
    }
  }

  /// Weights of 8 bits are those numbers: as if they had been stored as float32, with scales and without.
  @Test(arguments: [
    ("F8_E5M2", false, ""), ("F8_E4M3", false, ""), ("F8_E4M3", true, "scale_weight"),
    ("F8_E4M3", true, "weight_scale"),
  ])
  func bytes(_ type: String, _ isScaled: Bool, _ ending: String) throws {
    let table = type == "F8_E5M2" ? Self.table(5) : Self.table(4)
    var stored: [String: Entry] = [:], plain: [String: Entry] = [:]
    for (name, entry) in try Self.original("sd1") {
      guard name.hasSuffix(".weight"), entry.shape.count > 1, name.hasPrefix("model.diffusion_model.") else {
        (stored[name], plain[name]) = (entry, entry)
        continue
      }
      let numbers = Self.floats(entry)
      let codes = numbers.map { number in UInt8(min(max(Int(number * 100) & 0x7f, 1), 0x30)) | (number < 0 ? 0x80 : 0) }
      stored[name] = (type, entry.shape, codes)
      let rows = entry.shape[0]
      let scales: [Float] = isScaled ? ending == "weight_scale" ? (0..<rows).map { 0.5 + Float($0 % 3) } : [0.25] : [1]
      if isScaled {
        let base = String(name.dropLast("weight".count))
        stored[base + ending] = ("F32", ending == "weight_scale" ? [rows, 1] : [], Self.bytes(scales))
        stored[base + "scale_input"] = ("F32", [1], Self.bytes([Float(3)]))
      }
      let length = codes.count / rows
      plain[name] = (
        "F32", entry.shape,
        Self.bytes(codes.enumerated().map { table[Int($1)] * scales[scales.count == 1 ? 0 : $0 / length] })
      )
    }
    if isScaled { stored["model.diffusion_model.scaled_fp8"] = (type, [0], []) }
    let want = try Self.with(plain, beside: "sd1", parts: Self.all) { try Self.outputs(Checkpoint(path: $0)) }
    #expect(want.joined().allSatisfy { $0.isFinite })
    try Self.with(stored, beside: "sd1", parts: Self.all) { path in
      let checkpoint = try Checkpoint(path: path)
      #expect(try Self.outputs(checkpoint) == want && checkpoint.assumptions.isEmpty, "\(checkpoint.assumptions)")
    }
  }

  @Test func scalesOfBlocksAreRefused() throws {
    var tensors: [String: Entry] = [
      "model.diffusion_model.x.weight": ("F8_E4M3", [4, 4], Array(repeating: 1, count: 16)),
      "model.diffusion_model.x.weight_scale_inv": ("F32", [2, 2], Self.bytes([1, 1, 1, 1] as [Float])),
    ]
    try Self.with(tensors, beside: "sd1", parts: []) { path in
      #expect(modelError { _ = try openWeightFile(path) }?.text.contains("scales blocks") == true)
    }
    tensors["model.diffusion_model.x.weight_scale_inv"] = nil
    tensors["model.diffusion_model.x.scale_weight"] = ("F32", [2], Self.bytes([1, 1] as [Float]))
    try Self.with(tensors, beside: "sd1", parts: []) { path in
      #expect(modelError { _ = try openWeightFile(path) }?.text.contains("neither one finite scale") == true)
    }
  }

  /// What files are marked with goes before what lies beside them, and the option before both.
  @Test func marks() throws {
    let tensors = try Self.original("sd1")
    let empty: Entry = ("F32", [0], [])
    func scheduler(
      _ marks: [String], metadata: [String: String] = [:], parts: [String],
      asked: SchedulerConfiguration.PredictionType? = nil
    ) throws -> SchedulerConfiguration {
      let marked = tensors.merging(marks.map { ($0, empty) }) { $1 }
      return try Self.with(marked, metadata: metadata, beside: "sd1", parts: parts) {
        let checkpoint = try Checkpoint(path: $0, options: Checkpoint.Options(predictionType: asked))
        #expect(!checkpoint.assumptions.contains { $0.contains("belong to no part") })
        return checkpoint.scheduler
      }
    }
    let without = Self.all.filter { $0 != "scheduler" }
    #expect(try scheduler([], parts: without).predictionType == .epsilon)
    for parts in [Self.all, without] {
      let velocity = try scheduler(["v_pred"], parts: parts)
      #expect(velocity.predictionType == .velocity && !velocity.rescalesBetas)
      let zero = try scheduler(["v_pred", "ztsnr"], parts: parts)
      #expect(zero.predictionType == .velocity && zero.rescalesBetas)
      #expect(zero.timestepSpacing == (parts == without ? .trailing : .leading))
      #expect(try scheduler(["v_pred"], parts: parts, asked: .epsilon).predictionType == .epsilon)
    }
    #expect(try scheduler([], metadata: ["modelspec.prediction_type": "v"], parts: without).predictionType == .velocity)
    #expect(
      try scheduler([], metadata: ["modelspec.predict_key": "epsilon"], parts: without).predictionType == .epsilon)
  }

  /// A text encoder of 2.x with 24 layers, with 23, and under transformers' names.
  @Test func textEncodersOfTheSecondGeneration() throws {
    let (width, inner, used) = (24, 48, 23)
    var numbers = SystemRandomNumberGenerator()
    func made(_ shape: Int...) -> Entry {
      let count = shape.reduce(1, *)
      return ("F32", shape, Self.bytes((0..<count).map { _ in Float.random(in: -0.2...0.2, using: &numbers) }))
    }
    var tower: [String: Entry] = [
      "embeddings.token_embedding.weight": made(565, width), "embeddings.position_embedding.weight": made(77, width),
      "final_layer_norm.weight": made(width), "final_layer_norm.bias": made(width),
    ]
    for layer in 0..<used + 1 {
      let name = "encoder.layers.\(layer)."
      for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
        tower["\(name)self_attn.\(part).weight"] = made(width, width)
        tower["\(name)self_attn.\(part).bias"] = made(width)
      }
      for part in ["layer_norm1", "layer_norm2"] {
        tower["\(name)\(part).weight"] = made(width)
        tower["\(name)\(part).bias"] = made(width)
      }
      tower["\(name)mlp.fc1.weight"] = made(inner, width)
      tower["\(name)mlp.fc1.bias"] = made(inner)
      tower["\(name)mlp.fc2.weight"] = made(width, inner)
      tower["\(name)mlp.fc2.bias"] = made(width)
    }
    let base = try Self.original("sd2").filter { !$0.key.hasPrefix("cond_stage_model.") }
    func transformers(_ layers: Int) -> [String: Entry] {
      let kept = tower.filter { name, _ in
        !name.hasPrefix("encoder.layers.") || Int(name.split(separator: ".")[2]).map { $0 < layers } == true
      }
      return base.merging(kept.map { ("cond_stage_model.transformer.text_model.\($0)", $1) }) { $1 }
    }
    func openCLIP(_ layers: Int) -> [String: Entry] {
      let prefix = "cond_stage_model.model."
      var all = base
      all[prefix + "token_embedding.weight"] = tower["embeddings.token_embedding.weight"]
      all[prefix + "positional_embedding"] = tower["embeddings.position_embedding.weight"]
      for kind in ["weight", "bias"] {
        all["\(prefix)ln_final.\(kind)"] = tower["final_layer_norm.\(kind)"]
        for layer in 0..<layers {
          let (to, from) = ("\(prefix)transformer.resblocks.\(layer).", "encoder.layers.\(layer).")
          let parts = ["q_proj", "k_proj", "v_proj"].compactMap { tower["\(from)self_attn.\($0).\(kind)"] }
          all["\(to)attn.in_proj_\(kind)"] = ("F32", [3 * width] + parts[0].shape.dropFirst(), parts.flatMap(\.bytes))
          for (new, old) in [
            ("attn.out_proj", "self_attn.out_proj"), ("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"),
            ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2"),
          ] { all["\(to)\(new).\(kind)"] = tower["\(from)\(old).\(kind)"] }
        }
      }
      return all
    }
    var results: [[Float]] = []
    for tensors in [openCLIP(used + 1), openCLIP(used), transformers(used), transformers(used + 1)] {
      try Self.with(tensors, beside: "sd2", parts: ["unet", "vae", "tokenizer", "scheduler"]) { path in
        let checkpoint = try Checkpoint(path: path)
        #expect(checkpoint.textEncoder.layers == used && checkpoint.textEncoder.activation == .gelu)
        let device = try Device(threads: 2)
        let model = try StableDiffusionModel(checkpoint, device: device, components: [.textEncoder])
        results.append(try model.textEncoder(model.tokenizer.padded("a cat").ids, device: device).floats)
      }
    }
    for result in results { #expect(result == results[0] && result.allSatisfy(\.isFinite)) }
  }

  /// A part that an option replaces need not be there; without the option the error says what to give.
  @Test func partsThatAreReplaced() throws {
    let tensors = try Self.original("sd1")
    let model = Self.folder("sd1").path
    let want = try Self.outputs(Checkpoint(path: model))
    let prefixes = [("vae", "first_stage_model."), ("unet", "model.diffusion_model.")]
    for (part, prefix) in prefixes {
      let options = part == "vae" ? Checkpoint.Options(vae: model) : Checkpoint.Options(unet: model)
      let rest = tensors.filter { !$0.key.hasPrefix(prefix) }
      try Self.with(rest, beside: "sd1", parts: Self.all.filter { $0 != part }) { path in
        let have = try Self.outputs(Checkpoint(path: path, options: options))
        #expect(have == want)
        let error = modelError { _ = try Checkpoint(path: path) }
        #expect(
          error?.text.contains("as \(part)") == true || part == "unet" && error != nil, "\(error?.text ?? "none")")
      }
      try Fixtures.withTemporaryFolder { place in
        for gone in [
          ["\(part)/config.json", "\(part)/diffusion_pytorch_model.safetensors"],
          ["\(part)/diffusion_pytorch_model.safetensors"],
        ] {
          let path = try copyModel(
            Self.folder("sd1"), to: place, replacing: Dictionary(uniqueKeysWithValues: gone.map { ($0, Data?.none) }))
          #expect(try Self.outputs(Checkpoint(path: path, options: options)) == want)
          let error = modelError { _ = try Checkpoint(path: path) }
          #expect(error?.kind == .notFound)
          if gone.count == 2 {
            #expect(error?.text.contains("give another as \(part)") == true, "\(error?.text ?? "none")")
          }
        }
      }
    }
  }

  /// What is known to be of no use is passed over; what is not known is listed.
  @Test func tensorsOfNoUse() throws {
    let one: Entry = ("F32", [1], Self.bytes([1] as [Float]))
    var tensors = try Self.original("sd1")
    for name in [
      "model_ema.decay", "denoiser.sigmas", "denoiser.log_sigmas", "embedding_manager.embedder.x", "lvlb_weights",
      "cond_stage_model.transformer.vision_model.post_layernorm.weight",
      "cond_stage_model.transformer.visual_projection.weight",
      "cond_stage_model.logit_scale", "first_stage_model.loss.logvar",
      "cond_stage_model.transformer.text_model.embeddings.position_ids",
    ] { tensors[name] = one }
    try Self.with(tensors, beside: "sd1", parts: Self.all) { path in
      let checkpoint = try Checkpoint(path: path)
      _ = try StableDiffusionModel(checkpoint, device: nil)
      #expect(checkpoint.assumptions.isEmpty, "\(checkpoint.assumptions)")
    }
    tensors["some.program.state"] = one
    try Self.with(tensors, beside: "sd1", parts: Self.all) { path in
      let notes = try Checkpoint(path: path).assumptions
      #expect(notes.count == 1 && notes[0].contains("1 tensors") && notes[0].contains("some.program.state"), "\(notes)")
    }
    // Of a network, where it would change what comes out, it is still an error.
    tensors["model.diffusion_model.input_blocks.1.0.adapter.weight"] = one
    try Self.with(tensors, beside: "sd1", parts: Self.all) { path in
      #expect(modelError { _ = try StableDiffusionModel(Checkpoint(path: path), device: nil) } != nil)
    }
  }

  /// One model in several files, with an index, in the original layout.
  @Test func shards() throws {
    let tensors = try Self.original("sd1")
    let want = try Self.outputs(Checkpoint(path: Self.folder("sd1").path))
    try Self.with([:], beside: "sd1", parts: Self.all) { path in
      let place = URL(fileURLWithPath: path).deletingLastPathComponent()
      var map: [String: String] = [:]
      for (index, part) in ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"].enumerated() {
        let own = tensors.filter { ($0.key.hashValue & 1) == index }
        try Self.write(own, to: place.appendingPathComponent(part))
        for name in own.keys { map[name] = part }
      }
      let index = place.appendingPathComponent("m.safetensors.index.json")
      try JSONSerialization.data(withJSONObject: ["weight_map": map]).write(to: index)
      #expect(try Self.outputs(Checkpoint(path: index.path)) == want)
    }
  }

  @Test func filesOfOtherFormatsAreNamed() throws {
    try Fixtures.withTemporaryFolder { place in
      for name in ["m.gguf", "m.safetensors", "m.ckpt"] {
        let url = place.appendingPathComponent(name)
        try (Data("GGUF".utf8) + Data(count: 100)).write(to: url)
        let error = modelError { _ = try Checkpoint(path: url.path) }
        #expect(
          error?.kind == .unsupported && error?.text.contains("is a GGUF file") == true, "\(error?.text ?? "none")")
      }
    }
  }

  /// A file that is cut between opening and loading, or while it is loaded, is an error.
  @Test func aModelThatIsCut() throws {
    try Fixtures.withTemporaryFolder { place in
      for component in ["unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"] {
        let file = "\(component).safetensors"
        let path = try copyModel(
          Self.folder("sd1"), to: place,
          replacing: [file: try Data(contentsOf: Self.folder("sd1").appendingPathComponent(file))])
        let checkpoint = try Checkpoint(path: path)
        #expect(truncate("\(path)/\(file)", 50_000) == 0)
        let error = modelError { _ = try StableDiffusionModel(checkpoint, device: try Device(threads: 1)) }
        #expect(error?.kind == .badData && error?.text.contains("was changed") == true, "\(error?.text ?? "none")")
        // Where the change comes after that check: the numbers themselves are asked for.
        let device = try Device(threads: 1)
        let whole = ModelComponent(rawValue: String(component.split(separator: "/")[0])) ?? .unet
        let parameters = Parameters(whole, of: checkpoint, device: device)
        #expect(throws: TensorError.self) {
          switch whole {
          case .unet: _ = try UNet(checkpoint.unet, parameters)
          case .vae: _ = try AutoencoderKL(checkpoint.autoencoder, parameters)
          case .textEncoder:
            let encoder = try CLIPTextEncoder(checkpoint.textEncoder, parameters)
            _ = try encoder([1, 2, 560], device: device)
          }
        }
      }
    }
  }
}
