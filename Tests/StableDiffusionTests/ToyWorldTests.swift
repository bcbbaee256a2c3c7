import Foundation
import Tensors
import TestSupport
import Testing

@testable import StableDiffusion

/// The trained model that is shipped, against diffusers and transformers (Tests/Fixtures/make_toyworld_fixture.py).
@Suite(.serialized) struct ToyWorldTests {
  private func load() throws -> (StableDiffusionModel, Device, TensorDump) {
    let device = try Device(engine: .oneDNN, threads: 2)
    let path = Fixtures.repository.appendingPathComponent("Models/toyworld").path
    let model = try StableDiffusionModel(try Checkpoint(path: path), device: device)
    return (model, device, try TensorDump(Fixtures.folder.appendingPathComponent("toyworld/expected.safetensors")))
  }

  @Test func textEncoder() throws {
    let (model, device, want) = try load()
    let tokens = try want["text.tokens"].values.map { Int($0) }
    #expect(model.tokenizer.padded("a tiger on the grass").ids == Array(tokens[77...]))
    let states = try want["text.last_hidden_state"].values
    for index in 0..<2 {
      let have = try model.textEncoder(Array(tokens[index * 77..<(index + 1) * 77]), device: device)
      let size = states.count / 2
      let difference = relativeDifference(have.floats, Array(states[index * size..<(index + 1) * size]))
      print("Toy World, text encoder, prompt \(index): \(difference)")
      #expect(difference < 1e-5)
    }
  }

  @Test func unet() throws {
    let (model, device, want) = try load()
    let text = try want["text.last_hidden_state"]
    let states = Array(text.floats[text.floats.count / 2..<text.floats.count])
    let conditioning = try model.unet.condition(
      on: try Tensor(states, shape: [1] + text.shape.dropFirst()), device: device)
    let sample = try channelsLast(try want["unet.sample"])
    for timestep in [1, 500, 981] {
      let have = try model.unet(sample, timestep: timestep, text: conditioning, coupling: [[0]], device: device)
      let difference = relativeDifference(try channelsFirst(have), try want["unet.t\(timestep).noise"].values)
      print("Toy World, UNet, timestep \(timestep): \(difference)")
      #expect(difference < 1e-4)
    }
  }

  @Test func autoencoder() throws {
    let (model, device, want) = try load()
    let scaling = model.autoencoder.configuration.scalingFactor
    let latents = try model.autoencoder.encode(try channelsLast(try want["vae.image"]), device: device)
    let mean = try want["vae.mean"]
    let encoded = relativeDifference(try channelsFirst(latents), mean.values.map { $0 * Double(scaling) })
    print("Toy World, encoder: \(encoded)")
    #expect(encoded < 1e-4)

    // The corner of the latents that the fixture decodes.
    let (channels, rows, columns) = (mean.shape[1], mean.shape[2], mean.shape[3])
    let side = try want["vae.decoded"].shape[2] * rows / want["vae.image"].shape[2]
    var corner: [Float] = []
    for row in 0..<side {
      for column in 0..<side {
        for channel in 0..<channels {
          corner.append(mean.floats[(channel * rows + row) * columns + column] * scaling)
        }
      }
    }
    var decoded = Double.infinity
    try model.autoencoder.decode(
      try Tensor(corner, shape: [1, side, side, channels]), device: device
    ) { _, picture in
      decoded = relativeDifference(try channelsFirst(picture), try want["vae.decoded"].values)
    }
    print("Toy World, decoder: \(decoded)")
    #expect(decoded < 1e-4)
  }
}
