import FateZero
import Testing

@Suite struct InlineEditTests {
  private struct Case: CustomTestStringConvertible {
    var text, source, target: String
    var words: [String]?
    var newWords: [String] = []
    var testDescription: String { text }
  }

  @Test func exchanges() throws {
    let cases = [
      Case(
        text: "a [cat -> tiger] on the grass", source: "a cat on the grass", target: "a tiger on the grass",
        words: ["cat"], newWords: ["tiger"]),
      Case(
        text: "a [silver jeep->Porsche car] on a [road -> beach]", source: "a silver jeep on a road",
        target: "a Porsche car on a beach", words: ["silver jeep", "road"], newWords: ["Porsche car", "beach"]),
      Case(text: "a [ -> red] cat", source: "a cat", target: "a red cat", words: nil),
      Case(text: "an [old -> ] car", source: "an old car", target: "an car", words: ["old"]),
      Case(text: "[-> watercolor of] a cat", source: "a cat", target: "watercolor of a cat", words: nil),
      Case(text: "a cat [ -> asleep], at home", source: "a cat, at home", target: "a cat asleep, at home", words: nil),
      Case(text: "two [cat -> dog]s", source: "two cats", target: "two dogs", words: ["cats"], newWords: ["dogs"]),
      Case(
        text: "[a cat -> a tiger], walking", source: "a cat, walking", target: "a tiger, walking", words: ["cat"],
        newWords: ["tiger"]),
      Case(
        text: #"a \[big\] [cat -> ti\-ger]"#, source: "a [big] cat", target: "a [big] ti-ger", words: ["cat"],
        newWords: ["ti-ger"]),
      Case(text: "a -> b [c -> d]", source: "a -> b c", target: "a -> b d", words: ["c"], newWords: ["d"]),
    ]
    for expected in cases {
      let edit = try #require(try InlineEdit.parse(expected.text), "\(expected.text)")
      #expect(edit.source == expected.source)
      #expect(edit.target == expected.target)
      #expect(edit.blendWords?.source == expected.words)
      #expect(edit.blendWords?.target ?? [] == expected.newWords)
    }
  }

  @Test func plainPromptsHaveNoEdit() throws {
    #expect(try InlineEdit.parse("a cat -> tiger") == nil)
    #expect(try InlineEdit.parse(#"a \[cat\]"#) == nil)
    #expect(InlineEdit.plain(#"a \[cat\] C:\x \\"#) == #"a [cat] C:\x \\"#)
  }

  /// What many brackets in one word exchange is that word, once; the time is that of reading it.
  @Test func bracketsWithoutEndAreReadInOneGo() throws {
    let edit = try #require(try InlineEdit.parse(String(repeating: "[a->b]", count: 20_000)))
    #expect(edit.source == String(repeating: "a", count: 20_000))
    #expect(edit.blendWords?.source == [edit.source] && edit.blendWords?.target == [edit.target])
    let many = try #require(try InlineEdit.parse(String(repeating: "[a->b] ", count: 20_000)))
    #expect(many.blendWords?.source.count == 20_000)
    // A mark on a bracket makes it no other.
    #expect(try InlineEdit.parse("a [\u{301}cat -> dog]")?.target == "a dog")
  }

  @Test(arguments: [
    ("a [cat", "bracket at 3"), ("a cat]", "] at 6"), ("a [cat => dog] b", "at 3 has no ->"),
    ("a [cat:dog:0.5]", "at 3 has no ->"), ("a [cat|dog]", "at 3 has no ->"), ("a [b [c -> d]]", "[ at 6"),
    ("[a -> b -> c]", "second -> at 9"), ("[ -> ]", "at 1 is empty"),
  ]) func malformedNamesThePosition(text: String, reason: String) {
    let error = #expect(throws: SettingsError.self) { try InlineEdit.parse(text) }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }
}
