import Foundation
import StableDiffusion
import TestSupport
import Testing

struct CheckpointTests {
  private static let three = Fixtures.folder.appendingPathComponent("modules/three")

  private static func open(_ changes: [String: Data?], variant: String? = nil) throws -> (
    kind: ModelError.Kind, text: String
  )? {
    try Fixtures.withTemporaryFolder { folder in
      let path = try copyModel(three, to: folder, replacing: changes)
      return modelError {
        let options = Checkpoint.Options(variant: variant)
        _ = try StableDiffusionModel(Checkpoint(path: path, options: options), device: nil)
      }
    }
  }

  @Test(arguments: [
    "oracle/models/tinyA", "oracle/models/tinyB", "oracle/models/tinyA_tuned", "modules/sd1", "modules/sd2",
    "modules/three", "modules/three_bin",
  ])
  func fitsItsWeights(_ model: String) throws {
    let path = Fixtures.folder.appendingPathComponent(model).path
    let opened = try StableDiffusionModel(Checkpoint(path: path), device: nil)
    #expect(opened.parameterCount > 100_000)
    #expect(opened.identity.count == 16)
  }

  @Test func binAndSafetensorsLoadAlike() throws {
    let a = try Checkpoint(path: Self.three.path)
    let b = try Checkpoint(path: Fixtures.folder.appendingPathComponent("modules/three_bin").path)
    #expect(a.unet == b.unet && a.autoencoder == b.autoencoder && a.textEncoder == b.textEncoder)
    let (first, second) = (try StableDiffusionModel(a, device: nil), try StableDiffusionModel(b, device: nil))
    #expect(first.parameterCount == second.parameterCount)
  }

  @Test func identityFollowsTheContent() throws {
    try Fixtures.withTemporaryFolder { folder in
      let same = try copyModel(Self.three, to: folder)
      #expect(try Checkpoint(path: same).identity == Checkpoint(path: Self.three.path + "/").identity)
      // One bit of one weight.
      let name = "text_encoder/model.safetensors"
      var bytes = try Data(contentsOf: Self.three.appendingPathComponent(name))
      let offset = try Self.dataOffset(of: "final_layer_norm.bias", in: bytes)
      let place = try #require(offset)
      bytes[place] ^= 1
      let other = try copyModel(Self.three, to: folder, replacing: [name: bytes])
      #expect(try Checkpoint(path: other).identity != Checkpoint(path: same).identity)
    }
  }

  private static func dataOffset(of suffix: String, in bytes: Data) throws -> Int? {
    let length = bytes.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    let header = try JSONSerialization.jsonObject(with: bytes[8..<8 + length]) as? [String: [String: Any]] ?? [:]
    let offsets = header.first { $0.key.hasSuffix(suffix) }?.value["data_offsets"] as? [Int]
    return offsets.map { 8 + length + $0[0] }
  }

  @Test func namesWhatIsMissing() throws {
    let nowhere = modelError { _ = try Checkpoint(path: "/nonexistent/model") }
    #expect(nowhere?.kind == .notFound && nowhere?.text == "there is no model at /nonexistent/model")
    let file = modelError { _ = try Checkpoint(path: Self.three.path + "/model_index.json") }
    #expect(file?.kind == .unsupported && file?.text.contains("give the folder") == true)
    #expect(try Self.open(["model_index.json": nil])?.text.contains("has no model_index.json") == true)
    #expect(try Self.open(["model_index.json": Data("{".utf8)])?.text.contains("is not the JSON") == true)
    #expect(try Self.open(["unet/config.json": nil])?.text.contains("/unet/config.json: No such file") == true)
    #expect(try Self.open(["tokenizer/merges.txt": nil])?.text.contains("merges.txt: No such file") == true)
    #expect(try Self.open(["scheduler/scheduler_config.json": nil])?.text.contains("scheduler/ missing") == true)
    let weights = try Self.open(["vae/diffusion_pytorch_model.safetensors": nil])
    #expect(weights?.kind == .notFound && weights?.text.contains("/vae has no weights") == true)
  }

