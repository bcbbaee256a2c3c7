import FateZero
import Testing

@Suite struct FrameCouplingTests {
  private func frames(_ text: String, count: Int) throws -> [[Int]] {
    let list = try FrameReference.parse(text)
    return (0..<count).map { FrameReference.resolve(list, frame: $0, count: count) }
  }

  @Test func previousAndFirst() throws {
    #expect(try frames("previous+first", count: 3) == [[0, 0], [0, 0], [1, 0]])
  }

  @Test func distancesStayWithinTheClip() throws {
    #expect(try frames("-2+self+next", count: 4) == [[0, 0, 1], [0, 1, 2], [0, 2, 3], [1, 3, 3]])
  }

  @Test(arguments: [(8, 3), (4, 1), (3, 1), (2, 0), (1, 0)]) func middle(count: Int, expected: Int) throws {
    #expect(try frames("self+middle", count: count) == (0..<count).map { [$0, expected] })
    #expect(try frames("mid", count: count) == (0..<count).map { _ in [expected] })
  }

  @Test func lastAndNone() throws {
    #expect(try frames("last", count: 3) == [[2], [2], [2]])
    #expect(try frames("none", count: 3) == [[0], [1], [2]])
  }

  @Test(arguments: ["self+middle", "previous+first", "-2+self", "last+next", "none"]) func textReadsBack(text: String)
    throws
  {
    #expect(FrameReference.text(of: try FrameReference.parse(text)) == text)
  }

  @Test(arguments: ["", "self+", "center", "1.5", "99999999999999999999"]) func refuses(text: String) {
    #expect(throws: SettingsError.self) { try FrameReference.parse(text) }
  }
}
