import Testing
import Text

struct DelimiterTests {
  /// What combines with a delimiter, before it or behind it, and what Swift takes for one character with it.
  static let disguised = ["a/\u{301}b", "a\u{d4e}/b", "a/\u{fe0f}b", "a\u{600}/\u{20dd}b", "\u{111c2}/"]

  @Test(arguments: disguised) func aDelimiterIsFoundWhateverCombinesWithIt(_ text: String) {
    #expect(text.holds("/") && text.holds(text: "/"))
    #expect(text.pieces(at: "/", keepingEmpty: true).count == 2)
    #expect(text.firstPlace(ofScalar: "/") == text.lastPlace(ofScalar: "/"))
    #expect(text.exchanging("/", for: "-").unicodeScalars.contains("-") && !text.exchanging("/", for: "-").holds("/"))
    let place = text.firstPlace(ofScalar: "/") ?? text.startIndex
    #expect("\(text[..<place])/\(text[text.place(behind: place)...])" == text)
  }

  @Test func piecesAreThoseOfSplit() {
    for text in ["", "/", "a", "a/b", "/a//b/", "a/b/c"] {
      for keepsEmpty in [false, true] {
        for splits in [0, 1, Int.max] {
          #expect(
            text.pieces(at: "/", maxSplits: splits, keepingEmpty: keepsEmpty)
              == text.split(separator: "/", maxSplits: splits, omittingEmptySubsequences: !keepsEmpty))
        }
      }
    }
    #expect("a\r\nb\nc".pieces(at: "\n").map(String.init) == ["a\r", "b", "c"])
    #expect(" one\ttwo\u{a0}three\r\n".words.map(String.init) == ["one", "two", "three"])
  }

  @Test func beginningsAndEndsAreCompared() {
    #expect("--folder=\u{301}x".begins(with: "--folder=") && "--folder=x".dropping(prefix: "--folder=") == "x")
    #expect("name.png".ends(with: ".png") && !"png".ends(with: ".png") && "a".begins(with: "") && "a".ends(with: ""))
    // One character in two spellings is not one name.
    #expect(!"\u{e9}".begins(with: "e\u{301}") && "e\u{301}".begins(with: "e"))
    #expect("x".dropping(prefix: "y") == nil)
    #expect("a{n}b{n}".exchanging("{n}", for: "{n}1") == "a{n}1b{n}1" && "none".exchanging("{n}", for: "1") == "none")
    #expect("aab".firstPlace(of: "ab") != nil && "aa".firstPlace(of: "ab") == nil && "".firstPlace(of: "a") == nil)
  }
}
