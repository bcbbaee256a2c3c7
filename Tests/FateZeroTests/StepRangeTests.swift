import FateZero
import Testing

@Suite struct StepRangeTests {
  @Test(arguments: [
    ("0.8", 0, 0.8), ("0.2:0.8", 0.2, 0.8), ("1", 0, 1), (" 0.2 : 0.8 ", 0.2, 0.8), ("0", 0, 0),
  ]) func reads(text: String, start: Double, end: Double) throws {
    #expect(try StepRange(parsing: text, in: "self-replace") == StepRange(start, end))
  }

  @Test(arguments: ["", "x", "0.8:0.2", "1.2", "-0.1", "0:0.5:1", "nan", "0.2:"]) func refuses(text: String) {
    #expect(throws: SettingsError.self) { try StepRange(parsing: text, in: "self-replace") }
  }

  /// The reference's numbers (SEMANTICS: N = 50, 0.8 of N+1 is steps 0..39; N = 5, 0.5 is 0..2; N = 7, 0.8 is 0..5).
  @Test func endsAreRoundedDown() {
    #expect(StepRange(0, 0.8).steps(of: 51) == 0..<40)
    #expect(StepRange(0, 0.5).steps(of: 6) == 0..<3)
    #expect(StepRange(0, 0.8).steps(of: 8) == 0..<6)
    #expect(StepRange(0, 0.8).steps(of: 5) == 0..<4)
    #expect(StepRange(0.2, 0.8).steps(of: 10) == 2..<8)
    #expect(StepRange(0, 7).steps(of: 10) == 0..<10)
    #expect(StepRange(0.9, 0.1).steps(of: 10).isEmpty)
  }
}
