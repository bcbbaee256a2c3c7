import Foundation
import Tensors
import TestSupport
import Testing

@testable import StableDiffusion

/// Adapters and textual inversion beside diffusers, PEFT and LyCORIS, which loaded the same files
/// (Tests/Fixtures/make_adapter_fixtures.py, make_lycoris_fixtures.py).
@Suite(.serialized) struct AdapterTests {
  static let folder = Fixtures.folder.appendingPathComponent("adapters")
  static let lycoris = Fixtures.folder.appendingPathComponent("lycoris")
  static let model = Fixtures.folder.appendingPathComponent("modules/sd1")

  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    struct Pair: Decodable, Sendable {
      let file: String
      let weight: Float

      init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        (file, weight) = (try container.decode(String.self), try container.decode(Float.self))
      }
    }

    let name: String
    let prompt: String
    let lora: [Pair]?
    let embedding: [[String]]?
    /// Of the files and the numbers.
    var folder = AdapterTests.folder

    enum CodingKeys: CodingKey { case name, prompt, lora, embedding }

    var testDescription: String { name }

    var options: Checkpoint.Options {
      Checkpoint.Options(
        loras: (lora ?? []).map { Checkpoint.LoRA(path: "\(folder.path)/\($0.file)", weight: $0.weight) },
        embeddings: (embedding ?? []).map { Checkpoint.Embedding(word: $0[0], path: "\(folder.path)/\($0[1])") })
    }
  }

  private static func cases(in folder: URL) -> [Case] {
    let data = try? Data(contentsOf: folder.appendingPathComponent("cases.json"))
    let cases = data.flatMap { try? JSONDecoder().decode([Case].self, from: $0) } ?? []
    return cases.map { given in
      var given = given
      given.folder = folder
      return given
    }
  }

  @Test func allLayoutsAreThere() {
    #expect(Self.cases(in: Self.folder).count >= 10 && Self.cases(in: Self.lycoris).count >= 12)
  }

  /// What a model with adapters makes of a prompt and of latents.
  static func numbers(
    _ options: Checkpoint.Options, prompt: String = "a cat on the grass", latents: [Float]
  ) throws -> (text: [Float], noise: [Float]) {
    let device = try Device(threads: 2)
    let model = try StableDiffusionModel(Checkpoint(path: Self.model.path, options: options), device: device)
    let text = try model.textEncoder(model.tokenizer.padded(prompt).ids, device: device)
    let noise = try model.unet(
      try Tensor(latents, shape: [1, 8, 8, 4]), timestep: 500,
      text: try model.unet.condition(on: text, device: device), coupling: [[0]], device: device)
    return (text.floats, noise.floats)
  }

  static func latents() throws -> [Float] {
    try #require(TensorDump(folder.appendingPathComponent("expected.safetensors")).entries["latents"]).floats
  }

  @Test(arguments: cases(in: folder)) func equalsDiffusers(_ given: Case) throws { try equals(given) }

  @Test(arguments: cases(in: lycoris)) func equalsLyCORISAndPEFT(_ given: Case) throws { try equals(given) }

  private func equals(_ given: Case) throws {
    let expected = try TensorDump(given.folder.appendingPathComponent("expected.safetensors"))
    let latents = try #require(expected.entries["latents"]).floats
    let own = try Self.numbers(given.options, prompt: given.prompt, latents: latents)
    for (name, numbers) in [("text", own.text), ("noise", own.noise)] {
      let wanted = try #require(expected.entries["\(given.name).\(name)"]).floats
      let difference = zip(numbers, wanted).map { abs($0 - $1) }.max() ?? .infinity
      let largest = wanted.map(abs).max() ?? 0
      print("\(given.name).\(name): largest difference \(difference) of values up to \(largest)")
      #expect(numbers.count == wanted.count && difference < 3e-5 * max(largest, 1))
    }
  }

  /// Merging is done before packing, whatever the precision: W + scale * up down.
  @Test(arguments: Device.Engine.allCases) func mergesInFloat32(_ engine: Device.Engine) throws {
    let device = try Device(engine: engine, threads: 2)
    let up = (0..<70 * 3).map { Float($0 % 7) - 3 }, down = (0..<3 * 36).map { Float($0 % 5) / 4 - 0.5 }
    let weight = (0..<70 * 36).map { Float($0 % 11) / 8 }
    let sum = try device.adding(
      0.25, Tensor(up, shape: [70, 3]), Tensor(down, shape: [3, 36]), to: Tensor(weight, shape: [70, 4, 3, 3]))
    #expect(sum.shape == [70, 4, 3, 3])
    for (place, value) in sum.floats.enumerated() {
      let (row, column) = (place / 36, place % 36)
      let product = (0..<3).reduce(Float(0)) { $0 + up[row * 3 + $1] * down[$1 * 36 + column] }
      #expect(value == weight[place] + 0.25 * product)
    }
    #expect(throws: TensorError.self) {
      try device.adding(1, Tensor(up, shape: [70, 3]), Tensor(down, shape: [3, 36]), to: Tensor(up, shape: [210]))
    }
  }

  @Test func identityChangesWithFilesWeightsAndWords() throws {
    func identity(_ options: Checkpoint.Options) throws -> String {
      try Checkpoint(path: Self.model.path, options: options).identity
    }
    func lora(_ weight: Float) -> Checkpoint.Options {
      Checkpoint.Options(loras: [Checkpoint.LoRA(path: Self.folder.path + "/kohya.safetensors", weight: weight)])
    }
    func word(_ word: String) -> Checkpoint.Options {
      Checkpoint.Options(embeddings: [Checkpoint.Embedding(word: word, path: Self.folder.path + "/webui.pt")])
    }
    let all = try [
      identity(Checkpoint.Options()), identity(lora(1)), identity(lora(0.5)), identity(word("a")), identity(word("b")),
    ]
    #expect(Set(all).count == all.count)
    #expect(try identity(lora(1)) == all[1])
  }

  // MARK: Words

  @Test func addedWordsAreTokensOfTheirOwn() throws {
    let options = Checkpoint.Options(embeddings: [
      Checkpoint.Embedding(word: "<toy>", path: Self.folder.path + "/learned_embeds.safetensors"),
      Checkpoint.Embedding(word: "Cat", path: Self.folder.path + "/webui.pt"),
    ])
    let checkpoint = try Checkpoint(path: Self.model.path, options: options)
    let plain = try Checkpoint(path: Self.model.path).tokenizer(), tokenizer = try checkpoint.tokenizer()
    let first = checkpoint.textEncoder.vocabularySize
    func inner(_ text: String) -> [Int] { Array(tokenizer.encode(text).dropFirst().dropLast()) }
    func plainInner(_ text: String) -> [Int] { Array(plain.encode(text).dropFirst().dropLast()) }
    #expect(inner("<toy>") == [first, first + 1, first + 2])
    #expect(
      inner("a <TOY>, cat") == plainInner("a") + [first, first + 1, first + 2] + plainInner(",") + [
        first + 3, first + 4,
      ])
    // Not within a longer word, which the web UI would cut.
    #expect(inner("cats") == plainInner("cats") && inner("tomcat") == plainInner("tomcat"))
    #expect(inner("a<toy>b") == plainInner("a") + [first, first + 1, first + 2] + plainInner("b"))
    // The reference finds words by the length of what tokens decode to.
    #expect((first..<first + 5).map(tokenizer.decode) == ["", "", "<toy>", "", "Cat"])
    #expect(tokenizer.padded("<toy>").ids.count == 77)
  }

  // MARK: What is refused

  /// A file of the given tensors, all of ones.
  private func file(_ tensors: [String: [Int]], in folder: URL, name: String = "file.safetensors") throws -> String {
    let path = folder.appendingPathComponent(name).path
    try SafetensorsWriter.write(
      path,
      tensors: tensors.sorted { $0.key < $1.key }.map {
        ($0.key, $0.value, .float32(Array(repeating: 1, count: $0.value.reduce(1, *))))
      })
    return path
  }

  private func error(lora path: String) -> (kind: ModelError.Kind, text: String)? {
    modelError {
      _ = try Checkpoint(
        path: Self.model.path, options: Checkpoint.Options(loras: [Checkpoint.LoRA(path: path)]))
    }
  }

  private static let layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"

  @Test(arguments: [
    ([layer + ".lora_down.weight": [2, 8]], "but no \(layer).lora_up.weight"),
    ([layer + ".lora_down.weight": [2, 8], layer + ".lora_up.weight": [8, 3]], "no factors of one product"),
    ([layer + ".lora_down.weight": [2, 7], layer + ".lora_up.weight": [8, 2]], "made for a model of other sizes"),
    ([layer + ".lora_down.weight": [2, 8], layer + ".lora_up.weight": [9, 2]], "made for a model of other sizes"),
    (
      [layer + ".lora_down.weight": [2, 8], layer + ".lora_up.weight": [8, 2], layer + ".alpha": [2]],
      "is not one number"
    ),
    (
      [
        layer + ".lora_down.weight": [2, 8], layer + ".lora_up.weight": [8, 2], "lora_unet_x.lora_down.weight": [2, 8],
        "lora_unet_x.lora_up.weight": [8, 2],
      ],
      "2 of its 4 tensors match no layer of"
    ),
    (
      [layer + ".lora_down.weight": [2, 8], layer + ".lora_up.weight": [8, 2], layer + ".extra": [1]],
      "1 of its 3 tensors match no layer of"
    ),
    ([layer + ".hada_w1_a": [2, 8]], "but no \(layer).hada_w1_b"),
    ([layer + ".lokr_w1": [2, 8]], "but no \(layer).lokr_w2"),
    ([layer + ".dora_scale": [8, 1]], "but no \(layer).lora_down.weight"), ([layer + ".alpha": []], "is no LoRA"),
    (
      [
        layer + ".hada_w1_a": [8, 2], layer + ".hada_w1_b": [2, 8], layer + ".hada_w2_a": [8, 2],
        layer + ".hada_w2_b": [2, 8], layer + ".hada_t1": [2, 2, 1, 1],
      ], "but no \(layer).hada_t2"
    ),
    ([layer + ".lokr_w1": [3, 2], layer + ".lokr_w2": [4, 4]], "made for a model of other sizes"),
    ([layer + ".diff": [8, 7]], "made for a model of other sizes"),
    (
      [layer + ".lora_down.weight": [2, 8], layer + ".lora_up.weight": [8, 2], layer + ".dora_scale": [7, 1]],
      "made for a model of other sizes"
    ),
    ([layer + ".ia3_l": [9, 1]], "made for a model of other sizes"), ([layer + ".diff_b": [8]], "match no layer of"),
    ([layer + ".oft_blocks": [2, 4, 4]], "is an OFT, which is not implemented"),
    ([layer + ".boft_R": [2, 4]], "is a BOFT"),
    ([layer + ".a1.weight": [2, 8]], "is a GLoRA"), ([layer + ".lora_E": [2, 1]], "is an AdaLoRA"),
    (["lora_te2_x.lora_down.weight": [1, 1]], "Stable Diffusion XL"),
    (["weight": [1]], "is no LoRA"), ([:], "is no LoRA"),
  ])
  func refusesWhatIsNoSuchLoRA(_ tensors: [String: [Int]], _ text: String) throws {
    try Fixtures.withTemporaryFolder { folder in
      let error = error(lora: try file(tensors, in: folder))
      #expect(error?.text.contains(text) == true, "\(error?.text ?? "no error")")
    }
  }

  /// Text encoders of 2.x have a layer that Stable Diffusion does not run.
  @Test func layersThatAreNotRunAreNoError() throws {
    try Fixtures.withTemporaryFolder { folder in
      let text = "lora_te_text_model_encoder_layers_7_mlp_fc1"
      let path = try file(
        [
          Self.layer + ".lora_down.weight": [2, 8], Self.layer + ".lora_up.weight": [8, 2],
          text + ".lora_down.weight": [2, 32], text + ".lora_up.weight": [96, 2],
        ], in: folder)
      let checkpoint = try Checkpoint(
        path: Self.model.path, options: Checkpoint.Options(loras: [Checkpoint.LoRA(path: path)]))
      #expect(checkpoint.assumptions.contains { $0.contains("does not run") })
    }
  }

  @Test func unsoundNumbersAreRefused() throws {
    try Fixtures.withTemporaryFolder { folder in
      let path = folder.appendingPathComponent("nan.safetensors").path
      try SafetensorsWriter.write(
        path,
        tensors: [
          (Self.layer + ".alpha", [], .float32([.nan])),
          (Self.layer + ".lora_down.weight", [1, 8], .float32(Array(repeating: 0, count: 8))),
          (Self.layer + ".lora_up.weight", [8, 1], .float32(Array(repeating: 0, count: 8))),
        ])
      #expect(error(lora: path)?.text.contains("alpha is nan") == true)
      try SafetensorsWriter.write(
        path, tensors: [("emb_params", [1, 32], .float32(Array(repeating: .infinity, count: 32)))])
      #expect(error(embedding: path)?.text.contains("not finite") == true)
    }
  }

  private func error(embedding path: String) -> (kind: ModelError.Kind, text: String)? {
    modelError {
      _ = try Checkpoint(
        path: Self.model.path,
        options: Checkpoint.Options(embeddings: [Checkpoint.Embedding(word: "x", path: path)]))
    }
  }

  @Test(arguments: [
    (["a": [32], "b": [32]], "has several words, and none is x: a, b"), (["emb_params": [76, 32]], "1 to 75 vectors"),
    (["x": [0, 32]], "1 to 75 vectors"), (["x": [1, 1, 32]], "1 to 75 vectors"),
    (["x": [768]], "vectors of 768 numbers, for Stable Diffusion 1.x"),
    (["clip_l": [1, 768], "clip_g": [1, 1280]], "Stable Diffusion XL"),
  ])
  func refusesWhatIsNoSuchTextualInversion(_ tensors: [String: [Int]], _ text: String) throws {
    try Fixtures.withTemporaryFolder { folder in
      let error = error(embedding: try file(tensors, in: folder))
      #expect(error?.text.contains(text) == true, "\(error?.text ?? "no error")")
    }
  }

  /// Cut anywhere, every file is an error and never a trap.
  @Test(arguments: [
    "kohya.safetensors", "diffusers.safetensors", "learned_embeds.safetensors", "learned_embeds.bin", "webui.pt",
  ])
  func truncatedFilesAreErrors(_ name: String) throws {
    let bytes = try Data(contentsOf: Self.folder.appendingPathComponent(name))
    try Fixtures.withTemporaryFolder { folder in
      let cut = folder.appendingPathComponent(name)
      for count in stride(from: 0, to: bytes.count, by: max(bytes.count / 23, 1)) {
        try bytes.prefix(count).write(to: cut)
        #expect(error(lora: cut.path) != nil, "\(count)")
        #expect(error(embedding: cut.path) != nil, "\(count)")
        #expect(modelError { _ = try FileInspection(cut.path) } != nil, "\(count)")
      }
    }
    // The wrong kind of file, whole.
    let path = Self.folder.appendingPathComponent(name).path
    #expect((error(lora: path) == nil) == ["kohya.safetensors", "diffusers.safetensors"].contains(name))
    #expect((error(embedding: path) == nil) != ["kohya.safetensors", "diffusers.safetensors"].contains(name))
  }

  /// A file of one format under the name of the other says so.
  @Test(arguments: [
    ("kohya.safetensors", "style.ckpt", "rename it to .safetensors"),
    ("webui.pt", "toy.safetensors", "rename it to .ckpt"),
  ])
  func mislabelledFilesAreErrors(_ name: String, _ wrong: String, _ words: String) throws {
    try Fixtures.withTemporaryFolder { folder in
      let path = folder.appendingPathComponent(wrong)
      try FileManager.default.copyItem(at: Self.folder.appendingPathComponent(name), to: path)
      for error in [
        error(lora: path.path), error(embedding: path.path), modelError { _ = try Checkpoint(path: path.path) },
      ] {
        #expect(error?.text.contains(words) == true, "\(error?.text ?? "no error")")
      }
    }
  }

  @Test func damagedAdapterConfigurationsAreErrors() throws {
    try Fixtures.withTemporaryFolder { folder in
      let place = folder.appendingPathComponent("peft")
      try FileManager.default.copyItem(at: Self.folder.appendingPathComponent("peft"), to: place)
      for (text, words) in [
        ("{", "not the JSON"), (#"{"lora_alpha": "four"}"#, "lora_alpha is"), (#"{"use_dora": true}"#, "DoRA"),
      ] {
        try Data(text.utf8).write(to: place.appendingPathComponent("adapter_config.json"))
        let error = error(lora: place.path)
        #expect(error?.text.contains(words) == true, "\(error?.text ?? "no error")")
      }
      try FileManager.default.removeItem(at: place.appendingPathComponent("adapter_model.safetensors"))
      #expect(error(lora: place.path)?.kind == .notFound)
    }
  }

  // MARK: Inspection

  @Test(arguments: [
    (
      "kohya.safetensors",
      [
        "LoRA, in the layout of kohya's sd-scripts", "9 layers of the UNet, 3 layers of the text encoder",
        "rank       2, 3, 4",
      ]
    ),
    ("diffusers_old.safetensors", ["LoRA, in the layout of diffusers before 0.20", "F32"]),
    ("diffusers.safetensors", ["LoRA, in the layout of PEFT", "(alpha/rank)", "F16"]),
    ("peft", ["LoRA, in the layout of PEFT"]),
    (
      "../lycoris/loha.safetensors",
      ["LoHa, in the layout of LyCORIS", "4 layers of the UNet, 1 layers of the text encoder"]
    ),
    ("../lycoris/dora.safetensors", ["DoRA, in the layout of LyCORIS"]),
    ("../lycoris/full.safetensors", ["full difference, in the layout of LyCORIS"]),
    ("../lycoris/peft_lokr", ["LoKr, in the layout of"]),
    ("learned_embeds.bin", ["textual inversion", "one word of 1 vector of 32 numbers", "<toy>, or any other"]),
    ("webui.pt", ["AUTOMATIC1111's web UI", "one word of 2 vectors of 32 numbers"]),
    ("../modules/sd1/vae", ["autoencoder alone", "4 latent channels"]),
    ("../modules/sd1/unet/diffusion_pytorch_model.safetensors", ["UNet alone", "a model of text width 32"]),
    ("../modules/sd1/text_encoder/model.safetensors", ["text encoder alone", "2 layers of width 32"]),
  ])
  func inspectionTellsWhatAFileIs(_ name: String, _ words: [String]) throws {
    let text = try #require(try FileInspection(Self.folder.path + "/" + name)).text
    for word in words { #expect(text.contains(word), "\(word)\n\(text)") }
  }

  @Test func wholeModelsAreInspectedAsSuch() throws {
    #expect(try FileInspection(Self.model.path) == nil)
  }
}
