import Foundation
import StableDiffusion
import Tensors
import TestSupport
import Testing

/// Names and shapes without numbers.
struct Layout: WeightFile {
  let path = "layout"
  let shapes: [String: [Int]]
  var integers: Set<String> = []

  var names: [String] { shapes.keys.sorted() }
  func shape(of name: String) -> [Int]? { shapes[name] }
  func format(of name: String) -> NumberFormat? {
    shapes[name].map { _ in integers.contains(name) ? .int64 : .float16 }
  }
  func stored(_ name: String) throws -> StoredTensor { throw ModelError(.badData, "\(name) has no numbers") }
  func checkUnchanged() {}

  /// `weights.txt` of a published model.
  init(model: String, component: ModelComponent) throws {
    let url = Fixtures.folder.appendingPathComponent("layouts/\(model)/\(component.rawValue)/weights.txt")
    shapes = try String(contentsOf: url, encoding: .utf8).split(separator: "\n").reduce(into: [:]) { shapes, line in
      let parts = line.split(separator: " ")
      shapes[String(parts[0])] = parts.dropFirst().compactMap { Int($0) }
    }
    integers = Set(shapes.keys.filter { $0.hasSuffix("position_ids") })
  }

  init(_ shapes: [String: [Int]], integers: Set<String> = []) { (self.shapes, self.integers) = (shapes, integers) }
}

struct ParametersTests {
  @Test func listsAllProblemsAtOnce() throws {
    let file = Layout(
      [
        "a.weight": [4, 3], "a.bias": [4], "b.weight": [5, 4], "c.weight": [2, 2, 3, 3], "d.weight": [2], "d.bias": [2],
        "rest": [1],
      ],
      integers: ["d.bias"])
    let parameters = Parameters(file, device: nil, component: .unet)
    _ = try parameters.linear("a", inputs: 3, outputs: 4)
    _ = try parameters.linear("b", inputs: 4, outputs: 4)
    _ = try parameters.scope("x").scope("y").convolution("c", inputs: 2, outputs: 2)
    _ = try parameters.normalization("d", channels: 2)
    let error = modelError { try parameters.finish() }
    #expect(error?.kind == .badData)
    for line in [
      "the weights in layout do not fit the configuration of the unet (7 problems)",
      "b.weight has the shape [5, 4], the configuration wants [4, 4]",
      "missing b.bias [4]", "missing x.y.c.weight [2, 2, 3, 3]", "missing x.y.c.bias [2]",
      "d.bias holds I64 where floating-point numbers are needed", "c.weight is not part of this network",
      "rest is not part of this network",
    ] {
      #expect(error?.text.contains(line) == true, "\(line)\n\(error?.text ?? "")")
    }
    #expect(parameters.surplus == ["c.weight", "rest"])
    #expect(parameters.problems.count == 5)
    #expect(modelError { try parameters.finish(surplus: .tolerate) }?.text.contains("not part of") == false)
  }

  @Test func countsAndChecksShapesOfOtherVersions() throws {
    let file = Layout([
      "attentions.0.query.weight": [4, 4, 1, 1], "attentions.0.query.bias": [4], "t.weight": [4, 4, 3],
    ])
    let parameters = Parameters(file, device: nil, component: .vae)
    #expect(parameters.scope("attentions.0").has("to_q.weight"))
    #expect(parameters.shape(of: "t.weight") == [4, 4, 3])
    _ = try parameters.linear("attentions.0.to_q", inputs: 4, outputs: 4)
    _ = try parameters.temporalConvolution("t", inputs: 4, outputs: 4, bias: false)
    try parameters.finish()
    #expect(parameters.parameterCount == 16 + 4 + 48)
    #expect(parameters.byteCount == 2 * (16 + 4 + 48))
  }

  @Test func refusesTwoNamesForOneWeight() throws {
    let file = Layout(["embeddings.x": [1], "text_model.embeddings.x": [1]])
    let parameters = Parameters(file, device: nil, component: .textEncoder)
    #expect(
      modelError { try parameters.finish(surplus: .tolerate) }?.text.contains("embeddings.x is there more than once")
        == true)
  }

  @Test func layersThatWereOnlyInspectedSayso() throws {
    let parameters = Parameters(Layout(["a.weight": [1, 1]]), device: nil, component: .unet)
    let layer = try parameters.linear("a", inputs: 1, outputs: 1, bias: false)
    let device = try Device(engine: .openBLAS, threads: 1)
    let input = try Tensor([1], shape: [1, 1])
    let error = modelError { _ = try layer(input, device: device) }
    #expect(error?.text == "the weights of a are not loaded")
  }

  /// Every key of the published Stable Diffusion 1.5 and 2.1 is asked for, with its shape.
  @Test(arguments: [("sd15", 859_520_964, 83_653_863, 123_060_480), ("sd21", 865_910_724, 83_653_863, 340_387_840)])
  func publishedLayoutsFit(_ model: String, _ unet: Int, _ vae: Int, _ text: Int) throws {
    let folder = Fixtures.folder.appendingPathComponent("layouts/\(model)").path
    var parameters = Parameters(try Layout(model: model, component: .unet), device: nil, component: .unet)
    _ = try UNet(UNetConfiguration(path: folder + "/unet/config.json"), parameters)
    try parameters.finish()
    #expect(parameters.parameterCount == unet)
    parameters = Parameters(try Layout(model: model, component: .vae), device: nil, component: .vae)
    _ = try AutoencoderKL(AutoencoderConfiguration(path: folder + "/vae/config.json"), parameters)
    try parameters.finish()
    #expect(parameters.parameterCount == vae)
    parameters = Parameters(try Layout(model: model, component: .textEncoder), device: nil, component: .textEncoder)
    _ = try CLIPTextEncoder(TextEncoderConfiguration(path: folder + "/text_encoder/config.json"), parameters)
    try parameters.finish()
    #expect(parameters.parameterCount == text)
  }
}
