import Foundation
import MediaIO
import Tensors
import TestSupport
import Testing

@testable import Metrics
@testable import StableDiffusion

/// CLIP against transformers on random weights (Tests/Fixtures/make_metrics_fixtures.py).
@Suite(.serialized) struct CLIPScoreTests {
  static let tolerance = 1e-4
  static let clip = PictureTests.folder.appendingPathComponent("clip").path

  private struct Expected: Decodable {
    let prompts: [String]
    let temCon: Double, framAcc: Double, clipT: Double
  }

  private let dump: TensorDump
  private let expected: Expected

  init() throws {
    dump = try TensorDump(PictureTests.folder.appendingPathComponent("expected.safetensors"))
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    expected = try decoder.decode(
      Expected.self, from: try Data(contentsOf: PictureTests.folder.appendingPathComponent("expected.json")))
  }

  private func frames() throws -> [VideoFrame] {
    let entry = try dump["frames"]
    let size = entry.values.count / entry.shape[0]
    return (0..<entry.shape[0]).map { index in
      VideoFrame(
        width: entry.shape[2], height: entry.shape[1],
        pixels: entry.values[index * size..<(index + 1) * size].map { UInt8($0) }, timestamp: Int64(index), duration: 1)
    }
  }

  private func row(_ name: String, _ index: Int) throws -> [Double] {
    let entry = try dump[name]
    return Array(entry.values[index * entry.shape[1]..<(index + 1) * entry.shape[1]])
  }

  @Test(arguments: Device.Engine.allCases)
  func featuresAreThoseOfTransformers(_ engine: Device.Engine) throws {
    let device = try Device(engine: engine, threads: 2)
    let model = try CLIPModel(Self.clip, device: device)
    for (index, frame) in try frames().enumerated() {
      let have = try model.features(ofImage: frame.pixels, width: frame.width, height: frame.height, device: device)
      let difference = relativeDifference(have, try row("image_features", index))
      print("CLIP image \(index) \(engine.rawValue): \(difference)")
      #expect(difference < Self.tolerance)
    }
    for (index, prompt) in expected.prompts.enumerated() {
      let have = try model.features(ofText: prompt, device: device)
      let difference = relativeDifference(have.features, try row("text_features", index))
      print("CLIP text \(index) \(engine.rawValue): \(difference)")
      #expect(difference < Self.tolerance && have.lost == nil)
    }
  }

  @Test func scoresAreThoseOfTransformers() throws {
    let device = try Device(threads: 2)
    var score = try CLIPScore(
      model: try CLIPModel(Self.clip, device: device), device: device, edit: expected.prompts[0],
      source: expected.prompts[1])
    for frame in try frames() { try score.add(frame) }
    let differences = [
      abs(try #require(score.temporalConsistency.mean) - expected.temCon),
      abs(try #require(score.frameAccuracy.mean) - expected.framAcc),
      abs(try #require(score.textSimilarity.mean) - expected.clipT) / 100,
    ]
    print("Tem-Con, Fram-Acc, CLIP-T: \(differences)")
    #expect(differences.allSatisfy { $0 < Self.tolerance })
    #expect(score.temporalConsistency.values.count == 3 && score.textSimilarity.values.count == 4)
  }

  @Test(arguments: ["101x67", "67x101", "21x27"])
  func picturesArePreparedAsByTransformers(_ size: String) throws {
    let picture = try dump["picture.\(size)"], want = try dump["processed.\(size)"]
    let processor = CLIPImageProcessor(try ImageProcessorConfiguration(path: Self.clip + "/preprocessor_config.json"))
    let have = try processor(
      picture.values.map { UInt8($0) }, width: picture.shape[1], height: picture.shape[0])
    #expect(have.count == want.values.count)
    var largest = 0.0
    for (index, (have, want)) in zip(have, want.values).enumerated() {
      let level = 255 * Double(processor.configuration.standardDeviation[index % 3])
      largest = max(largest, abs(Double(have) - want) * level)
    }
    print("CLIP's picture of \(size): \(largest) levels")
    #expect(largest < 0.01)
    #expect(throws: ModelError.self) { try processor([1, 2, 3], width: 2, height: 1) }
  }

  // MARK: What is read

  /// A copy of the CLIP in which `change` alters the texts of JSON files.
  private func features(_ file: String, _ change: (String) -> String) throws -> [Float] {
    try Fixtures.withTemporaryFolder { folder in
      let copy = folder.appendingPathComponent("clip")
      try FileManager.default.copyItem(atPath: Self.clip, toPath: copy.path)
      let path = copy.appendingPathComponent(file)
      let text = change(try String(contentsOf: path, encoding: .utf8))
      try FileManager.default.removeItem(at: path)
      if !text.isEmpty { try Data(text.utf8).write(to: path) }
      let device = try Device(threads: 1)
      return try CLIPModel(copy.path, device: device).features(ofText: expected.prompts[0], device: device).features
    }
  }

  /// Published configurations name another end token, and mean the last of the vocabulary.
  @Test func theOldEndTokenIsKnown() throws {
    let have = try features("config.json") { $0.replacing("\"eos_token_id\": 564", with: "\"eos_token_id\": 2") }
    #expect(relativeDifference(have, try row("text_features", 0)) < Self.tolerance)
  }

  @Test(arguments: [
    ("config.json", "\"vision_config\"", "\"other\"", "vision_config"),
    ("config.json", "\"patch_size\": 8", "\"patch_size\": 7", "patches of 7"),
    ("config.json", "\"patch_size\": 8", "\"patch_size\": 16", "patch_embedding.weight"),
    ("config.json", "\"hidden_act\": \"quick_gelu\"", "\"hidden_act\": \"relu\"", "hidden_act"),
    ("config.json", "\"projection_dim\": 24", "\"projection_dim\": 25", "configuration of the CLIP"),
    ("config.json", "\"image_size\": 32", "\"image_size\": 64", "makes images of 32"),
    ("config.json", "\"vocab_size\": 565", "\"vocab_size\": 100", "vocab_size of 100"),
    ("preprocessor_config.json", "\"resample\": 3", "\"resample\": 2", "bicubic"),
    ("preprocessor_config.json", "\"shortest_edge\": 32", "\"shortest_edge\": 16", "crop_size"),
    ("preprocessor_config.json", "0.48145466", "\"red\"", "image_mean"),
    ("preprocessor_config.json", "\"do_rescale\": true", "\"do_rescale\": false", "do_rescale"),
    ("merges.txt", "a t</w>", "a t", "merges.txt"),
  ])
  func whatDoesNotFitIsSaid(_ file: String, _ old: String, _ new: String, _ words: String) throws {
    let error = #expect(throws: ModelError.self) {
      try features(file) { text in
        text.contains(old) ? text.replacing(old, with: new) : text + "\n\(new)"
      }
    }
    #expect(error?.description.contains(words) ?? false, "\(error?.description ?? "")")
  }

  @Test(arguments: ["config.json", "preprocessor_config.json", "merges.txt"])
  func whatIsMissingIsSaid(_ file: String) throws {
    let error = #expect(throws: ModelError.self) { try features(file) { _ in "" } }
    #expect(error?.kind == .notFound && error?.description.contains(file) ?? false, "\(error?.description ?? "")")
  }
}
