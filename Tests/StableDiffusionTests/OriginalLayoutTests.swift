import Foundation
import Tensors
import TestSupport
import Testing

@testable import StableDiffusion

/// Checkpoints in one file (Tests/Fixtures/make_original_fixtures.py, which loads the same files in diffusers).
@Suite(.serialized) struct OriginalLayoutTests {
  static let models = [
    ("sd1", Fixtures.folder.appendingPathComponent("modules/sd1")),
    ("sd2", Fixtures.folder.appendingPathComponent("modules/sd2")),
    ("toyworld", Fixtures.repository.appendingPathComponent("Models/toyworld")),
  ]

  /// Every network gives the folder's numbers, bit for bit.
  @Test(arguments: models)
  func equalsTheFolder(_ name: String, _ folder: URL) throws {
    try Fixtures.withTemporaryFolder { place in
      let file = try OriginalFile(name).write(folder, into: place)
      let device = try Device(threads: 2)
      let outputs = try [folder.path, file].map { path in
        let model = try StableDiffusionModel(Checkpoint(path: path), device: device)
        let text = try model.textEncoder(model.tokenizer.padded("a cat on the grass").ids, device: device)
        let channels = model.unet.configuration.inputChannels
        let latents = try Tensor(
          (0..<8 * 8 * channels).map { Float($0 % 13) / 13 - 0.5 }, shape: [1, 8, 8, channels])
        let noise = try model.unet(
          latents, timestep: 500, text: try model.unet.condition(on: text, device: device), coupling: [[0]],
          device: device)
        let image = try Tensor((0..<64 * 64 * 3).map { Float($0 % 17) / 17 - 0.5 }, shape: [1, 64, 64, 3])
        var numbers = [text.floats, noise.floats, try model.autoencoder.encode(image, device: device).floats]
        try model.autoencoder.decode(latents, device: device) { numbers.append($1.floats) }
        return numbers
      }
      #expect(outputs[0].count >= 4 && outputs[0].allSatisfy { $0.allSatisfy(\.isFinite) })
      for (one, other) in zip(outputs[0], outputs[1]) { #expect(one == other) }
    }
  }

  /// From the shapes alone: the configurations that were published.
  @Test(arguments: [("sd15", 64), ("sd21", 96)])
  func infersThePublishedConfigurations(_ name: String, _ side: Int) throws {
    let folder = Fixtures.folder.appendingPathComponent("layouts/\(name)").path
    let layout = OriginalLayout(file: Layout(try OriginalFile(name).shapes))
    #expect(layout.unknownTensors.isEmpty)
    #expect(CheckpointKind(layout.file) == .original)
    let unet = try layout.weights(.unet), vae = try layout.weights(.vae), text = try layout.weights(.textEncoder)
    let inferred = (
      unet: try UNetConfiguration(InferredConfiguration(file: unet).unet(sampleSize: side)),
      vae: try AutoencoderConfiguration(InferredConfiguration(file: vae).autoencoder(sampleSize: side)),
      text: try TextEncoderConfiguration(InferredConfiguration(file: text).textEncoder(layout.generation))
    )
    let published = try UNetConfiguration(path: folder + "/unet/config.json")
    #expect(inferred.unet.attentionHeads == published.attentionHeads)
    #expect(inferred.unet == published)
    #expect(try inferred.vae == AutoencoderConfiguration(path: folder + "/vae/config.json"))
    #expect(try inferred.text == TextEncoderConfiguration(path: folder + "/text_encoder/config.json"))
    let type: SchedulerConfiguration.PredictionType = layout.generation == .second ? .velocity : .epsilon
    #expect(
      try SchedulerConfiguration(InferredConfiguration(file: unet).scheduler(type))
        == SchedulerConfiguration(path: folder + "/scheduler/scheduler_config.json"))

    var parameters = Parameters(unet, device: nil, component: .unet)
    _ = try UNet(inferred.unet, parameters)
    try parameters.finish()
    parameters = Parameters(vae, device: nil, component: .vae)
    _ = try AutoencoderKL(inferred.vae, parameters)
    try parameters.finish()
    parameters = Parameters(text, device: nil, component: .textEncoder)
    _ = try CLIPTextEncoder(inferred.text, parameters)
    try parameters.finish()
  }

