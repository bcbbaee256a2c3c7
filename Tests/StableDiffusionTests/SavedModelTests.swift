import Foundation
import Tensors
import TestSupport
import Testing

@testable import StableDiffusion

/// Folders as `save_pretrained` writes them (Tests/Fixtures/make_saved_fixtures.py).
struct SavedModelTests {
  private static let saved = Fixtures.folder.appendingPathComponent("saved")

  /// The newest releases: `tokenizer.json` alone, and DPM-Solver's scheduler with `-Infinity`. All else is as in the folder
  /// that was loaded.
  @Test func newest() throws {
    let original = Fixtures.folder.appendingPathComponent("modules/sd1")
    try Fixtures.withTemporaryFolder { place in
      let weights = [
        "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
      ]
      let path = try copyModel(
        Self.saved.appendingPathComponent("newest"), to: place,
        replacing: try Dictionary(
          uniqueKeysWithValues: weights.map { ($0, try Data(contentsOf: original.appendingPathComponent($0))) }))
      #expect(!FileManager.default.fileExists(atPath: "\(path)/tokenizer/vocab.json"))
      let checkpoint = try Checkpoint(path: path), other = try Checkpoint(path: original.path)
      #expect(checkpoint.scheduler == other.scheduler && checkpoint.unet == other.unet)
      #expect(checkpoint.autoencoder == other.autoencoder && checkpoint.textEncoder == other.textEncoder)
      #expect(checkpoint.assumptions.count == 1 && checkpoint.assumptions[0].contains("DPMSolverMultistepScheduler"))
      let tokenizers = (try checkpoint.tokenizer(), try other.tokenizer())
      #expect(tokenizers.0.padded("a cat; it's 10:45").ids == tokenizers.1.padded("a cat; it's 10:45").ids)
      #expect(try ModelInspection(checkpoint).isComplete)
    }
  }

  /// The oldest releases that wrote safetensors, against what they compute.
  @Test func oldest() throws {
    let folder = Self.saved.appendingPathComponent("oldest")
    let expected = try TensorDump(folder.appendingPathComponent("expected.safetensors"))
    let device = try Device(threads: 2)
    let model = try StableDiffusionModel(Checkpoint(path: folder.path), device: device)
    let tokens = try expected["tokens"].values.map { Int($0) }
    #expect(model.tokenizer.padded("a cat on the grass").ids == tokens)
    let text = try model.textEncoder(tokens, device: device)
    let latents = try channelsLast(expected["latents"])
    let noise = try model.unet(
      latents, timestep: 500, text: try model.unet.condition(on: text, device: device), coupling: [[0]], device: device)
    var image: [Float] = []
    // Latents of the UNet are those of the autoencoder times a factor.
    let factor = model.autoencoder.configuration.scalingFactor
    let scaled = try Tensor(latents.floats.map { $0 * factor }, shape: latents.shape)
    try model.autoencoder.decode(scaled, device: device) { image = try channelsFirst($1) }
    for (name, numbers) in [("text", text.floats), ("noise", try channelsFirst(noise)), ("image", image)] {
      let difference = relativeDifference(numbers, try expected[name].values)
      print("oldest release, \(name): \(difference)")
      #expect(difference < 1e-4)
    }
  }
}
