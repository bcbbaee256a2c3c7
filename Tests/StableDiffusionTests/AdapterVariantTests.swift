import Foundation
import Tensors
import TestSupport
import Testing

@testable import StableDiffusion

/// Adapters as trainers and mergers write them: other names, other types of numbers, more than layers.
@Suite(.serialized) struct AdapterVariantTests {
  private struct Entry {
    var name: String, type: String
    var shape: [Int]
    var bytes: [UInt8]
  }

  /// A safetensors file of any types.
  private func write(_ entries: [Entry], to path: String) throws {
    var place = 0
    let parts = entries.map { entry in
      defer { place += entry.bytes.count }
      return
        "\"\(entry.name)\":{\"dtype\":\"\(entry.type)\",\"shape\":\(entry.shape),\"data_offsets\":[\(place),\(place + entry.bytes.count)]}"
    }
    let header = safetensorsBytes(header: "{\(parts.joined(separator: ","))}")
    try (header + Data(entries.flatMap(\.bytes))).write(to: URL(fileURLWithPath: path))
  }

  private func entries(of path: String) throws -> [Entry] {
    let file = try openWeightFile(path)
    return try file.names.map { name in
      Entry(
        name: name, type: file.typeName(of: name) ?? "", shape: file.shape(of: name) ?? [],
        bytes: try bytes(of: name, in: file))
    }
  }

  /// A tensor of F16 or F32 as it is stored.
  private func bytes(of name: String, in file: any WeightFile) throws -> [UInt8] {
    let numbers = try file.tensor(name).floats
    if file.typeName(of: name) == "F16" {
      return numbers.flatMap { withUnsafeBytes(of: Float16($0).bitPattern.littleEndian, Array.init) }
    }
    return numbers.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
  }

  private static let kohya = AdapterTests.folder.path + "/kohya.safetensors"

  private func numbers(_ path: String, weight: Float = 1) throws -> (text: [Float], noise: [Float]) {
    try AdapterTests.numbers(
      Checkpoint.Options(loras: [Checkpoint.LoRA(path: path, weight: weight)]), latents: try AdapterTests.latents())
  }

  /// The same numbers from a file that says the same in another way.
  private func equalsKohya(_ change: (inout [Entry]) throws -> Void) throws {
    var changed = try entries(of: Self.kohya)
    try change(&changed)
    try Fixtures.withTemporaryFolder { folder in
      let path = folder.appendingPathComponent("changed.safetensors").path
      try write(changed, to: path)
      let (own, other) = (try numbers(path), try numbers(Self.kohya))
      #expect(own.text == other.text && own.noise == other.noise)
    }
  }