  @Test(arguments: [
    ("model.diffusion_model.joint_blocks.0.x", [1], "Stable Diffusion 3"),
    ("conditioner.embedders.1.model.x", [1], "Stable Diffusion XL"),
    ("conditioner.embedders.0.model.x", [1], "the refiner of Stable Diffusion XL"),
    ("model.diffusion_model.input_blocks.0.0.weight", [320, 9, 3, 3], "an inpainting model"),
    ("model.diffusion_model.input_blocks.0.0.weight", [320, 8, 3, 3], "InstructPix2Pix"),
    ("model.diffusion_model.input_blocks.0.0.weight", [320, 5, 3, 3], "a depth-guided model"),
    ("control_model.x", [1], "a ControlNet"), ("double_blocks.0.x", [1], "Flux"),
    ("lora_unet_x.lora_up.weight", [1, 1], "is a LoRA"), ("decoder.conv_in.weight", [1], "is an autoencoder alone"),
    ("down_blocks.0.x", [1], "is the unet of a diffusers folder"),
  ])
  func refusesOtherFilesByName(_ tensor: String, _ shape: [Int], _ name: String) throws {
    try Fixtures.withTemporaryFolder { place in
      let path = place.appendingPathComponent("model.safetensors").path
      try SafetensorsWriter.write(
        path, tensors: [(tensor, shape, .float32(Array(repeating: 0, count: shape.reduce(1, *))))])
      let error = modelError { _ = try Checkpoint(path: path) }
      #expect(error?.kind == .unsupported && error?.text.contains(name) == true, "\(error?.text ?? "no error")")
    }
  }

  @Test func accountsForEveryTensor() throws {
    var shapes = try OriginalFile("sd1").shapes
    shapes["cond_stage_model.other"] = [1]
    #expect(OriginalLayout(file: Layout(shapes)).unknownTensors == ["cond_stage_model.other"])
    // A name that no rule knows is left over, under the name that the file has for it.
    shapes["model.diffusion_model.input_blocks.1.0.extra.weight"] = [1]
    let weights = try OriginalLayout(file: Layout(shapes)).weights(.unet)
    let parameters = Parameters(weights, device: nil, component: .unet)
    _ = try UNet(
      UNetConfiguration(path: Fixtures.folder.appendingPathComponent("modules/sd1/unet/config.json").path), parameters)
    #expect(parameters.surplus == ["model.diffusion_model.input_blocks.1.0.extra.weight"])
  }

  @Test func saysWhatIsMissing() throws {
    let shapes = try OriginalFile("sd1").shapes
    func error(without prefix: String, _ component: ModelComponent) -> String {
      let file = Layout(shapes.filter { !$0.key.hasPrefix(prefix) })
      return modelError { _ = try OriginalLayout(file: file).weights(component) }?.text ?? "no error"
    }
    #expect(error(without: "first_stage_model.", .vae).contains("has no autoencoder"))
    #expect(error(without: "cond_stage_model.", .textEncoder).contains("has no text encoder"))
    try Fixtures.withTemporaryFolder { place in
      let path = try OriginalFile("sd1").write(Self.models[0].1, into: place)
      let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
      for count in [0, 7, 100, bytes.count / 2, bytes.count - 1] {
        let cut = place.appendingPathComponent("cut.safetensors")
        try bytes.prefix(count).write(to: cut)
        #expect(modelError { _ = try Checkpoint(path: cut.path) } != nil, "\(count)")
      }
    }
  }

  @Test func predictionTypeIsThatOfTheOptions() throws {
    let folder = Self.models[0].1.path
    let plain = try Checkpoint(path: folder)
    let other = try Checkpoint(path: folder, options: Checkpoint.Options(predictionType: .velocity))
    #expect(plain.scheduler.predictionType == .epsilon && other.scheduler.predictionType == .velocity)
    #expect(plain.identity != other.identity)
  }

  /// Without a folder beside it the vocabulary is CLIP's, filled as the text encoder was trained.
  @Test func vocabularyOfCLIPIsShipped() throws {
    let folder = try ModelLocation.clipVocabulary()
    let first = try CLIPTokenizer(directory: folder, padToken: "<|endoftext|>")
    let second = try CLIPTokenizer(directory: folder, padToken: "!")
    #expect(first.vocabularySize == 49408 && first.length == 77)
    #expect(first.encode("a photo of a cat") == [49406, 320, 1125, 539, 320, 2368, 49407])
    #expect(first.padded("a cat").ids.last == 49407 && second.padded("a cat").ids.last == 0)
  }
}
