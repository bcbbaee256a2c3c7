/// One picture of a clip: packed 8-bit RGB, row by row.
public struct Frame: Sendable, Equatable {
  public let width: Int, height: Int
  /// height * width * 3 bytes.
  public let pixels: [UInt8]

  /// - Throws: `EditError` where the pixels do not fill the size.
  public init(width: Int, height: Int, pixels: [UInt8]) throws {
    guard width > 0, height > 0, width <= 1 << 16, height <= 1 << 16, pixels.count == width * height * 3 else {
      throw EditError(
        .frames, "a frame of \(width)x\(height) pixels needs \(width) * \(height) * 3 bytes, not \(pixels.count)")
    }
    (self.width, self.height, self.pixels) = (width, height, pixels)
  }
}
