import Foundation
import Tensors
import TestSupport
import Testing

@testable import StableDiffusion

/// Every network against diffusers and transformers, on random weights (Tests/Fixtures/make_module_fixtures.py).
@Suite(.serialized) struct ModuleTests {
  static let models = ["sd1", "sd2", "three"]
  static let tolerance = 1e-5
  /// The last digit of an exponential in the time embedding is multiplied by the timestep.
  static let unetTolerance = 5e-5

  private func directory(_ name: String) throws -> Checkpoint {
    try Checkpoint(path: Fixtures.folder.appendingPathComponent("modules/\(name)").path)
  }

  private func expected(_ name: String) throws -> TensorDump {
    try TensorDump(Fixtures.folder.appendingPathComponent("modules/\(name)/expected.safetensors"))
  }

  private func load(_ name: String, _ engine: Device.Engine) throws -> (StableDiffusionModel, Device) {
    let device = try Device(engine: engine, threads: 2)
    return (try StableDiffusionModel(try directory(name), device: device), device)
  }

  @Test(arguments: models, Device.Engine.allCases)
  func textEncoder(_ name: String, _ engine: Device.Engine) throws {
    let (model, device) = try load(name, engine)
    let want = try expected(name)
    let tokens = try want["text.tokens"]
    let states = try want["text.last_hidden_state"]
    let size = states.values.count / tokens.shape[0]
    for index in 0..<tokens.shape[0] {
      let identifiers = tokens.values[index * 77..<(index + 1) * 77].map { Int($0) }
      let have = try model.textEncoder(identifiers, device: device)
      let difference = relativeDifference(have.floats, Array(states.values[index * size..<(index + 1) * size]))
      #expect(difference < Self.tolerance)
      print("text encoder \(name) \(engine.rawValue) \(index): \(difference)")
    }
  }

  @Test(arguments: models, Device.Engine.allCases)
  func unet(_ name: String, _ engine: Device.Engine) throws {
    let (model, device) = try load(name, engine)
    let want = try expected(name)
    let text = try want["text.last_hidden_state"]
    for size in ["8x12", "9x13"] {
      let sample = try want["unet.\(size).sample"]
      for timestep in [1, 500, 981] {
        let noise = try want["unet.\(size).t\(timestep).noise"]
        // The entries of the fixture's batch are clips of one frame; entry i has the text of prompt i + 1.
        for entry in 0..<sample.shape[0] {
          let states = Array(
            text.floats[
              (entry + 1) * text.floats.count / text.shape[0]..<(entry + 2) * text.floats.count / text.shape[0]])
          let conditioning = try model.unet.condition(
            on: try Tensor(states, shape: [1] + text.shape.dropFirst()), device: device)
          var layers: [(String, Double)] = []
          let have = try model.unet(
            try channelsLast(sample, entry), timestep: timestep, text: conditioning, coupling: [[0]], device: device
          ) { layer, output in
            guard let module = want.entries["unet.\(size).t\(timestep).module.\(layer)"] else { return }
            layers.append((layer, relativeDifference(try channelsFirst(output), slice(module, entry))))
          }
          let difference = relativeDifference(try channelsFirst(have), slice(noise, entry))
          #expect(difference < Self.unetTolerance, "\(layers)")
          print("unet \(name) \(engine.rawValue) \(size) t\(timestep) \(entry): \(difference)")
        }
      }
    }
  }

  @Test(arguments: models, Device.Engine.allCases)
  func autoencoder(_ name: String, _ engine: Device.Engine) throws {
    let (model, device) = try load(name, engine)
    let want = try expected(name)
    for size in ["64x96", "72x104"] {
      let scaling = Double(model.autoencoder.configuration.scalingFactor)
      let mean = try model.autoencoder.encode(try channelsLast(try want["vae.\(size).image"], 0), device: device)
      let encoded = relativeDifference(
        try channelsFirst(mean), try want["vae.\(size).mean"].values.map { $0 * scaling })
      #expect(encoded < Self.tolerance)
      let latents = try channelsLast(try want["vae.\(size).latents"], 0)
      let scaled = try device.combine(Float(scaling), latents, 0, latents)
      var decoded = Double.infinity
      try model.autoencoder.decode(scaled, device: device) { _, picture in
        decoded = relativeDifference(try channelsFirst(picture), try want["vae.\(size).decoded"].values)
      }
      #expect(decoded < Self.tolerance)
      print("autoencoder \(name) \(engine.rawValue) \(size): encode \(encoded), decode \(decoded)")
    }
  }

