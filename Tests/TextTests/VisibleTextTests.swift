import Testing
import Text

struct VisibleTextTests {
  @Test func whatSteersIsWrittenOut() {
    #expect("a\u{1b}[31mred\u{7}".visible == "a\\u{1b}[31mred\\u{7}")
    #expect("\u{9b}2J\u{7f}\0\r\t".visible == "\\u{9b}2J\\u{7f}\\u{0}\\u{d}\\u{9}")
    #expect(
      "x\u{202e}4pm.exe\u{2066}\u{200f}\u{61c}\u{2028}".visible
        == "x\\u{202e}4pm.exe\\u{2066}\\u{200f}\\u{61c}\\u{2028}")
    // Also where Swift sees one character.
    #expect("\r\n".visible == "\\u{d}\\u{a}" && "\u{1b}\u{301}".visible == "\\u{1b}\u{301}")
  }

  @Test func whatIsSeenStays() {
    for text in [
      "", "a tiger", "e\u{301}t\u{e9}", "\u{1f468}\u{200d}\u{1f469}", "\u{5e9}\u{5dc}", "\\u{1b}", "\u{feff}x",
    ] {
      #expect(text.visible == text && text.visibleLines == text && text.visibleText == text)
    }
  }

  /// A name with a line break in it cannot look like another message.
  @Test func linesThatAreNotIndentedCannotBeForged() {
    #expect("none of:\n  a\n  b".visibleLines == "none of:\n  a\n  b")
    #expect("x\nfatezero: done".visibleLines == "x\\u{a}fatezero: done")
    #expect("x\n y".visibleLines == "x\\u{a} y" && "x\n".visibleLines == "x\\u{a}")
    #expect("x\ny\u{1b}".visibleText == "x\ny\\u{1b}" && "x\ny".visible == "x\\u{a}y")
  }

  @Test func controlsAreExchanged() {
    #expect("a\u{9b}b".exchangingControls { "<\($0.value)>" } == "a<155>b")
  }
}
