import Foundation
import Tensors
import TestSupport
import Testing

@testable import StableDiffusion

/// Networks of other places over a model's own.
struct SingleNetworkTests {
  private static let sd1 = Fixtures.folder.appendingPathComponent("modules/sd1")
  private static let three = Fixtures.folder.appendingPathComponent("modules/three")

  private func checkpoint(unet: String? = nil, vae: String? = nil) throws -> Checkpoint {
    try Checkpoint(path: Self.sd1.path, options: Checkpoint.Options(unet: unet, vae: vae))
  }

  /// The autoencoder's folder, its file, a whole model and one file in the original layout give the same numbers.
  @Test func theAutoencoderOfEveryLayout() throws {
    try Fixtures.withTemporaryFolder { folder in
      let whole = try OriginalFile("sd1").write(Self.sd1, into: folder)
      let file = try SafetensorsFile(path: whole)
      var bare: [(name: String, shape: [Int], values: SafetensorsWriter.Values)] = []
      let prefix = "first_stage_model."
      for name in file.names where name.hasPrefix(prefix) {
        bare.append(
          (String(name.dropFirst(prefix.count)), file.shape(of: name) ?? [], .float32(try file.tensor(name).floats)))
      }
      let alone = folder.appendingPathComponent("vae.safetensors").path
      try SafetensorsWriter.write(alone, tensors: bare + [("model_ema.decay", [1], .float32([0]))])
      // No shape tells the groups of these small networks.
      try FileManager.default.createSymbolicLink(
        at: folder.appendingPathComponent("vae"), withDestinationURL: Self.sd1)
      let device = try Device(threads: 2)
      let latents = try Tensor((0..<8 * 8 * 4).map { Float($0 % 13) / 13 - 0.5 }, shape: [1, 8, 8, 4])
      func decoded(_ vae: String?) throws -> [Float] {
        var pixels: [Float] = []
        let model = try StableDiffusionModel(checkpoint(vae: vae), device: device)
        try model.autoencoder.decode(latents, device: device) { pixels = $1.floats }
        return pixels
      }
      let own = try decoded(nil)
      let folderPath = Self.sd1.appendingPathComponent("vae").path
      for vae in [Self.sd1.path, folderPath, folderPath + "/diffusion_pytorch_model.safetensors", whole, alone] {
        #expect(try decoded(vae) == own, "\(vae)")
      }
    }
  }

  @Test func anotherAutoencoderChangesTheIdentity() throws {
    try Fixtures.withTemporaryFolder { folder in
      let path = Self.sd1.appendingPathComponent("vae")
      let file = try SafetensorsFile(path: path.appendingPathComponent("diffusion_pytorch_model.safetensors").path)
      try FileManager.default.copyItem(
        at: path.appendingPathComponent("config.json"), to: folder.appendingPathComponent("config.json"))
      let other = folder.appendingPathComponent("vae.safetensors").path
      try SafetensorsWriter.write(
        other,
        tensors: try file.names.map {
          ($0, file.shape(of: $0) ?? [], .float32(try file.tensor($0).floats.map { $0 + 1 }))
        })
      #expect(try checkpoint(vae: other).identity != checkpoint().identity)
    }
  }

  /// What a Tune-A-Video run leaves, over another base.
  @Test func aTunedUNetOverAnotherBase() throws {
    let models = Fixtures.oracle.appendingPathComponent("models")
    let tuned = models.appendingPathComponent("tinyA_tuned").path
    let base = try Checkpoint(path: models.appendingPathComponent("tinyA").path)
    #expect(try !StableDiffusionModel(base, device: nil).unet.hasTemporalAttention)
    for unet in [tuned, tuned + "/unet"] {
      let checkpoint = try Checkpoint(path: base.path, options: Checkpoint.Options(unet: unet))
      #expect(try StableDiffusionModel(checkpoint, device: nil).unet.hasTemporalAttention)
      #expect(checkpoint.identity != base.identity)
    }
  }

  @Test func whatDoesNotFitIsRefused() throws {
    let unet = Self.sd1.appendingPathComponent("unet").path
    for (error, words) in [
      (modelError { _ = try checkpoint(vae: "/nowhere/x") }, "there is no vae at /nowhere/x"),
      (
        modelError { _ = try checkpoint(vae: unet + "/diffusion_pytorch_model.safetensors") }, "where a vae is expected"
      ),
      (
        modelError {
          _ = try checkpoint(unet: Fixtures.folder.appendingPathComponent("adapters/kohya.safetensors").path)
        }, "is a LoRA, where a unet"
      ),
      (
        modelError { _ = try checkpoint(unet: Fixtures.folder.appendingPathComponent("modules/sd2").path) },
        "cross_attention_dim"
      ),
      (modelError { _ = try checkpoint(unet: Fixtures.folder.path) }, "has no unet"),
    ] {
      #expect(error?.text.contains(words) == true, "\(error?.text ?? "no error")")
    }
  }
}
