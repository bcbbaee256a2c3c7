import Testing

@testable import FateZeroCommand

@Suite struct ClockTimeTests {
  @Test func clockTimes() {
    #expect(ClockTime(argument: "12.5")?.seconds == 12.5)
    #expect(ClockTime(argument: "1:30")?.seconds == 90)
    #expect(ClockTime(argument: "1:02:03.5")?.seconds == 3723.5)
    for text in ["", "a", "1:60", "-1", "1:2:3:4", "1::2", "nan", "inf"] { #expect(ClockTime(argument: text) == nil) }
  }
}
