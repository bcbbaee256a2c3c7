import FateZero
import Foundation
import StableDiffusion
import TestSupport

/// `oracle/units.json`: what the reference's own functions answer.
struct ReferenceUnits: Decodable {
  struct WordIndices: Decodable {
    let text: String
    /// nil where the reference was asked by number.
    let word: String?
    let indices: [Int]

    enum CodingKeys: CodingKey { case text, word, indices }
    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      text = try values.decode(String.self, forKey: .text)
      word = try? values.decode(String.self, forKey: .word)
      indices = try values.decode([Int].self, forKey: .indices)
    }
  }

  struct Mapper: Decodable {
    let source: String
    let target: String
    let refineMapper: [Int]
    let refineAlphas: [Float]
    /// Row, column, value; nil where the reference refuses.
    let replaceNonzero: [[Double]]?

    enum CodingKeys: String, CodingKey {
      case source, target
      case refineMapper = "refine_mapper"
      case refineAlphas = "refine_alphas"
      case replaceNonzero = "replace_mapper_nonzero"
    }
    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      source = try values.decode(String.self, forKey: .source)
      target = try values.decode(String.self, forKey: .target)
      refineMapper = try values.decode([Int].self, forKey: .refineMapper)
      refineAlphas = try values.decode([Float].self, forKey: .refineAlphas)
      replaceNonzero = try? values.decode([[Double]].self, forKey: .replaceNonzero)
    }
  }

  struct CrossAlpha: Decodable {
    /// A number, a pair, or either for each word.
    enum Specification: Decodable {
      case range(StepRange)
      case words([String: StepRange])

      init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let end = try? container.decode(Double.self) {
          self = .range(StepRange(0, end))
        } else if let ends = try? container.decode([Double].self) {
          self = .range(StepRange(ends[0], ends[1]))
        } else {
          self = .words(
            try container.decode([String: Specification].self).compactMapValues {
              if case .range(let range) = $0 { range } else { nil }
            })
        }
      }

      /// Without `default_` the reference takes all steps.
      var crossReplace: CrossReplace {
        switch self {
        case .range(let range): CrossReplace(everywhere: range)
        case .words(let ranges):
          CrossReplace(
            everywhere: ranges["default_"] ?? .all,
            words: ranges.filter { $0.key != "default_" }.map { WordRange(word: $0.key, steps: $0.value) })
        }
      }
    }

    let steps: Int
    let spec: Specification
    let activeEverywhere: [Int]
    let activeTiger: [Int]

    enum CodingKeys: String, CodingKey {
      case steps, spec
      case activeEverywhere = "active_steps_word0"
      case activeTiger = "active_steps_tiger"
    }
  }

  let wordIndices: [WordIndices]
  let mappers: [Mapper]
  let crossAlpha: [CrossAlpha]

  enum CodingKeys: String, CodingKey {
    case wordIndices = "word_indices"
    case mappers
    case crossAlpha = "cross_alpha"
  }

  static func load() throws -> ReferenceUnits {
    let data = try Data(contentsOf: Fixtures.oracle.appendingPathComponent("units.json"))
    return try JSONDecoder().decode(ReferenceUnits.self, from: data)
  }

  /// Read once: the vocabulary is large.
  private static let sharedTokenizer = Result {
    try CLIPTokenizer(directory: Fixtures.oracle.appendingPathComponent("models/tinyA/tokenizer").path)
  }
  static func tokenizer() throws -> CLIPTokenizer { try sharedTokenizer.get() }
}
