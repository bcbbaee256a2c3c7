import Foundation
import Tensors
import TestSupport
import Testing

@testable import StableDiffusion

/// Checkpoints of Stable Diffusion's full size, every key of it, random float16, loaded and packed.
@Suite(.serialized) struct FullLayoutTests {
  @Test func loads() throws {
    try Fixtures.withTemporaryFolder { folder in
      let model = try FullLayout.write("sd15", into: folder)
      let device = try Device(threads: 2)
      let loaded = try StableDiffusionModel(Checkpoint(path: model.path), device: device)
      // UNet 859.5 M, autoencoder 83.7 M, text encoder 123.1 M.
      #expect(loaded.parameterCount == 859_520_964 + 83_653_863 + 123_060_480)
      #expect(!loaded.unet.hasTemporalAttention)
      #expect(loaded.unet.sites(rows: 64, columns: 64).count == 32)
      let states = try loaded.textEncoder(loaded.tokenizer.padded("a cat").ids, device: device)
      #expect(states.shape == [1, 77, 768])
      #expect(!states.floats.contains { !$0.isFinite })
    }
  }

  /// All keys of 1.5 and of 2.1 in one file, with what such files carry beside. What a process holds grows by the packed
  /// weights, as the plan counts them, and not by the file; a process of its own, since other tests run in this one.
  @Test(arguments: [("sd15", 1_066_235_307), ("sd21", 1_289_952_427)])
  func loadsFromOneFile(_ name: String, _ parameters: Int) async throws {
    let folder = try Fixtures.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try FullLayout.writeFile(name, into: folder)
    let result = try await #require(processExitsWith: .success, observing: [\.standardOutputContent]) {
      [path = path as String, parameters = parameters as Int] in
      let precision = Device.Precision.fastest
      let device = try Device(threads: 2, precision: precision)
      let before = try residentBytes()
      let loaded = try StableDiffusionModel(Checkpoint(path: path), device: device)
      let grown = try residentBytes() - before
      print("\(precision.rawValue): \(loaded.parameterCount) parameters, \(grown) bytes resident")
      #expect(loaded.parameterCount == parameters)
      // The tables of the text encoder stay mapped.
      #expect(grown < parameters * precision.byteCount * 11 / 10 + 300 << 20)
    }
    print(name, String(decoding: result.standardOutputContent, as: UTF8.self))
  }

  @Test func loadingCanBeCancelled() throws {
    try Fixtures.withTemporaryFolder { folder in
      let model = try FullLayout.write("sd15", into: folder)
      let device = try Device(threads: 2)
      let directory = try Checkpoint(path: model.path)
      let cancellation = Cancellation()
      #expect(throws: CancellationRequested.self) {
        try device.perform(cancellation: cancellation) {
          // Cancelled after the text encoder: the autoencoder and the UNet are not packed.
          _ = try StableDiffusionModel(directory, device: device) { share in
            #expect(share < 0.15)
            cancellation.request()
          }
        }
      }
    }
  }
}

private func residentBytes() throws -> Int {
  let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
  return (try #require(Int(fields[1]))) * 4096
}

/// Writes a diffusers folder from a list of names and shapes (Tests/Fixtures/layouts).
enum FullLayout {
  static func write(_ name: String, into folder: URL) throws -> URL {
    let layout = Fixtures.folder.appendingPathComponent("layouts/\(name)")
    let model = folder.appendingPathComponent(name)
    try FileManager.default.copyItem(at: layout, to: model)
    try FileManager.default.createSymbolicLink(
      at: model.appendingPathComponent("tokenizer"),
      withDestinationURL: Fixtures.oracle.appendingPathComponent("models/tinyA/tokenizer"))
    for (part, file) in [
      ("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model"), ("text_encoder", "model"),
    ] {
      let list = try String(contentsOf: layout.appendingPathComponent("\(part)/weights.txt"), encoding: .utf8)
      try writeWeights(list, to: model.appendingPathComponent("\(part)/\(file).safetensors"))
    }
    return model
  }

  /// One file in the original layout (Tests/Fixtures/original).
  static func writeFile(_ name: String, into folder: URL) throws -> String {
    let file = folder.appendingPathComponent(name + ".safetensors")
    let list = try OriginalFile(name).shapes.sorted { $0.key < $1.key }
      .map { "\($0.key) \($0.value.map(String.init).joined(separator: " "))" }
    try writeWeights(list.joined(separator: "\n"), to: file)
    return file.path
  }

  /// Float16 numbers between -1/32 and 1/32, the same block again and again; the file is written piece by piece.
  private static func writeWeights(_ list: String, to url: URL) throws {
    var offset = 0
    var entries: [String] = []
    for line in list.split(separator: "\n") {
      let fields = line.split(separator: " ")
      let shape = fields.dropFirst().compactMap { Int($0) }
      let isPositions = fields[0].hasSuffix("position_ids")
      let size = shape.reduce(1, *) * (isPositions ? 8 : 2)
      entries.append(
        "\"\(fields[0])\":{\"dtype\":\"\(isPositions ? "I64" : "F16")\",\"shape\":\(shape),"
          + "\"data_offsets\":[\(offset),\(offset + size)]}")
      offset += size
    }
    var header = Data("{\(entries.joined(separator: ","))}".utf8)
    while header.count % 8 != 0 { header.append(0x20) }
    var state: UInt32 = 1
    var block = Data()
    for _ in 0..<1 << 19 {
      state = state &* 1_664_525 &+ 1_013_904_223
      let bits = Float16((Float(state >> 8) / Float(1 << 24) - 0.5) / 16).bitPattern
      block.append(contentsOf: [UInt8(bits & 0xff), UInt8(bits >> 8)])
    }
    #expect(FileManager.default.createFile(atPath: url.path, contents: nil))
    let file = try FileHandle(forWritingTo: url)
    defer { try? file.close() }
    let length = UInt64(header.count)
    try file.write(contentsOf: Data((0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) }))
    try file.write(contentsOf: header)
    while offset > 0 {
      try file.write(contentsOf: block.prefix(offset))
      offset -= min(offset, block.count)
    }
  }
}
