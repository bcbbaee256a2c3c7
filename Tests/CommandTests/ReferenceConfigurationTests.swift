import FateZero
import Foundation
import TestSupport
import Testing

@testable import FateZeroCommand

@Suite struct ReferenceConfigurationTests {
  private func configuration(_ path: String) throws -> ReferenceConfiguration {
    let text = try String(contentsOfFile: Fixtures.oracle.appendingPathComponent(path).path, encoding: .utf8)
    return try ReferenceConfiguration(yaml: text, name: path)
  }

  private func settings(_ path: String, edit index: Int) throws -> Settings {
    var settings = Settings()
    try configuration(path).apply(edit: index, to: &settings)
    return settings
  }

  private static func files(in folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: Fixtures.oracle.appendingPathComponent(folder).path)
      .filter { $0.hasSuffix(".yaml") }.sorted().map { folder + "/" + $0 }
  }

  @Test(arguments: try files(in: "configs") + files(in: "cases"))
  func everyShippedConfigurationParses(path: String) throws {
    let configuration = try configuration(path)
    #expect(!configuration.edits.isEmpty)
    for index in configuration.edits.indices {
      var settings = Settings()
      configuration.apply(edit: index, to: &settings)
      try settings.validate()
    }
  }

  @Test func thereAreAllTwentyFour() throws {
    #expect(try Self.files(in: "configs").count == 24)
  }

  @Test func shapeEdit() throws {
    let settings = try settings("configs/shape-jeep_posche.yaml", edit: 1)
    #expect(settings.source == "a silver jeep driving down a curvy road in the countryside,")
    #expect(settings.edit == "a Porsche car driving down a curvy road in the countryside")
    #expect(settings.crossMode == .replace)
    #expect(settings.crossReplace == CrossReplace(everywhere: StepRange(0, 0.5)))
    #expect(settings.selfReplace == StepRange(0, 0.5))
    #expect(settings.blendWords == BlendWords(source: ["silver", "jeep"], target: ["Porsche", "car"]))
    #expect(settings.blendsAttention)
    #expect(!settings.blendLatents)
    #expect(settings.blendThreshold == 0.3)
    #expect(settings.frameCoupling == [.relative(-1), .first])
    #expect(settings.couplingMinWidth == .channels(0))
    #expect(settings.steps == 50)
    #expect(settings.guidanceScale == 7.5)
    #expect(settings.wordMatching == .exact)
    #expect(settings.attentionSource == .inversion)
    #expect(settings.clipLength == 8)
    #expect(settings.size == WorkingSize(width: 512, height: 512))
  }

  @Test func defaultsOfWhatIsLeftOut() throws {
    // No guidance scale; blend_latents; one edit.
    let local = try settings("configs/teaser-jeep_posche_local_latent_blend.yaml", edit: 0)
    #expect(local.guidanceScale == 7)
    #expect(local.blendLatents)
    // One list of blend words; a prompt with two blanks in a row.
    let man = try settings("configs/shape-man_wonder_bat_spider.yaml", edit: 2)
    #expect(man.blendWords == BlendWords(source: ["man"], target: []))
    #expect(man.edit.contains("Spider-Man  rides"))
    // blend_self_attention without words: nothing is blended.
    let jeep = try settings("configs/style-jeep_watercolor.yaml", edit: 0)
    #expect(!jeep.blendsAttention)
    // model_config is null.
    let rabbit = try settings("configs/style-rabit_pokemon.yaml", edit: 1)
    #expect(rabbit.frameCoupling == [.relative(-1), .first])
    #expect(rabbit.wordWeights == [WordWeight(word: "pokemon", weight: 3), WordWeight(word: "cartoon", weight: 3)])
    // More values than words.
    let surf = try settings("configs/style-surf_ukiyo.yaml", edit: 1)
    #expect(surf.wordWeights == [WordWeight(word: "Ukiyo-e", weight: 10)])
    #expect(surf.clipLength == 1)
    #expect(try settings("configs/style-train_shinkai.yaml", edit: 1).clipLength == 32)
  }

  @Test func clip() throws {
    let clip = try configuration("configs/style-lily_monet.yaml").clip
    #expect(
      clip
        == ReferenceConfiguration.Clip(
          path: "data/style/red_water_lily_opening", prompt: "a pink water lily", startFrame: 1, frameCount: 8,
          samplingRate: 20))
  }

  @Test func reconstructionRunWritesNoFile() throws {
    let configuration = try configuration("cases/recon_attention.yaml")
    #expect(configuration.reconstruction == "a black cat walking on the floor")
    #expect(configuration.edits.map(\.prompt) == ["a red tiger walking on the floor"])
    let settings = try settings("cases/recon_attention.yaml", edit: 0)
    #expect(settings.attentionSource == .reconstruction)
    #expect(settings.reconstruction == "a black cat walking on the floor")
  }

  @Test func couplingLists() throws {
    #expect(try settings("cases/sc_none.yaml", edit: 0).frameCoupling == [])
    #expect(try settings("cases/sc_cur_mid.yaml", edit: 0).frameCoupling == [.relative(0), .middle])
    #expect(try settings("cases/sc_default.yaml", edit: 0).frameCoupling == [.relative(-1), .first])
    #expect(try settings("cases/sc_mid8.yaml", edit: 0).couplingMinWidth == .channels(32))
  }

  // MARK: - Forms no shipped file has

  private static func yaml(
    editing: String = "", entry: String = "cross_replace_steps: 0.5\n      self_replace_steps: 1",
    model: String = "{}", dataset: String = ""
  ) -> String {
    """
    pretrained_model_path: ckpt
    dataset_config:
      prompt: a cat
      \(dataset)
    editing_config:
      editing_prompts: [a tiger, a dog]
      \(editing)
      p2p_config:
        0: {cross_replace_steps: {tiger: [0.1, 0.4]}, self_replace_steps: [0, 1]}
        1:
          \(entry)
    model_config: \(model)
    """
  }

  private func edits(_ yaml: String) throws -> [ReferenceConfiguration.Edit] {
    try ReferenceConfiguration(yaml: yaml, name: "x.yaml").edits
  }

  @Test func integersPairsAndAnAbsentDefault() throws {
    let edits = try edits(Self.yaml())
    #expect(edits[1].selfReplace == StepRange(0, 1))
    #expect(edits[1].crossReplace == CrossReplace(everywhere: StepRange(0, 0.5)))
    #expect(edits[0].selfReplace == StepRange(0, 1))
    #expect(
      edits[0].crossReplace
        == CrossReplace(
          everywhere: .all, words: [WordRange(word: "tiger", steps: StepRange(0.1, 0.4))]))
    #expect(edits[0].isReplace)
  }

  @Test func plainGenerationNeedsNoEdits() throws {
    let text =
      "{pretrained_model_path: m, dataset_config: {prompt: a cat}, editing_config: "
      + "{editing_prompts: [a dog], prompt2prompt_edit: false, num_inference_steps: 4, guidance_scale: 3}}"
    var settings = Settings()
    try ReferenceConfiguration(yaml: text, name: "x").apply(edit: 0, to: &settings)
    #expect(settings.attentionSource == .none)
    #expect(settings.steps == 4)
  }

  @Test func interpolationsAreResolvedWhereTheyAreUsed() throws {
    let text = Self.yaml(
      editing: "num_inference_steps: ${..dataset_config.n_sample_frame}\n  source_prompt: ${nowhere.at.all}",
      dataset: "n_sample_frame: 12")
    #expect(try ReferenceConfiguration(yaml: text, name: "x").steps == 12)
    let dangling = Self.yaml(editing: "num_inference_steps: ${..nowhere.steps}")
    let error = #expect(throws: CommandFailure.self) { try ReferenceConfiguration(yaml: dangling, name: "x.yaml") }
    #expect(error?.message.contains("editing_config.num_inference_steps refers to ${..nowhere.steps}") == true)
    let circle = Self.yaml(
      editing: "num_inference_steps: ${.guidance_scale}\n  guidance_scale: ${.num_inference_steps}")
    #expect(throws: CommandFailure.self) { try ReferenceConfiguration(yaml: circle, name: "x.yaml") }
  }

  @Test func unknownCouplingNamesRepeatTheFrameBefore() throws {
    let text = Self.yaml(model: "{SparseCausalAttention_index: [first, centre, -2]}")
    #expect(try ReferenceConfiguration(yaml: text, name: "x").frameCoupling == [.first, .first, .relative(-2)])
    let bad = Self.yaml(model: "{SparseCausalAttention_index: [centre]}")
    #expect(throws: CommandFailure.self) { try ReferenceConfiguration(yaml: bad, name: "x") }
  }

  @Test(arguments: [
    "", "- a", "a: [", "pretrained_model_path: x", yaml(editing: "num_inference_steps: many"),
    yaml(entry: "cross_replace_steps: 0.5"), yaml(entry: "cross_replace_steps: [1, 2, 3]\n      self_replace_steps: 1"),
    yaml(editing: "guidance_scale: .nan"), yaml(dataset: "n_sample_frame: 0"),
    yaml(dataset: "n_sample_frame: 99999999999999999999"), yaml(editing: "use_inversion_attention: perhaps"),
  ]) func refuses(text: String) {
    let error = #expect(throws: CommandFailure.self) { try ReferenceConfiguration(yaml: text, name: "x.yaml") }
    #expect(error?.status == .data)
    #expect(error?.message.contains("x.yaml") == true)
  }
}