  /// Parts of the same inputs in tiles, as diffusers has them.
  @Test(arguments: ["sd1", "three"], Device.Engine.allCases)
  func tiledAutoencoder(_ name: String, _ engine: Device.Engine) throws {
    let (model, device) = try load(name, engine)
    let inputs = try expected(name)
    let want = try TensorDump(Fixtures.folder.appendingPathComponent("modules/\(name)/tiled.safetensors"))
    let autoencoder = model.autoencoder
    let scaling = Double(autoencoder.configuration.scalingFactor)
    let image = try channelsLast(try inputs["vae.72x104.image"], 0)
    let latents = try channelsLast(try inputs["vae.72x104.latents"], 0)
    for (key, mean) in want.entries where key.hasSuffix(".mean") {
      let numbers = key.split { !$0.isNumber }.compactMap { Int($0) }
      let (height, width) = (numbers[0], numbers[1])
      let tiling = try AutoencoderTiling(side: numbers[2])
      let part = try device.crop(image, rows: 0..<height, columns: 0..<width)
      let encoded = relativeDifference(
        try channelsFirst(try autoencoder.encode(part, tiling: tiling, device: device)),
        mean.values.map { $0 * scaling })
      #expect(encoded < Self.tolerance)
      print("tiled autoencoder \(name) \(engine.rawValue) \(part.shape): encode \(encoded)")

      guard let picture = want.entries[key.replacing(".mean", with: ".decoded")] else { continue }
      let crop = try device.crop(latents, rows: 0..<mean.shape[2], columns: 0..<mean.shape[3])
      let scaled = try device.combine(Float(scaling), crop, 0, crop)
      var decoded = Double.infinity
      try autoencoder.decode(scaled, tiling: tiling, device: device) { _, have in
        decoded = relativeDifference(try channelsFirst(have), picture.values)
      }
      #expect(decoded < Self.tolerance)
      // The tiles are seen, or nothing was tested.
      var whole = 0.0
      try autoencoder.decode(scaled, device: device) { _, have in
        whole = relativeDifference(try channelsFirst(have), picture.values)
      }
      #expect(whole > 100 * Self.tolerance)
      print("tiled autoencoder \(name) \(engine.rawValue) \(part.shape): decode \(decoded), untiled \(whole)")
    }
  }

  /// Pixels beyond the last whole latent: diffusers begins a tile of 5 columns at the 96th, which its encoder refuses.
  @Test func pixelsOverBeginNoTile() throws {
    let (model, device) = try load("sd1", .oneDNN)
    let image = try channelsLast(try expected("sd1")["vae.72x104.image"], 0)
    let part = try device.crop(image, rows: 0..<71, columns: 0..<101)
    let latents = try model.autoencoder.encode(part, tiling: try AutoencoderTiling(side: 8), device: device)
    #expect(latents.shape == [1, 8, 12, 4])
    #expect(latents.isFinite)
  }

  /// An image that fits in a tile is not tiled.
  @Test func smallImagesAreWhole() throws {
    let (model, device) = try load("sd1", .oneDNN)
    let image = try channelsLast(try expected("sd1")["vae.64x96.image"], 0)
    let tiling = try AutoencoderTiling(side: 12)
    let latents = try model.autoencoder.encode(image, tiling: tiling, device: device)
    #expect(latents.floats == (try model.autoencoder.encode(image, device: device)).floats)
    var pictures: [[Float]] = []
    try model.autoencoder.decode(latents, tiling: tiling, device: device) { pictures.append($1.floats) }
    try model.autoencoder.decode(latents, device: device) { pictures.append($1.floats) }
    #expect(pictures[0] == pictures[1])
  }

  @Test func tilingsToChooseFrom() throws {
    #expect(AutoencoderTiling.candidates(rows: 32, columns: 32) == [nil])
    #expect(AutoencoderTiling.candidates(rows: 40, columns: 64).map { $0?.side } == [nil, 48, 32])
    #expect(AutoencoderTiling.candidates(rows: 128, columns: 40).map { $0?.side } == [nil, 64, 48, 32])
    for side in [0, -4, 6, 65540] { #expect(throws: ModelError.self) { try AutoencoderTiling(side: side) } }
  }

  @Test(arguments: models)
  func scheduler(_ name: String) throws {
    let configuration = try directory(name).scheduler
    let want = try expected(name)
    let device = try Device(engine: .openBLAS, threads: 1)
    let sample = try want["scheduler.sample"], output = try want["scheduler.output"]
    let z = try Tensor(sample.floats, shape: [1] + sample.shape)
    let e = try Tensor(output.floats, shape: [1] + output.shape)
    for steps in [1, 5, 7, 50] {
      let scheduler = try DDIMScheduler(configuration, steps: steps)
      #expect(scheduler.timesteps.map(Double.init) == (try want["scheduler.\(steps).timesteps"].values))
      for step in 0..<steps {
        if let denoised = want.entries["scheduler.\(steps).step.\(step)"] {
          let have = try scheduler.denoise(z, output: e, step: step, device: device)
          #expect(relativeDifference(have.floats, denoised.values) < 2e-6, "step \(step) of \(steps)")
        }
        if let inverted = want.entries["scheduler.\(steps).inverse.\(steps - 1 - step)"] {
          let have = try scheduler.invert(z, output: e, step: step, device: device)
          #expect(relativeDifference(have.floats, inverted.values) < 2e-6, "inverse step \(step) of \(steps)")
        }
      }
    }
    let alphas = try want["scheduler.alphas_cumprod"].values
    #expect(relativeDifference(try DDIMScheduler(configuration, steps: 1).cumulativeAlphas, alphas) < 1e-6)
  }

  /// The same model as safetensors and as PyTorch's `.bin`.
  @Test func binaryWeightsLoadAlike() throws {
    let device = try Device(engine: .oneDNN, threads: 1)
    let outputs = try ["three", "three_bin"].map { name in
      let model = try StableDiffusionModel(try directory(name), device: device)
      let text = try model.textEncoder(model.tokenizer.padded("a cat").ids, device: device)
      let latents = try Tensor((0..<4 * 8 * 8).map { Float($0 % 13) / 13 - 0.5 }, shape: [1, 8, 8, 4])
      let noise = try model.unet(
        latents, timestep: 500, text: try model.unet.condition(on: text, device: device), coupling: [[0]],
        device: device)
      return text.floats + noise.floats
    }
    #expect(outputs[0] == outputs[1])
  }
}
