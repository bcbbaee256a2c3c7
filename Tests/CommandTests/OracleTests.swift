import FateZero
import Foundation
import StableDiffusion
import Tensors
import TestSupport
import Testing

@testable import FateZeroCommand

/// Every recorded case of the reference's own code, from its own configuration (Tests/Fixtures/oracle/README.md).
@Suite(.serialized) struct OracleTests {
  /// Empty, and so a failure of `allAreThere`, where the folder cannot be read.
  static let cases =
    (try? FileManager.default.contentsOfDirectory(atPath: Fixtures.oracle.appendingPathComponent("cases").path))?
    .filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted() ?? []

  @Test func allAreThere() { #expect(Self.cases.count == 19) }

  @Test(arguments: cases) func reproduced(_ name: String) throws {
    try OracleCase(name).compare()
  }

  /// The plain arithmetic, one case of them blended.
  @Test(arguments: ["refine_style", "blend_self_mixed"]) func reproducedByOpenBLAS(_ name: String) throws {
    try OracleCase(name).compare(engine: .openBLAS)
  }

  /// Keeping maps or computing the source again changes rounding only.
  @Test(arguments: ["blend_latents", "recon_attention", "sc_cur_mid"], [Settings.Record.maps, .recompute])
  func recordsAgree(_ name: String, _ record: Settings.Record) throws {
    try OracleCase(name).compare(record: record)
  }
}

/// One case: a configuration of the reference and the numbers that its code computed.
struct OracleCase {
  let name: String
  let want: TensorDump
  let configuration: ReferenceConfiguration

  init(_ name: String) throws {
    self.name = name
    let folder = Fixtures.oracle.appendingPathComponent("cases")
    want = try TensorDump(folder.appendingPathComponent("\(name).safetensors"))
    configuration = try ReferenceConfiguration(
      yaml: String(contentsOf: folder.appendingPathComponent("\(name).yaml"), encoding: .utf8), name: name)
  }

  /// The trace of our run of the case.
  func run(engine: Device.Engine = .oneDNN, record: Settings.Record = .queriesKeys) throws -> TensorDump {
    let clip = try TensorDump(Fixtures.oracle.appendingPathComponent("clips.safetensors"))[
      configuration.clip.path ?? ""]
    let (height, width) = (clip.shape[1], clip.shape[2])
    let frames = try (0..<clip.shape[0]).map { index in
      let size = height * width * 3
      return try Frame(
        width: width, height: height, pixels: clip.values[index * size..<(index + 1) * size].map { UInt8($0) })
    }
    var edits: [Settings] = []
    for index in configuration.edits.indices {
      var settings = Settings()
      configuration.apply(edit: index, to: &settings)
      settings.size = WorkingSize(width: width, height: height)
      settings.record = record
      edits.append(settings)
    }
    let directory = try Checkpoint(
      path: Fixtures.oracle.appendingPathComponent(configuration.modelPath).path)
    let device = try Device(engine: engine, threads: 2)
    let model = try StableDiffusionModel(directory, device: device)
    let plan = try EditPlan(
      model: model, edits: edits, frameSize: FrameSize(width: width, height: height))
    let trace = Trace()
    let editor = ClipEditor(plan: plan, trace: trace) { _ in ClipEditor.Engine(device: device, model: model) }
    for frame in frames { _ = try editor.push(frame) }
    _ = try editor.finish()
    return try Fixtures.withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("trace.safetensors")
      try trace.write(to: url.path)
      return try TensorDump(url)
    }
  }

  /// Runs the case and expects every number of it, within the tolerances of the oracle's README.
  func compare(engine: Device.Engine = .oneDNN, record: Settings.Record = .queriesKeys) throws {
    let have = try run(engine: engine, record: record)
    let tolerance = try want["latents.inv"].shape.last ?? 0 >= 40 ? 3e-4 : 5e-5
    var largest: [String: Double] = [:]
    for (name, entry) in want.entries.sorted(by: { $0.key < $1.key }) {
      let kind = name.split(separator: ".").prefix(2).joined(separator: ".")
      switch true {
      case name.hasPrefix("tokens."), name.hasPrefix("mask."):
        let found = try have[name]
        #expect(found.shape == entry.shape, "\(self.name) \(name)")
        #expect(found.values == entry.values, "\(self.name) \(name)")
      case name.hasPrefix("text."): try close(name, tolerance / 5)
      case name == "latents.edit":
        let difference = relativeDifference(try have[name].floats, entry.values)
        largest[kind] = difference
        let isNearer = try isNearerToDouble(have)
        #expect(difference <= tolerance || isNearer, "\(self.name) \(name): \(difference)")
      case name.hasPrefix("latents."): try close(name, tolerance)
      case name == "image": try close(name, tolerance * 2)
      case name == "image_u8":
        let difference = zip(try have["image"].values, entry.values).map { abs($0 - $1 / 255) }.max() ?? .infinity
        #expect(difference <= 0.5 / 255 + 2 * tolerance, "\(self.name) \(name): \(difference)")
      default: break
      }
      func close(_ name: String, _ limit: Double) throws {
        let difference = relativeDifference(try have[name].floats, entry.values)
        largest[kind] = max(largest[kind] ?? 0, difference)
        #expect(difference <= limit, "\(self.name) \(name): \(difference), limit \(limit)")
      }
    }
    let table = largest.sorted { $0.key < $1.key }.map { "\($0.key) \(String(format: "%.1e", $0.value))" }
    print("oracle \(name) \(engine.rawValue) \(record.rawValue): \(table.joined(separator: "  "))")
  }

  /// Whether our last latents are nearer to the float64 computation than the reference's float32 ones are.
  private func isNearerToDouble(_ have: TensorDump) throws -> Bool {
    guard let exact = want.entries["f64.edit_last"]?.values else { return false }
    func distance(_ values: [Double]) -> Double {
      zip(values.suffix(exact.count), exact).map { abs($0 - $1) }.max() ?? .infinity
    }
    return try distance(have["latents.edit"].values) <= distance(want["latents.edit"].values)
  }
}
