import FateZero
import Foundation
import TestSupport
import Testing

@Suite struct SettingsTests {
  @Test func everyDefaultIsWhatTheKnobSaysAndReadsBack() throws {
    for knob in Knobs.all {
      #expect(Settings().text(of: knob.name) == knob.defaultText, "\(knob.name)")
      var settings = Settings()
      try settings.set(knob.name, to: knob.defaultText)
      #expect(settings == Settings(), "\(knob.name)")
      #expect(knob.blurb.hasSuffix("."), "\(knob.name)")
    }
  }

  @Test(arguments: [
    ("cross-replace", "0.5,tiger=0.1:0.4"), ("self-replace", "0.2:0.8"), ("blend-words", "silver jeep=car,road"),
    ("word-weights", #"a\,b=10.0,x=-2.5"#), ("frame-coupling", "-2+self"), ("coupling-min-width", "second"),
    ("coupling-min-width", "640"), ("size", "512x320"), ("record", "recompute"), ("record-dir", "/var/tmp"),
    ("memory-limit", "8G"),
    ("negative", #"blurry, \[x\]"#), ("edit", #"a \[cat\]"#), ("edit", #"C:\\x \(a\) :\) \\\[<toy>"#),
    ("source", #"a \(black\) cat \\"#), ("embedding", #"a\=b.pt"#), ("lora", #"a\,b.safetensors:0.5"#),
    ("negative", #"\<lora:x:1.0> \\\\\("#), ("guidance-scale", "3.5"), ("blend-latents", "true"),
    ("attention-source", "none"), ("blend-words", "=car"),
  ]) func textReadsBack(name: String, text: String) throws {
    var settings = Settings()
    try settings.set(name, to: text)
    #expect(settings.text(of: name) == text)
    var again = Settings()
    try again.set(name, to: try #require(settings.text(of: name)))
    #expect(again == settings)
  }

  @Test(arguments: [
    ("steps", "0"), ("steps", "ten"), ("guidance-scale", "nan"), ("guidance-scale", "-1"), ("cross-mode", "both"),
    ("cross-replace", "tiger=2"), ("cross-replace", "=0.5"), ("word-weights", "10"), ("word-weights", "a=b"),
    ("blend-latents", "perhaps"), ("size", "512"), ("size", "0x10"), ("precision", "f8"), ("memory-limit", "much"),
    ("memory-limit", "9999999999999999G"), ("preset", "nice"), ("no-such", "1"), ("cross-replace", #"0.5\"#),
    ("clip-length", "99999999999999999999"), ("frame-coupling", "self,middle"),
  ]) func refusesAndLeavesTheRestAlone(name: String, text: String) throws {
    var settings = Settings()
    let error = #expect(throws: SettingsError.self) { try settings.set(name, to: text) }
    #expect(settings == Settings())
    #expect(error?.description.isEmpty == false)
  }

  @Test func aMisspeltNameIsAnswered() {
    var settings = Settings()
    let error = #expect(throws: SettingsError.self) { try settings.set("self-replase", to: "0.5") }
    #expect(error?.description.contains("self-replace") == true)
  }

  @Test func selfReplaceIsShorterWithoutASourceUntilItIsSet() throws {
    var settings = Settings()
    #expect(settings.selfReplace == StepRange(0, 0.5))
    settings.source = "a cat"
    #expect(settings.selfReplace == StepRange(0, 0.8))
    settings.source = nil
    settings.selfReplace = StepRange(0, 0.7)
    #expect(settings.selfReplace == StepRange(0, 0.7))
  }

  @Test func inlineEditGivesEverythingAtOnce() throws {
    var settings = Settings()
    try settings.apply([("edit", "a [cat -> tiger] on the grass")])
    #expect(settings.edit == "a tiger on the grass")
    #expect(settings.source == "a cat on the grass")
    #expect(settings.blendWords == BlendWords(source: ["cat"], target: ["tiger"]))
    #expect(settings.blendsAttention)

    try settings.apply([("blend-words", "grass"), ("edit", "a [cat -> tiger] on the grass")])
    #expect(settings.blendWords == BlendWords(source: ["grass"], target: []))

    #expect(throws: SettingsError.self) {
      try settings.apply([("source", "a dog"), ("edit", "a [cat -> tiger]")])
    }
    // The same source twice is no contradiction: applications copy all settings.
    try settings.apply([("source", "a cat"), ("edit", "a [cat -> tiger]")])
    #expect(settings.source == "a cat" && settings.edit == "a tiger")
  }

  @Test func layersOverwriteInOrderAndAPresetIsTheFirstOfItsLayer() throws {
    let settings = try Settings(layers: [
      try ModelDefaults.layer(json: Array(#"{"guidance-scale": 3.5, "steps": 20, "self-replace": 0.25}"#.utf8)),
      [("steps", "10"), ("source", "a cat")],
      [("edit", "a tiger"), ("cross-replace", "0.1"), ("preset", "style")],
    ])
    #expect(settings.guidanceScale == 3.5)
    #expect(settings.steps == 10)
    #expect(settings.selfReplace == StepRange(0, 0.8))
    #expect(settings.crossReplace == CrossReplace(everywhere: StepRange(0, 0.1)))
    #expect(settings.crossMode == .refine)
    #expect(settings.frameCoupling == [.middle])
    #expect(settings.couplingMinWidth == .secondLevel)
  }

  @Test func everyPresetApplies() throws {
    for preset in Presets.all {
      var settings = Settings()
      try settings.set("preset", to: preset.name)
      #expect(settings != Settings())
    }
  }

  @Test func aWordsOwnRangeKeepsTheOthers() throws {
    var settings = Settings()
    try settings.set("cross-replace", to: "tiger=0.0:0.4")
    #expect(
      settings.crossReplace
        == CrossReplace(
          everywhere: StepRange(0, 0.8), words: [WordRange(word: "tiger", steps: StepRange(0, 0.4))]))
  }

  @Test(arguments: ["[1]", "{\"steps\": [1]}", "{\"steps\": 0}", "{\"edit\": \"x\"}", "", "{\"nope\": 1}"])
  func modelDefaultsRefuse(json: String) {
    #expect(throws: SettingsError.self) { try ModelDefaults.layer(json: Array(json.utf8)) }
  }

  @Test func validation() throws {
    var settings = Settings()
    #expect(throws: SettingsError.self) { try settings.validate() }
    settings.edit = "a tiger"
    try settings.validate()
    settings.wordWeights = [WordWeight(word: "tiger", weight: 2)]
    #expect(throws: SettingsError.self) { try settings.validate() }
    settings.source = "a cat"
    try settings.validate()
    settings.blendAttention = .on
    #expect(throws: SettingsError.self) { try settings.validate() }
    settings.blendWords = BlendWords(source: ["cat"], target: [])
    try settings.validate()
  }

  /// GStreamer reads presets from files; what they do is said once, by the property `preset`.
  @Test func gstreamersPresetsAreOurs() throws {
    let file = try String(
      contentsOf: Fixtures.repository.appending(path: "packaging/presets/GstFateZero.prs"), encoding: .utf8)
    let expected = Presets.all.map { "[\($0.name)]\n_meta/comment=\($0.blurb)\npreset=\($0.name)\n" }
    #expect(file == "[_presets_]\nversion=0.1\nelement-name=GstFateZero\n\n" + expected.joined(separator: "\n"))
  }
}
