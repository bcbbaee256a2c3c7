import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// The edit that `make demo` shows, judged by colours.
  @Suite struct DemoTests {
    let bench: Workbench

    init() throws { bench = try Workbench() }

    @Test func theCatBecomesATiger() throws {
      let clip = "\(Workbench.root)/Examples/cat.mp4"
      try bench.succeed(
        """
        "$FATEZERO" edit "\(clip)" out.nut --mask-output mask.nut --steps 20 --edit "a [cat -> tiger] on the grass"
        """)
      let source = [UInt8](try bench.pixels(clip))
      let edited = [UInt8](try bench.pixels("out.nut"))
      let mask = [UInt8](try bench.pixels("mask.nut"))
      try #require(source.count == edited.count && mask.count == source.count)

      let example = ExampleCat(source)
      var orange: [Double] = []
      var dark: [Double] = []
      for (frame, part) in example.frames.enumerated() {
        try #require(part.cat.count > 300 && part.background.count > 3000)
        orange.append(example.share(\.cat, frame, of: edited, where: \.isOrange))
        dark.append(example.share(\.cat, frame, of: edited, where: \.isDark))
        let error = example.backgroundError(frame, edited, source)
        let found = example.share(\.cat, frame, of: mask) { $0.red > 127 }
        let spilt = example.share(\.background, frame, of: mask) { $0.red > 127 }
        print(
          "frame \(frame): orange \(orange[frame]), dark \(dark[frame]), background \(error), mask \(found), \(spilt)")
        #expect(orange[frame] > 0.35)
        #expect(error < 5)
        #expect(found > 0.9)
        // The mask has 16x16 cells, pooled over 3x3.
        #expect(spilt < 0.1)
      }
      // Stripes: no pixel of the cat's body is so dark.
      #expect(dark.reduce(0, +) / Double(dark.count) > 0.03)
      // The frames agree.
      #expect((orange.max() ?? 1) - (orange.min() ?? 0) < 0.25)
    }
  }
}
