import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// The edit that `make demo` shows, judged by colours: the example's cat is the only thing without colour on green grass
  /// under a blue sky.
  @Suite struct DemoTests {
    let bench: Workbench

    init() throws { bench = try Workbench() }

    private static let side = 128
    private static let area = side * side

    private struct Pixel {
      let red: Int, green: Int, blue: Int

      init(_ pixels: [UInt8], _ position: Int) {
        red = Int(pixels[position * 3])
        green = Int(pixels[position * 3 + 1])
        blue = Int(pixels[position * 3 + 2])
      }

      var isGrey: Bool { max(red, green, blue) - min(red, green, blue) < 24 }
      var isOrange: Bool { red > 120 && red > green + 30 && green > blue }
      var isDark: Bool { max(red, green, blue) < 80 }
      var isGreen: Bool { green > red + 30 && green > blue + 30 }
    }

    /// For each frame of the example which pixels are the cat, and which are surely background.
    private func parts(_ source: [UInt8]) -> [(cat: [Int], background: [Int])] {
      (0..<source.count / 3 / Self.area).map { frame in
        let grey = (0..<Self.area).map { Pixel(source, frame * Self.area + $0).isGrey }
        let background = (0..<Self.area).filter { position in
          let (row, column) = (position / Self.side, position % Self.side)
          for y in max(row - 8, 0)...min(row + 8, Self.side - 1) {
            for x in max(column - 8, 0)...min(column + 8, Self.side - 1) where grey[y * Self.side + x] { return false }
          }
          return true
        }
        return (grey.indices.filter { grey[$0] }, background)
      }
    }

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

      var orange: [Double] = []
      var dark: [Double] = []
      for (frame, part) in parts(source).enumerated() {
        let start = frame * Self.area
        func share(_ positions: [Int], _ pixels: [UInt8], _ property: (Pixel) -> Bool) -> Double {
          Double(positions.count { property(Pixel(pixels, start + $0)) }) / Double(positions.count)
        }
        try #require(part.cat.count > 300 && part.background.count > 3000)
        orange.append(share(part.cat, edited, \.isOrange))
        dark.append(share(part.cat, edited, \.isDark))
        let error =
          part.background.reduce(0.0) { sum, position in
            sum
              + (0..<3).reduce(0.0) {
                let index = (start + position) * 3 + $1
                return $0 + abs(Double(edited[index]) - Double(source[index])) / 3
              }
          } / Double(part.background.count)
        let found = share(part.cat, mask) { $0.red > 127 }
        let spilt = share(part.background, mask) { $0.red > 127 }
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
