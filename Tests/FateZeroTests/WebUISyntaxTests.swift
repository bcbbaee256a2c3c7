import FateZero
import Foundation
import StableDiffusion
import TestSupport
import Testing

/// Prompts as people write them for the web UI.
@Suite struct WebUISyntaxTests {
  private struct Case: CustomTestStringConvertible {
    var typed, edit: String
    var source: String?
    var weights: [WordWeight] = []
    var testDescription: String { typed }
  }

  private static func weight(_ word: String, _ weight: Float) -> WordWeight { WordWeight(word: word, weight: weight) }

  private static let cases = [
    Case(typed: "a (cat:1.3) on the grass", edit: "a cat on the grass", weights: [weight("cat", 1.3)]),
    Case(
      typed: "a [(cat:1.3) -> (tiger:1.4)] on the grass", edit: "a tiger on the grass", source: "a cat on the grass",
      weights: [weight("tiger", 1.4)]),
    Case(
      typed: "(a [red cat -> red tiger]:0.5) here", edit: "a red tiger here", source: "a red cat here",
      weights: [weight("a red tiger", 0.5)]),
    Case(
      typed: "[(red cat:1.2) -> (red dog:1.2)] [sleeping] here", edit: "red dog sleeping here",
      source: "red cat sleeping here", weights: [weight("red dog", 1.2), weight("sleeping", 0.9090909)]),
    Case(typed: "((cat)), dog", edit: "cat, dog", weights: [weight("cat,", 1.21)]),
    Case(
      typed: "(very (red:2) cat)", edit: "very red cat",
      weights: [
        weight("very", 1.1), weight("red", 2.2), weight("cat", 1.1),
      ]),
    Case(typed: "a [[cat]]", edit: "a cat", weights: [weight("cat", 0.8264463)]),
    Case(typed: #"a cat \(tabby\), \[x\] C:\x"#, edit: #"a cat (tabby), [x] C:\x"#),
    Case(typed: "smile :) and ( and ()", edit: "smile :) and ( and ()"),
    Case(typed: "a <toy> on <the grass>", edit: "a <toy> on <the grass>"),
    Case(typed: "a cat <lora:neon:0.8>", edit: "a cat"),
    Case(typed: "<lora:a(b):1> a <lyco:x:0.5:1> cat, <hypernet:y:1>", edit: "a cat,"),
    Case(typed: "(<lora:a)b:1> cat:1.5)", edit: "cat", weights: [weight("cat", 1.5)]),
    Case(typed: "a cat BREAK on grass BREAK", edit: "a cat on grass"),
    Case(typed: "a cat AND a dog", edit: "a cat AND a dog"),
    Case(typed: "A CAT AND A DOG BREAK", edit: "A CAT AND A DOG BREAK"),
    Case(
      typed: "(cat:1e999) (dog:abc) (cow:5000)", edit: "cat:1e999 dog:abc cow:5000",
      weights: [
        weight("cat:1e999 dog:abc cow:5000", 1.1)
      ]),
    Case(typed: "(,:1.3) (a , b:1.2)", edit: ", a , b", weights: [weight("a", 1.2), weight("b", 1.2)]),
  ]

  @Test(arguments: cases.indices) func reads(_ index: Int) throws {
    let expected = Self.cases[index]
    var settings = Settings()
    try settings.set("edit", to: expected.typed)
    #expect(settings.edit == expected.edit)
    #expect(settings.source == expected.source)
    #expect(settings.allWordWeights.map(\.word) == expected.weights.map(\.word), "\(settings.allWordWeights)")
    for (have, want) in zip(settings.allWordWeights, expected.weights) {
      #expect(abs(have.weight - want.weight) < 1e-5)
    }
    #expect(settings.blendWords == nil || settings.blendWords?.source.allSatisfy { !$0.contains("(") } == true)
  }

  /// Weights given by name win, and the weights that are told are those in effect.
  @Test func namedWeightsWin() throws {
    var settings = Settings()
    try settings.apply([("word-weights", "tiger=3"), ("edit", "a [cat -> (tiger:1.5)] on (grass:2)")])
    #expect(settings.text(of: "word-weights") == "tiger=1.5,grass=2.0,tiger=3.0")
    #expect(settings.blendWords == BlendWords(source: ["cat"], target: ["tiger"]))
    try settings.set("edit", to: "a dog")
    #expect(settings.text(of: "word-weights") == "tiger=3.0")
  }

  /// Whatever a prompt holds, what is told of it sets the same again.
  @Test func everyPromptReadsBack() throws {
    var generator = SystemRandomNumberGenerator()
    let pieces = [
      "\\", "[", "]", "(", ")", "<", ">", "lora:", "->", "-", ":1.3", " ", "a", "é", "\u{301}", ",", "BREAK", "=",
    ]
    var count = 0
    for _ in 0..<20_000 {
      let typed = (0..<Int.random(in: 0...14, using: &generator)).map { _ in
        pieces.randomElement(using: &generator) ?? ""
      }
      .joined()
      for name in ["edit", "source", "negative"] {
        var settings = Settings()
        // Brackets that do not close are an error of the edit's.
        guard (try? settings.set(name, to: typed)) != nil else { continue }
        count += 1
        let told = try #require(settings.text(of: name))
        var again = Settings()
        try again.set(name, to: told)
        #expect(again.text(of: name) == told, "\(typed.debugDescription)")
        let texts = [settings.edit, settings.source ?? "", settings.negative],
          others = [again.edit, again.source ?? "", again.negative]
        if name == "edit" {
          #expect(texts[0] == others[0], "\(typed.debugDescription)")
        } else {
          #expect(texts == others)
        }
      }
    }
    print("\(count) prompts read back")
  }

  @Test(arguments: ["edit", "source", "negative"]) func aPromptHasALimit(_ name: String) throws {
    var settings = Settings()
    try settings.set(name, to: String(repeating: "a ", count: 4096))
    let error = #expect(throws: SettingsError.self) { try settings.set(name, to: String(repeating: "a ", count: 4097)) }
    #expect(error?.description.contains("at most 8192") == true)
    settings = Settings()
    settings.edit = String(repeating: "a ", count: 4097)
    #expect(throws: SettingsError.self) { try settings.validate() }
  }

  /// Marks in thousands, within the limit, are read in one go.
  @Test(arguments: [
    "(", "((a)", "(a:1.3)", "[", "[a]", "<", "<lora:a>", "\\", "&amp;", "BREAK ", "&", "(a:1.33333333333333",
  ])
  func manyMarksAreRead(_ mark: String) throws {
    var settings = Settings()
    try settings.set("negative", to: String(repeating: mark, count: Settings.promptBytes / mark.utf8.count))
  }

  // MARK: LoRA tags

  /// The small model, a LoRA in some place beside it, and the plan of an edit with tags.
  private func plan(
    _ edit: String, loraAt place: String, given: String = "", model: String = "model"
  ) throws -> (options: Checkpoint.Options, warnings: [String]) {
    try Fixtures.withTemporaryFolder { folder in
      let files = FileManager.default
      let fixtures = Fixtures.folder
      try files.createDirectory(at: folder.appendingPathComponent("models"), withIntermediateDirectories: true)
      try files.copyItem(
        at: fixtures.appendingPathComponent("modules/sd1"), to: folder.appendingPathComponent("models/model"))
      let lora = folder.appendingPathComponent("models/\(place)")
      try files.createDirectory(at: lora.deletingLastPathComponent(), withIntermediateDirectories: true)
      try files.copyItem(at: fixtures.appendingPathComponent("adapters/kohya.safetensors"), to: lora)
      let path = folder.appendingPathComponent("models/\(model)").path
      let layer: Settings.Layer = [("edit", edit)] + (given.isEmpty ? [] : [("lora", "\(lora.path):\(given)")])
      let options = try ModelOptions.checkpoint(layer, model: path)
      let opened = try StableDiffusionModel(try Checkpoint(path: path, options: options), device: nil)
      let plan = try EditPlan(
        model: opened, edits: [try Settings(layers: [layer])], frameSize: FrameSize(width: 64, height: 64))
      return (options, plan.warnings)
    }
  }

  @Test(arguments: [
    "model/neon.safetensors", "model/lora/neon.safetensors", "model/Lora/neon.safetensors", "loras/neon.safetensors",
  ])
  func aTagIsTheLoRABesideTheModel(_ place: String) throws {
    let (options, warnings) = try plan("a [cat -> dog] <lora:neon:0.25>", loraAt: place)
    #expect(options.loras.count == 1 && options.loras[0].weight == 0.25)
    #expect(options.loras[0].path.hasSuffix("neon.safetensors"))
    #expect(warnings.contains { $0.contains("<lora:neon:0.25> is read as lora") }, "\(warnings)")
  }

  @Test func otherTagsAreNamedAndGivenFilesWin() throws {
    let absent = try plan("a [cat -> dog] <lora:pixel:1> <lora:../neon:1>", loraAt: "lora/neon.safetensors")
    #expect(absent.options.loras.isEmpty)
    #expect(absent.warnings.count { $0.contains("is left out: there is no") } == 2, "\(absent.warnings)")
    let given = try plan("a [cat -> dog] <lora:neon:1>", loraAt: "lora/neon.safetensors", given: "0.5")
    #expect(given.options.loras.map(\.weight) == [0.5])
  }

  /// Once, and nothing of plain prompts.
  @Test func whatIsLeftOutIsSaid() throws {
    let told = try plan("a [(cat:1.2) -> (dog:1.3)] BREAK AND (sky:2)", loraAt: "x.safetensors").warnings
    #expect(told.contains { $0.contains("word-weights dog=1.3,sky=2.0") }, "\(told)")
    #expect(told.contains { $0.contains("source: the weights cat=1.2 are left out") }, "\(told)")
    #expect(told.count { $0.contains("BREAK") } == 2 && told.contains { $0.contains("AND") }, "\(told)")
    #expect(
      try plan(#"a [cat -> dog], \(at home\)"#, loraAt: "x.safetensors").warnings
        .allSatisfy { !$0.contains("web UI") && !$0.contains("left out") })
  }
}
