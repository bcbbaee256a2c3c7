import CFateZero
import FateZero
import Foundation
import TestSupport
import Testing

/// The header says what the code does.
@Suite struct HeaderTests {
  private static let header = Fixtures.repository.appendingPathComponent("CShims/CFateZero/include/fatezero.h")

  private func knobs() -> [fatezero_knob] {
    var knobs: [fatezero_knob] = []
    while let knob = fatezero_knob_at(knobs.count) { knobs.append(knob.pointee) }
    return knobs
  }

  @Test func knobsAreThoseOfTheEngine() {
    let knobs = knobs()
    #expect(knobs.map { String(cString: $0.name) } == Knobs.all.map(\.name))
    for (have, want) in zip(knobs, Knobs.all) {
      #expect(have.struct_size == MemoryLayout<fatezero_knob>.size)
      #expect(String(cString: have.blurb) == want.blurb)
      #expect(String(cString: have.range) == want.range)
      #expect(String(cString: have.default_text) == want.defaultText)
      var words: [String] = []
      if let choices = have.choices { while let word = choices[words.count] { words.append(String(cString: word)) } }
      switch want.kind {
      case .text: #expect(have.kind == FATEZERO_KNOB_TEXT)
      case .path: #expect(have.kind == FATEZERO_KNOB_PATH)
      case .integer(let range):
        #expect(have.kind == FATEZERO_KNOB_INTEGER)
        #expect((have.minimum, have.maximum) == (Double(range.lowerBound), Double(range.upperBound)))
      case .number(let range):
        #expect(have.kind == FATEZERO_KNOB_NUMBER)
        #expect((have.minimum, have.maximum) == (range.lowerBound, range.upperBound))
      case .flag: #expect(have.kind == FATEZERO_KNOB_FLAG)
      case .choice(let choices):
        #expect(have.kind == FATEZERO_KNOB_CHOICE)
        #expect(words == choices)
      case .list: #expect(have.kind == FATEZERO_KNOB_LIST)
      }
      if have.kind != FATEZERO_KNOB_CHOICE { #expect(have.choices == nil) }
    }
    #expect(fatezero_knob_at(knobs.count) == nil)
    #expect(fatezero_knob_at(.max) == nil)
  }

  /// The comment of each field of fatezero_options is the blurb of the knob of that name, and all knobs are there.
  @Test func commentsAreTheKnobsBlurbs() throws {
    let text = try String(contentsOf: Self.header, encoding: .utf8)
    let begin = try #require(text.range(of: "typedef struct fatezero_options {"))
    let end = try #require(text.range(of: "} fatezero_options;"))
    let fields = text[begin.upperBound..<end.lowerBound].matches(
      of: /\/\*\*(.*?)\*\/\s*[\w ]*?[ *](\w+);/.dotMatchesNewlines())
    let described = fields.map { match in
      (
        name: match.2.replacing("_", with: "-"),
        comment: match.1.replacing(/\s*\n\s*\*\s*/, with: " ").trimmingCharacters(in: .whitespaces)
      )
    }.filter { $0.name != "struct-size" }
    #expect(described.map { String($0.name) } == Knobs.all.map(\.name))
    for (have, want) in zip(described, Knobs.all) { #expect(have.comment == want.blurb, "\(want.name)") }
  }

  @Test func versionsAgree() throws {
    let header = "\(FATEZERO_VERSION_MAJOR).\(FATEZERO_VERSION_MINOR).\(FATEZERO_VERSION_PATCH)"
    #expect(String(cString: fatezero_version()) == header)
    #expect("\(Version.text)" == header)
  }
}
