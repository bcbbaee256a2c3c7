import FateZero
import Foundation
import StableDiffusion
import TestSupport
import Testing

@Suite struct WordAlignmentTests {
  private func words(_ prompt: String) throws -> PromptWords {
    PromptWords(prompt, tokenizer: try ReferenceUnits.tokenizer(), matching: .exact)
  }

  @Test func refineIsTheReferences() throws {
    let units = try ReferenceUnits.load().mappers
    #expect(units.count > 10)
    for unit in units {
      let alignment = WordAlignment.refine(
        sourceTokens: try words(unit.source).tokens, targetTokens: try words(unit.target).tokens)
      #expect(
        alignment == .refine(mapper: unit.refineMapper, alphas: unit.refineAlphas), "\(unit.source) | \(unit.target)")
    }
  }

  @Test func replaceIsTheReferences() throws {
    for unit in try ReferenceUnits.load().mappers {
      let (source, target) = (try words(unit.source), try words(unit.target))
      guard let nonzero = unit.replaceNonzero else {
        #expect(throws: SettingsError.self) { try WordAlignment.replace(source: source, target: target) }
        continue
      }
      var matrix = [Float](repeating: 0, count: 77 * 77)
      for entry in nonzero { matrix[Int(entry[0]) * 77 + Int(entry[1])] = Float(entry[2]) }
      #expect(
        try WordAlignment.replace(source: source, target: target) == .replace(matrix: matrix),
        "\(unit.source) | \(unit.target)")
    }
  }

  @Test func everyModeChoosesWhatItSays() throws {
    let (cat, tiger, wet) = (try words("a cat on mats"), try words("a tiger on mats"), try words("a tiger on wet mats"))
    func isReplace(_ alignment: WordAlignment) -> Bool { if case .replace = alignment { true } else { false } }
    #expect(isReplace(try WordAlignment.choose(mode: .auto, source: cat, target: tiger).alignment))
    #expect(isReplace(try WordAlignment.choose(mode: .replace, source: cat, target: tiger).alignment))
    #expect(!isReplace(try WordAlignment.choose(mode: .refine, source: cat, target: tiger).alignment))
    let auto = try WordAlignment.choose(mode: .auto, source: cat, target: wet)
    #expect(!isReplace(auto.alignment))
    #expect(auto.note == nil)
    let fallback = try WordAlignment.choose(mode: .replace, source: cat, target: wet)
    #expect(!isReplace(fallback.alignment))
    #expect(fallback.note?.contains("refine") == true)
  }

  /// Beyond the text encoder's context, and with pieces that have no tokens, nothing is written outside the table.
  @Test func longAndOddPrompts() throws {
    let long = (0..<100).map { "word\($0)" }.joined(separator: " ")
    let other = (0..<100).map { $0 % 3 == 0 ? "thing\($0)" : "word\($0)" }.joined(separator: " ")
    let (source, target) = (try words(long), try words(other))
    for mode in WordAlignment.Mode.allCases {
      switch try WordAlignment.choose(mode: mode, source: source, target: target).alignment {
      case .refine(let mapper, let alphas): #expect(mapper.count == 77 && alphas.count == 77)
      case .replace(let matrix): #expect(matrix.count == 77 * 77)
      }
    }
    for (source, target) in [("", ""), ("", "a cat"), ("a  b", "a c b"), ("a  b", "a  c"), (" ", "x y")] {
      _ = try WordAlignment.choose(mode: .replace, source: try words(source), target: try words(target))
    }
  }

  /// The controllers of the recorded cases: mapper, cross-attention intervals, equalizer, blend words.
  @Test func controllersOfTheRecordedCases() throws {
    let folder = Fixtures.oracle.appendingPathComponent("cases")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".json") }
    #expect(names.count > 15)
    for name in names {
      let recorded = try JSONDecoder().decode(
        RecordedCase.self, from: Data(contentsOf: folder.appendingPathComponent(name)))
      let tensors = try TensorDump(folder.appendingPathComponent(name.replacing(".json", with: ".safetensors")))
      let (source, target) = (try words(recorded.source), try words(recorded.target))
      let edit = recorded.edit
      let alignment = try WordAlignment.choose(
        mode: edit.isReplace ?? true ? .replace : .refine, source: source, target: target
      ).alignment
      switch alignment {
      case .refine(let mapper, let alphas):
        #expect(try mapper.map(Double.init) == tensors["ctl.mapper"].values, "\(name)")
        #expect(try alphas == tensors["ctl.refine_alphas"].floats, "\(name)")
      case .replace(let matrix): #expect(try matrix == tensors["ctl.mapper"].floats, "\(name)")
      }
      let schedule = try CrossReplaceSchedule(
        CrossReplace(everywhere: StepRange(0, edit.crossReplace["default_"] ?? 1)), target: target,
        steps: recorded.steps)
      #expect(
        try (0...recorded.steps).flatMap { schedule.active(step: $0) } == tensors["ctl.cross_alpha"].floats, "\(name)")
      if let equalizer = edit.equalizer {
        let weights = zip(equalizer.words, equalizer.values).map { WordWeight(word: $0, weight: $1) }
        #expect(try target.weights(weights) == tensors["ctl.equalizer"].floats, "\(name)")
      }
      if let blend = edit.blendWords {
        let masks = try source.mask(of: blend[0], for: "blend-words") + target.mask(of: blend[1], for: "blend-words")
        #expect(try masks == tensors["ctl.blend_words"].floats, "\(name)")
      }
    }
  }

  private struct RecordedCase: Decodable {
    struct Edit: Decodable {
      struct Equalizer: Decodable {
        let words: [String]
        let values: [Float]
      }
      let isReplace: Bool?
      let crossReplace: [String: Double]
      let equalizer: Equalizer?
      let blendWords: [[String]]?

      enum CodingKeys: String, CodingKey {
        case isReplace = "is_replace_controller"
        case crossReplace = "cross_replace_steps"
        case equalizer = "eq_params"
        case blendWords = "blend_words"
      }
    }
    let source: String
    let target: String
    let steps: Int
    let edit: Edit

    enum CodingKeys: String, CodingKey {
      case source = "source_prompt"
      case target = "target_prompt"
      case steps = "num_inference_steps"
      case edit = "p2p_config"
    }
  }
}