  private func bytes(_ value: UInt64, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(value >> (8 * $0) & 0xff) } }

  @Test(arguments: ["I64", "I32", "U8", "F64", "F32"]) func alphasOfAnyType(_ type: String) throws {
    try equalsKohya { entries in
      for index in entries.indices where entries[index].name.hasSuffix(".alpha") {
        let half = Float16(bitPattern: UInt16(entries[index].bytes[0]) | UInt16(entries[index].bytes[1]) << 8)
        // Whole numbers take those that are; the others stay as they are.
        guard type.hasPrefix("F") || half == half.rounded() else { continue }
        entries[index].type = type
        entries[index].bytes =
          switch type {
          case "F64": bytes(Double(half).bitPattern, 8)
          case "F32": bytes(UInt64(Float(half).bitPattern), 4)
          case "I64": bytes(UInt64(half), 8)
          case "I32": bytes(UInt64(half), 4)
          default: bytes(UInt64(half), 1)
          }
      }
    }
  }

  /// Another alpha is another model, whatever its type: its inversions are not those in a cache.
  @Test func wholeAlphasAreInTheIdentity() throws {
    try Fixtures.withTemporaryFolder { folder in
      let identities = try [1, 2].map { (alpha: UInt64) -> String in
        var entries = try entries(of: Self.kohya)
        for index in entries.indices where entries[index].name.hasSuffix(".alpha") {
          (entries[index].type, entries[index].bytes) = ("I64", bytes(alpha, 8))
        }
        let path = folder.appendingPathComponent("alpha.safetensors").path
        try write(entries, to: path)
        let options = Checkpoint.Options(loras: [Checkpoint.LoRA(path: path)])
        return try Checkpoint(path: AdapterTests.model.path, options: options).identity
      }
      #expect(identities[0] != identities[1])
    }
  }

  /// Two residual blocks in a level: block b and layer l are input block 1 + 3 b + l, and output block 3 b + l.
  private static let originalNames = [
    ("down_blocks_0_resnets_0_conv1", "input_blocks_1_0_in_layers_2"),
    ("down_blocks_0_downsamplers_0_conv", "input_blocks_3_0_op"),
    ("down_blocks_0_attentions_0_", "input_blocks_1_1_"), ("down_blocks_1_attentions_1_", "input_blocks_5_1_"),
    ("mid_block_attentions_0_", "middle_block_1_"), ("up_blocks_1_attentions_0_", "output_blocks_3_1_"),
    ("up_blocks_1_attentions_2_", "output_blocks_5_1_"),
  ]

  @Test func originalNamesOfLayers() throws {
    try equalsKohya { entries in
      for index in entries.indices where entries[index].name.hasPrefix("lora_unet_") {
        let name = entries[index].name.dropFirst("lora_unet_".count)
        let (new, old) = try #require(Self.originalNames.first { name.hasPrefix($0.0) }, "\(name)")
        entries[index].name = "lora_unet_\(old)\(name.dropFirst(new.count))"
      }
    }
  }

  /// Every layer of the UNet has its original name, of those that have one.
  @Test func originalNamesOfAllLayers() throws {
    let file = try openWeightFile(AdapterTests.model.path + "/unet/diffusion_pytorch_model.safetensors")
    let layers = file.names.filter { $0.hasSuffix(".weight") }.map { String($0.dropLast(".weight".count)) }
    let names = OriginalLayerNames(layers: layers)
    let expected = [
      "time_embed_0": "time_embedding.linear_1", "time_embed_2": "time_embedding.linear_2",
      "input_blocks_0_0": "conv_in",
      "out_0": "conv_norm_out", "out_2": "conv_out",
      "input_blocks_1_0_emb_layers_1": "down_blocks.0.resnets.0.time_emb_proj",
      "input_blocks_4_0_skip_connection": "down_blocks.1.resnets.0.conv_shortcut",
      "input_blocks_10_0_out_layers_3": "down_blocks.3.resnets.0.conv2",
      "middle_block_0_in_layers_0": "mid_block.resnets.0.norm1",
      "middle_block_2_out_layers_0": "mid_block.resnets.1.norm2",
      "output_blocks_2_1_conv": "up_blocks.0.upsamplers.0.conv",
      "output_blocks_5_2_conv": "up_blocks.1.upsamplers.0.conv",
      "output_blocks_11_1_proj_out": "up_blocks.3.attentions.2.proj_out",
      "input_blocks_7_1_transformer_blocks_0_ff_net_0_proj":
        "down_blocks.2.attentions.0.transformer_blocks.0.ff.net.0.proj",
    ]
    for (name, layer) in expected {
      #expect(layers.contains(layer), "\(layer)")
      #expect(names.diffusersName(flat: name).replacing(".", with: "_") == layer.replacing(".", with: "_"), "\(name)")
    }
  }

  /// ComfyUI's and LyCORIS' own prefixes.
  @Test(arguments: ["lycoris_", "diffusion_model.", "model.diffusion_model."]) func prefixes(_ prefix: String) throws {
    let name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    let text =
      prefix.hasSuffix("_")
      ? name.replacing(".", with: "_") : name.replacing("down_blocks.0.attentions.0", with: "input_blocks.1.1")
    try Fixtures.withTemporaryFolder { folder in
      let all = try ["lora_unet_" + name.replacing(".", with: "_"), prefix + text].map { name -> [Float] in
        let path = folder.appendingPathComponent("file.safetensors").path
        try SafetensorsWriter.write(
          path,
          tensors: [
            (name + ".lora_down.weight", [2, 8], .float32((0..<16).map { Float($0) / 16 })),
            (name + ".lora_up.weight", [8, 2], .float32((0..<16).map { Float($0) / -9 })),
          ])
        return try numbers(path).noise
      }
      #expect(all[0] == all[1])
    }
  }

  // MARK: More than layers

  /// A LoRA with words in its file is the two given apart; the user's own word comes first.
  @Test func bundledWords() throws {
    let vectors = try openWeightFile(AdapterTests.folder.path + "/learned_embeds.safetensors")
    let bytes = try bytes(of: "<toy>", in: vectors)
    try Fixtures.withTemporaryFolder { folder in
      for ending in [".string_to_param.*", ".emb_params", ""] {
        let path = folder.appendingPathComponent("bundle.safetensors").path
        let word = Entry(name: "bundle_emb.my.toy\(ending)", type: "F32", shape: [3, 32], bytes: bytes)
        try write(try entries(of: Self.kohya) + [word], to: path)
        let latents = try AdapterTests.latents(), prompt = "a my.toy on the grass"
        let own = try AdapterTests.numbers(
          Checkpoint.Options(loras: [Checkpoint.LoRA(path: path)]), prompt: prompt, latents: latents)
        let embedding = Checkpoint.Embedding(word: "my.toy", path: vectors.path)
        let apart = try AdapterTests.numbers(
          Checkpoint.Options(loras: [Checkpoint.LoRA(path: Self.kohya)], embeddings: [embedding]), prompt: prompt,
          latents: latents)
        #expect(own.text == apart.text && own.noise == apart.noise, "\(ending)")
        let other = Checkpoint.Embedding(word: "MY.TOY", path: AdapterTests.folder.path + "/webui.pt")
        let both = try Checkpoint(
          path: AdapterTests.model.path,
          options: Checkpoint.Options(loras: [Checkpoint.LoRA(path: path)], embeddings: [other]))
        #expect(both.addedWords.words.map(\.text) == ["MY.TOY"])
        #expect(both.assumptions.contains { $0.contains("not used is its word my.toy") }, "\(both.assumptions)")
      }
    }
  }

  /// What stands beside the layers is named once; layers that trainers left at zero are no error where the model has none.
  @Test func whatIsNotUsedIsNamed() throws {
    try Fixtures.withTemporaryFolder { folder in
      let path = folder.appendingPathComponent("more.safetensors").path
      var entries = try entries(of: Self.kohya)
      for name in ["optimizer.step", "ema_decay", "lora_unet_x.alpha"] {
        entries.append(Entry(name: name, type: "I64", shape: [], bytes: bytes(7, 8)))
      }
      for (name, shape) in [("lora_unet_y.lora_down.weight", [2, 4]), ("lora_unet_y.lora_up.weight", [4, 2])] {
        entries.append(Entry(name: name, type: "F32", shape: shape, bytes: Array(repeating: 0, count: 32)))
      }
      try write(entries, to: path)
      let options = Checkpoint.Options(loras: [Checkpoint.LoRA(path: path)])
      let notes = try Checkpoint(path: AdapterTests.model.path, options: options).assumptions
      #expect(notes.count == 1 && notes[0].contains("ema_decay, lora_unet_x.alpha, optimizer.step"), "\(notes)")
      let (own, other) = (try numbers(path), try numbers(Self.kohya))
      #expect(own.text == other.text && own.noise == other.noise)
    }
  }

  /// Half of a change is half of the way, whatever its kind.
  @Test(arguments: ["locon", "loha", "lokr", "dora", "full", "ia3"]) func strengthIsTheShareOfTheWay(_ name: String)
    throws
  {
    let file = try AdapterFile(AdapterTests.lycoris.path + "/\(name).safetensors")
    let model = try Checkpoint(path: AdapterTests.model.path)
    let changes = try WeightChanges([(file, 0.5)], model: "the model") { model.weights($0) }
    let device = try Device(threads: 1)
    var largest: Float = 0
    for component in [ModelComponent.unet, .textEncoder] {
      for (name, entries) in changes.entries[component] ?? [:] {
        let weights = model.weights(component)
        let stored = try #require(
          weights.names.first { CheckpointKeys.canonicalName(of: $0, component: component) == name })
        let weight = try weights.tensor(stored)
        let half = try device.changed(weight, by: entries).floats
        let whole = try device.changed(
          weight, by: entries.map { WeightChanges.Entry(file: $0.file, change: $0.change, strength: 1) }
        ).floats
        #expect(half.count == weight.count)
        for ((old, half), new) in zip(zip(weight.floats, half), whole) {
          largest = max(largest, abs(half - (old + new) / 2))
        }
      }
    }
    print("\(name): half is off the middle by \(largest)")
    #expect(largest < 1e-5)
  }

  // MARK: Words

  @Test func severalWordsInOneFile() throws {
    func words(_ word: String?, _ path: String) throws -> [String] {
      let embedding = Checkpoint.Embedding(word: word, path: path)
      return try Checkpoint(path: AdapterTests.model.path, options: Checkpoint.Options(embeddings: [embedding]))
        .addedWords
        .words.map { "\($0.text) \($0.tokens.count)" }
    }
    let one = AdapterTests.folder.path
    #expect(try words(nil, one + "/learned_embeds.safetensors") == ["<toy> 3"])
    #expect(try words(nil, one + "/webui.pt") == ["webui 2"])
    try Fixtures.withTemporaryFolder { folder in
      let path = folder.appendingPathComponent("many.safetensors").path
      let names = ["<s0>", "<s1>", "<s2>", "<s3>", "<s4>", "<s5>"]
      try SafetensorsWriter.write(
        path,
        tensors: names.enumerated().map { index, name in
          (name, index == 0 ? [32] : [2, 32], .float32(Array(repeating: Float(index), count: index == 0 ? 32 : 64)))
        })
      #expect(try words(nil, path) == ["<s0> 1"] + names.dropFirst().map { "\($0) 2" })
      #expect(try words("<S3>", path).first == "<s3> 2" && words("<s3>", path).count == 6)
      #expect(modelError { _ = try words("cat", path) }?.text.contains("none is cat: <s0>, <s1>") == true)
      let text = try #require(try FileInspection(path)).text
      #expect(text.contains("6 words of 11 vectors of 32 numbers") && text.contains("<s0>, <s1>"), "\(text)")
    }
  }
}
