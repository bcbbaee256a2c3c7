import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// What bf16 does to an edit.
  struct PrecisionTests {
    private let bench: Workbench

    init() throws { bench = try Workbench() }

    private static var hasBFloat16: Bool {
      (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8).contains("avx512_bf16")) ?? false
    }

    @Test(
      .enabled(if: Self.hasBFloat16, "the processor has bf16 arithmetic"),
      arguments: ["a [cat -> tiger] on the grass", "a [ -> watercolor painting of a] cat on the grass"])
    func framesAndMasks(edit: String) throws {
      try bench.succeed(
        """
        for precision in f32 bf16; do
          "$FATEZERO" edit "\(Workbench.root)/Examples/cat.mp4" $precision.nut --mask-output mask-$precision.nut \
            --steps 20 --blend-attention on --blend-words cat --frames 8 --precision $precision --edit "\(edit)"
        done
        """)
      func pair(_ name: String) throws -> ([UInt8], [UInt8]) {
        (try [UInt8](bench.pixels("\(name)f32.nut")), try [UInt8](bench.pixels("\(name)bf16.nut")))
      }
      let (exact, fast) = try pair("")
      try #require(exact.count == fast.count)
      let squares = zip(exact, fast).reduce(0.0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
      let decibels = 10 * log10(255 * 255 * Double(exact.count) / max(squares, 1e-9))
      let (exactMask, fastMask) = try pair("mask-")
      let disagreeing = zip(exactMask, fastMask).count { ($0 > 127) != ($1 > 127) }
      let share = Double(disagreeing) / Double(exactMask.count)
      print("\(edit): bf16 is \(decibels) dB from f32; \(share) of the mask disagrees")
      #expect(decibels >= 38)
      #expect(share <= 0.01)
    }
  }
}
