import FateZero
import TestSupport
import Testing

@testable import FateZeroCommand

@Suite struct EditOptionsTests {
  private static let model = Fixtures.oracle.appendingPathComponent("models/tinyA").path

  private func job(_ arguments: String...) throws -> EditJob {
    try EditJob(try EditOptions.parse(arguments + ["--model", Self.model]))
  }

  @Test func everyKnobHasItsOption() {
    let help = EditOptions.helpMessage(columns: 10_000)
    for knob in Knobs.all {
      #expect(help.contains("--\(knob.name)"), "\(knob.name)")
      #expect(help.contains(knob.blurb), "\(knob.name)")
    }
  }

  @Test func optionsReachTheSettings() throws {
    let settings = try job(
      "in.mp4", "out.mp4", "--edit", "a [cat -> tiger] on the grass", "--steps", "7", "--guidance-scale", "3",
      "--cross-replace", "0.5", "--cross-replace", "tiger=0.0:0.4", "--self-replace", "0.2:0.8", "--cross-mode",
      "refine",
      "--word-weights", "tiger=2", "--blend-attention", "on", "--blend-words", "cat=tiger", "--blend-threshold", "0.4",
      "--blend-latents", "--attention-source", "reconstruction", "--frame-coupling", "-2+self", "--coupling-min-width",
      "second", "--clip-length", "4", "--record", "maps", "--precision", "f32", "--threads", "2", "--negative",
      "-blurry",
      "--size", "64x64", "--fusion-max-tokens", "256", "--memory-limit", "1G", "--record-dir", "/var/tmp"
    ).edits[0]
    #expect(settings.edit == "a tiger on the grass")
    #expect(settings.source == "a cat on the grass")
    #expect(settings.steps == 7)
    #expect(settings.guidanceScale == 3)
    #expect(
      settings.crossReplace
        == CrossReplace(
          everywhere: StepRange(0, 0.5), words: [WordRange(word: "tiger", steps: StepRange(0, 0.4))]))
    #expect(settings.selfReplace == StepRange(0.2, 0.8))
    #expect(settings.crossMode == .refine)
    #expect(settings.wordWeights == [WordWeight(word: "tiger", weight: 2)])
    #expect(settings.blendAttention == .on)
    #expect(settings.blendThreshold == 0.4)
    #expect(settings.blendLatents)
    #expect(settings.attentionSource == .reconstruction)
    #expect(settings.frameCoupling == [.relative(-2), .relative(0)])
    #expect(settings.couplingMinWidth == .secondLevel)
    #expect(settings.clipLength == 4)
    #expect(settings.record == .maps)
    #expect(settings.threads == 2)
    #expect(settings.negative == "-blurry")
    #expect(settings.size == WorkingSize(width: 64, height: 64))
    #expect(settings.fusionMaxTokens == 256)
    #expect(settings.memoryLimit == 1 << 30)
    #expect(settings.recordFolder == "/var/tmp")
  }

  @Test func severalEditsShareTheRest() throws {
    let edits = try job("a", "b", "--edit", "a dog", "--edit", "a fox", "--source", "a cat", "--preset", "style").edits
    #expect(edits.map(\.edit) == ["a dog", "a fox"])
    #expect(edits.allSatisfy { $0.source == "a cat" && $0.crossMode == .refine })
  }

  @Test func aPreviewIsOneFrameInFewSteps() throws {
    let preview = try job("a", "b", "--edit", "x", "--preview", "--frames", "9")
    #expect(preview.inputOptions.frames == 1)
    #expect(preview.edits[0].steps == 10)
    #expect(try job("a", "b", "--edit", "x", "--preview", "--steps", "4").edits[0].steps == 4)
  }

  @Test func aConfigurationGivesWhatTheCommandLineLeavesOut() throws {
    let file = Fixtures.oracle.appendingPathComponent("configs/shape-man_wonder_bat_spider.yaml").path
    let job = try EditJob(
      try EditOptions.parse(["in.mp4", "out.mp4", "--config", file, "--model", Self.model, "--steps", "3"]))
    #expect(job.edits.count == 4)
    #expect(job.edits.allSatisfy { $0.steps == 3 && $0.wordMatching == .exact })
    #expect(job.edits[1].blendWords == BlendWords(source: ["man"], target: []))
    #expect(job.geometry == .reference(imageSize: 512, offset: CropOffset()))
    #expect(job.wantedFrames == 8)
    #expect(job.inputOptions.frames == 8)
    #expect(job.input == "in.mp4")

    // At a size of the user's own the whole frame is worked on.
    let sized = try EditJob(
      try EditOptions.parse(["in.mp4", "out.mp4", "--config", file, "--model", Self.model, "--size", "64x64"]))
    #expect(sized.geometry == .whole)

    let lily = Fixtures.oracle.appendingPathComponent("configs/style-lily_monet.yaml").path
    let sampled = try EditJob(
      try EditOptions.parse(["in.mp4", "out.mp4", "--config", lily, "--model", Self.model, "--input-filter", "hflip"]))
    #expect(sampled.inputOptions.filter == "select='gte(n,1)*not(mod(n-1,20))',hflip")
  }

  @Test func aConfigurationNamesItsModelBesideItself() throws {
    let file = Fixtures.oracle.appendingPathComponent("cases/b_refine.yaml").path
    let job = try EditJob(try EditOptions.parse(["in.raw", "out.nut", "--config", file]))
    #expect(job.directory.path.hasSuffix("models/tinyB"))
    let absent = Fixtures.oracle.appendingPathComponent("configs/style-lily_monet.yaml").path
    let error = #expect(throws: CommandFailure.self) {
      try EditJob(try EditOptions.parse(["in.raw", "out.nut", "--config", absent]))
    }
    #expect(error?.status == .noModel)
  }

  @Test func wrongCommandLines() throws {
    #expect(throws: (any Error).self) { try EditOptions.parse(["a", "b", "-y", "-n"]) }
    #expect(throws: (any Error).self) { try EditOptions.parse(["a", "b", "--encoder-option", "crf"]) }
    #expect(throws: CommandFailure.self) { try job("a", "b") }
    #expect(throws: CommandFailure.self) { try job("a", "b", "--edit", "x", "--video-size", "64") }
    #expect(throws: SettingsError.self) { try job("a", "b", "--edit", "a [cat", "--steps", "2") }
    #expect(throws: CommandFailure.self) { try job("a", "b", "--edit", "x", "--config", "/nowhere.yaml") }
  }

  @Test func metadataTellsWhatWasDone() throws {
    let metadata = try job("a", "b", "--edit", "a [cat -> dog]", "--steps", "7").metadata(edit: 0)
    #expect(metadata.count == 1)
    let text = try #require(metadata.first?.1)
    for part in [
      "fatezero \(toolVersion)", "model=tinyA:", "edit=\"a dog\"", "source=\"a cat\"", "steps=7", "blend-words=cat=dog",
    ] {
      #expect(text.contains(part), "\(text)")
    }
    #expect(!text.contains("guidance-scale"))
  }
}
