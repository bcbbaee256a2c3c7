import ArgumentParser
import Foundation
import StableDiffusion
import Tensors

/// Times one part of a model by itself, for `Benchmarks/speed`: prints a JSON object.
@main struct Passes: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fatezero-passes",
    abstract: "Time passes of a model's UNet, encoder or decoder on given numbers; print seconds and memory as JSON.")

  enum Part: String, ExpressibleByArgument, CaseIterable { case unet, encode, decode }

  enum Coupling: String, ExpressibleByArgument, CaseIterable {
    case own = "self"
    case ownAndMiddle = "self+middle"
  }

  @Argument(help: "The model: a folder.") var model: String
  @Option(help: "What is timed.") var part: Part
  @Option(help: "Its input, float32 without a header, channels last.") var input: String
  @Option(help: "The input's frames, rows and columns, joined by x.") var shape: String
  @Option(help: "The prompt's embedding for the UNet, (77, channels) of float32.") var text: String?
  @Option(help: "The UNet's time step.") var timestep = 500
  @Option(help: "Frames that a frame reads.") var coupling = Coupling.own
  @Option(help: "f32 or bf16.") var precision: Device.Precision = .float32
  @Flag(help: "3x3 convolutions by Winograd's filtering.") var winograd = false
  @Option(help: "Number of threads; 0, all CPUs.") var threads = 0
  @Option(help: "Timed passes, after one that is not.") var repeats = 1
  @Option(help: "Where the result goes, like the input.") var output: String?

  func run() throws {
    let sides = shape.split(separator: "x").compactMap { Int($0) }
    guard sides.count == 3 else { throw ValidationError("the shape is FRAMESxROWSxCOLUMNS, not \(shape)") }
    let device = try Device(threads: threads, precision: precision, convolutions: winograd ? .winograd : .direct)
    let clock = ContinuousClock()
    let began = clock.now
    let model = try StableDiffusionModel(
      try Checkpoint(path: model), device: device, components: part == .unet ? [.unet] : [.vae])
    let load = seconds(clock.now - began)
    let channels = part == .encode ? 3 : model.autoencoder.configuration.latentChannels
    let input = try numbers(input, sides + [channels])
    let pass = try self.pass(of: model, input, device: device)
    var times: [Double] = []
    var result: [Float] = []
    for round in 0...repeats {
      let began = clock.now
      result = try device.perform { try pass() }
      if round > 0 { times.append(seconds(clock.now - began)) }
    }
    if let output { try result.withUnsafeBytes { Data($0) }.write(to: URL(fileURLWithPath: output)) }
    let report = Report(load: load, seconds: times, peak: try peakMemory())
    print(String(decoding: try JSONEncoder().encode(report), as: UTF8.self))
  }

  private struct Report: Encodable {
    let load: Double
    let seconds: [Double]
    /// VmHWM, bytes.
    let peak: Int
  }

  private func pass(of model: StableDiffusionModel, _ input: Tensor, device: Device) throws -> () throws -> [Float] {
    switch part {
    case .encode: return { try model.autoencoder.encode(input, device: device).floats }
    case .decode:
      return {
        var frames: [Float] = []
        try model.autoencoder.decode(input, device: device) { frames += $1.floats }
        return frames
      }
    case .unet:
      guard let text else { throw ValidationError("the UNet needs --text") }
      let embedding = try numbers(text, [1, 77, model.unet.configuration.crossAttentionDimension])
      let conditioning = try device.perform { try model.unet.condition(on: embedding, device: device) }
      let frames = input.shape[0]
      let read = (0..<frames).map { coupling == .own ? [$0] : [$0, frames / 2] }
      return { try model.unet(input, timestep: timestep, text: conditioning, coupling: read, device: device).floats }
    }
  }

  private func numbers(_ path: String, _ shape: [Int]) throws -> Tensor {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let values = data.withUnsafeBytes { bytes in
      (0..<data.count / 4).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
    }
    return try Tensor(values, shape: shape)
  }

  private func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }

  private func peakMemory() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
  }
}

extension Device.Precision: ExpressibleByArgument {}
