/// The example's clip, told by colours: its cat is the only thing without colour on green grass under a blue sky.
public struct ExampleCat {
  public struct Pixel {
    public let red: Int, green: Int, blue: Int

    public var isGrey: Bool { max(red, green, blue) - min(red, green, blue) < 24 }
    public var isOrange: Bool { red > 120 && red > green + 30 && green > blue }
    public var isDark: Bool { max(red, green, blue) < 80 }
  }

  /// Positions in a frame.
  public struct Part {
    public let cat: [Int]
    /// What is surely not the cat.
    public let background: [Int]
  }

  private static let side = 128
  private static let area = side * side

  public let frames: [Part]

  /// - Parameter source: The clip's pixels, RGB.
  public init(_ source: [UInt8]) {
    frames = (0..<source.count / 3 / Self.area).map { frame in
      let grey = (0..<Self.area).map { Self.pixel(source, frame: frame, position: $0).isGrey }
      let background = (0..<Self.area).filter { position in
        let (row, column) = (position / Self.side, position % Self.side)
        for y in max(row - 8, 0)...min(row + 8, Self.side - 1) {
          for x in max(column - 8, 0)...min(column + 8, Self.side - 1) where grey[y * Self.side + x] { return false }
        }
        return true
      }
      return Part(cat: grey.indices.filter { grey[$0] }, background: background)
    }
  }

  /// The share of a frame's `part` whose pixels have a property.
  public func share(
    _ part: KeyPath<Part, [Int]>, _ frame: Int, of pixels: [UInt8], where property: (Pixel) -> Bool
  ) -> Double {
    let positions = frames[frame][keyPath: part]
    return Double(positions.count { property(Self.pixel(pixels, frame: frame, position: $0)) })
      / Double(positions.count)
  }

  /// How far the background lies from another clip's, mean of all channels.
  public func backgroundError(_ frame: Int, _ pixels: [UInt8], _ other: [UInt8]) -> Double {
    let positions = frames[frame].background
    let sum = positions.reduce(0) { sum, position in
      let start = (frame * Self.area + position) * 3
      return sum + (start..<start + 3).reduce(0) { $0 + abs(Int(pixels[$1]) - Int(other[$1])) }
    }
    return Double(sum) / Double(3 * positions.count)
  }

  private static func pixel(_ pixels: [UInt8], frame: Int, position: Int) -> Pixel {
    let start = (frame * area + position) * 3
    return Pixel(red: Int(pixels[start]), green: Int(pixels[start + 1]), blue: Int(pixels[start + 2]))
  }
}