  @Test func refusesOtherPipelines() throws {
    let index = try json(
      Self.three.appendingPathComponent("model_index.json"), with: ["text_encoder_2": ["transformers", "X"]])
    let error = try Self.open(["model_index.json": index])
    #expect(error?.kind == .unsupported && error?.text.contains("Stable Diffusion XL") == true)
  }

  @Test func refusesPartsOfDifferentModels() throws {
    let unet = try json(Self.three.appendingPathComponent("unet/config.json"), with: ["cross_attention_dim": 512])
    #expect(try Self.open(["unet/config.json": unet])?.text.contains("hidden_size") == true)
    let vae = try json(Self.three.appendingPathComponent("vae/config.json"), with: ["latent_channels": 16])
    #expect(try Self.open(["vae/config.json": vae])?.text.contains("16 latent_channels") == true)
  }

  @Test func choosesTheFileByVariantAndFormat() throws {
    let unet = "unet/diffusion_pytorch_model"
    let weights = try Data(contentsOf: Self.three.appendingPathComponent(unet + ".safetensors"))
    let bin = try Data(contentsOf: Fixtures.folder.appendingPathComponent("modules/three_bin/\(unet).bin"))
    func chosen(_ changes: [String: Data?], variant: String? = nil) throws -> String {
      try Fixtures.withTemporaryFolder { folder in
        let path = try copyModel(Self.three, to: folder, replacing: changes)
        let checkpoint = try Checkpoint(path: path, options: Checkpoint.Options(variant: variant))
        return checkpoint.weights(.unet).path.replacingOccurrences(of: path + "/", with: "")
      }
    }
    let plain = unet + ".safetensors", half = unet + ".fp16.safetensors", other = unet + ".non_ema.safetensors"
    #expect(try chosen([half: weights, other: weights, unet + ".bin": bin]) == plain)
    #expect(try chosen([plain: nil, half: weights, other: weights, unet + ".bin": bin]) == half)
    #expect(try chosen([plain: nil, other: weights, unet + ".bin": bin]) == unet + ".bin")
    #expect(try chosen([half: weights, other: weights], variant: "fp16") == half)
    #expect(try chosen([half: weights, other: weights], variant: "non_ema") == other)
    let error = try Self.open([:], variant: "fp32")
    #expect(error?.kind == .notFound && error?.text.contains("variant \"fp32\"") == true)
    #expect(try Self.open([plain: nil, other: weights])?.text.contains("has no weights") == true)
  }

  @Test(arguments: [
    (#"{"weight_map":{"a":"../x.safetensors"}}"#, "shards are"),
    (#"{"weight_map":{"a":"/etc/x.safetensors"}}"#, "shards are"),
    (#"{"weight_map":{"a":"diffusion_pytorch_model.safetensors.index.json"}}"#, "shards are"),
    (#"{"weight_map":{"a":"none.safetensors"}}"#, "No such file"), (#"{"weight_map":[]}"#, "is not the JSON"),
    ("{}", "weight_map"),
  ])
  func refusesDamagedIndexes(_ index: String, _ message: String) throws {
    let name = "unet/diffusion_pytorch_model.safetensors"
    let error = try Self.open([name: nil, name + ".index.json": Data(index.utf8)])
    #expect(error?.text.contains(message) == true, "\(error?.text ?? "no error")")
  }

  @Test func readsRecommendedSettings() throws {
    try Fixtures.withTemporaryFolder { folder in
      #expect(try Checkpoint(path: Self.three.path).recommendedSettings == nil)
      let path = try copyModel(Self.three, to: folder, replacing: ["fatezero.json": Data("{\"steps\": 20}".utf8)])
      #expect(try Checkpoint(path: path).recommendedSettings == "{\"steps\": 20}")
    }
  }
}
