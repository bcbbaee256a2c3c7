import Testing

@testable import FateZero

@Suite struct NumeralsTests {
  @Test func fixed() {
    #expect(Numerals.fixed(3.14159, digits: 2) == "3.14")
    #expect(Numerals.fixed(0.05, digits: 1) == "0.1")
    #expect(Numerals.fixed(9.996, digits: 2) == "10.00")
    #expect(Numerals.fixed(-0.001, digits: 2) == "0.00")
    #expect(Numerals.fixed(-2.5, digits: 1) == "-2.5")
    #expect(Numerals.fixed(7, digits: 0) == "7")
    #expect(Numerals.fixed(.nan, digits: 1) == "nan")
  }

  @Test func durations() {
    #expect(Numerals.duration(0.4) == "0 s")
    #expect(Numerals.duration(59.6) == "1:00 min")
    #expect(Numerals.duration(245) == "4:05 min")
    #expect(Numerals.duration(3723) == "1:02:03 h")
    #expect(Numerals.duration(.infinity) == "unknown")
    #expect(Numerals.duration(-3) == "0 s")
  }

  @Test func bytes() {
    #expect(Numerals.bytes(512) == "512 bytes")
    #expect(Numerals.bytes(3 << 20) == "3.0 MiB")
    #expect(Numerals.bytes(700 << 20) == "700 MiB")
    #expect(Numerals.bytes(5 << 40) == "5.0 TiB")
  }
}
