import Tensors

/// A picture that is read row by row, wherever its pixels lie.
public protocol FrameRows {
  var size: FrameSize { get }
  /// Fills `pixels` with a row's packed 8-bit RGB.
  func read(row: Int, into pixels: inout [UInt8])
}

/// One picture of a clip: packed 8-bit RGB, row by row.
public struct Frame: FrameRows, Sendable, Equatable {
  public let width: Int, height: Int
  /// height * width * 3 bytes.
  public let pixels: [UInt8]

  public var size: FrameSize { FrameSize(width: width, height: height) }

  /// - Throws: `EditError` where the pixels do not fill the size.
  public init(width: Int, height: Int, pixels: [UInt8]) throws {
    guard width > 0, height > 0, width <= 1 << 16, height <= 1 << 16, pixels.count == width * height * 3 else {
      throw EditError(
        .frames, "a frame of \(width)x\(height) pixels needs \(width) * \(height) * 3 bytes, not \(pixels.count)")
    }
    (self.width, self.height, self.pixels) = (width, height, pixels)
  }

  public func read(row: Int, into pixels: inout [UInt8]) {
    let start = row * width * 3
    pixels.replaceSubrange(0..<width * 3, with: self.pixels[start..<start + width * 3])
  }
}

/// An edited picture as the decoder left it. It gets the clip's own size when its pixels are asked for.
public struct EditedFrame: Sendable {
  /// (1, height, width, 3) of the working size, about -1...1.
  let picture: Tensor
  private let transform: FrameTransform

  init(_ picture: Tensor, _ transform: FrameTransform) { (self.picture, self.transform) = (picture, transform) }

  public var size: FrameSize { transform.outputSize }

  /// Hands out the rows from top to bottom as packed 8-bit RGB.
  public func rows(_ body: (_ row: Int, _ pixels: [UInt8]) throws -> Void) rethrows {
    try transform.rows(of: picture, body)
  }

  /// The picture as a frame.
  public func frame() throws -> Frame {
    var pixels: [UInt8] = []
    pixels.reserveCapacity(size.width * size.height * 3)
    rows { pixels += $1 }
    return try Frame(width: size.width, height: size.height, pixels: pixels)
  }
}
