import Tensors

public struct FrameSize: Sendable, Hashable, CustomStringConvertible {
  public var width: Int, height: Int
  public init(width: Int, height: Int) { (self.width, self.height) = (width, height) }
  public var description: String { "\(width)x\(height)" }
}

/// Pixels cut from the sides before anything else.
public struct CropOffset: Sendable, Equatable {
  public var left: Int, right: Int, top: Int, bottom: Int
  public init(left: Int = 0, right: Int = 0, top: Int = 0, bottom: Int = 0) {
    (self.left, self.right, self.top, self.bottom) = (left, right, top, bottom)
  }
}

/// How a clip's frames become the network's pictures, and back.
public enum FrameGeometry: Sendable, Equatable {
  /// The whole frame is scaled to the working size, and the result back to the frame's own size.
  case whole
  /// As the reference's loader does: crop, the short side scaled to `imageSize`, the centre square; the result stays
  /// that square.
  case reference(imageSize: Int, offset: CropOffset)
}

/// The geometry of one clip: between frames of `frameSize` and pictures of `workingSize`.
struct FrameTransform: Sendable {
  let frameSize: FrameSize
  /// Size of the pictures that the network sees.
  let workingSize: FrameSize
  /// Size of the frames that come out.
  let outputSize: FrameSize
  private let crop: (left: Int, top: Int, size: FrameSize)
  private let toWork: Resampling
  private let window: (left: Int, top: Int, scaled: FrameSize)
  private let back: Resampling

  /// - Throws: `EditError` where the crop leaves so thin a strip that its scaled picture would fill the memory.
  init(_ geometry: FrameGeometry, frameSize: FrameSize, workingSize: FrameSize) throws {
    self.frameSize = frameSize
    switch geometry {
    case .whole:
      self.workingSize = workingSize
      outputSize = frameSize
      crop = (0, 0, frameSize)
      window = (0, 0, workingSize)
    case .reference(let imageSize, let offset):
      // Each offset is clamped so that one pixel stays.
      let left = min(max(offset.left, 0), frameSize.width - 1)
      let right = min(max(offset.right, 0), frameSize.width - left - 1)
      let top = min(max(offset.top, 0), frameSize.height - 1)
      let bottom = min(max(offset.bottom, 0), frameSize.height - top - 1)
      let size = FrameSize(width: frameSize.width - left - right, height: frameSize.height - top - bottom)
      crop = (left, top, size)
      let scaled = FrameTransform.referenceScaledSize(size, imageSize: imageSize)
      guard scaled.width * scaled.height <= 1 << 28 else {
        throw EditError(
          .settings, "the offset leaves \(size) pixels of \(frameSize): too thin to scale to \(imageSize)")
      }
      self.workingSize = FrameSize(width: imageSize, height: imageSize)
      outputSize = self.workingSize
      window = ((scaled.width - imageSize) / 2, (scaled.height - imageSize) / 2, scaled)
    }
    toWork = Resampling(from: crop.size, to: window.scaled)
    back = Resampling(from: self.workingSize, to: outputSize)
  }

  /// The short side becomes `imageSize`, the long one `int(size / short * long)`.
  static func referenceScaledSize(_ size: FrameSize, imageSize: Int) -> FrameSize {
    let short = min(size.width, size.height)
    func scaled(_ side: Int) -> Int {
      side == short ? imageSize : Int(Double(imageSize) / Double(short) * Double(side))
    }
    return FrameSize(width: scaled(size.width), height: scaled(size.height))
  }

  /// Samples as the network takes them, -1...1.
  private static let samples = (0...255).map { Float($0) / 255 * 2 - 1 }

  /// A frame as the encoder takes it, (1, height, width, 3) in -1...1.
  func picture(of frame: some FrameRows) throws -> Tensor {
    var picture = try TensorWriter(shape: [1, workingSize.height, workingSize.width, 3])
    var pixels = [UInt8](repeating: 0, count: frameSize.width * 3)
    let first = crop.left * 3
    let rows = window.top..<window.top + workingSize.height
    let columns = window.left * 3..<(window.left + workingSize.width) * 3
    toWork { row, line in
      frame.read(row: crop.top + row, into: &pixels)
      for index in line.indices { line[index] = FrameTransform.samples[Int(pixels[first + index])] }
    } write: { row, numbers in
      if rows.contains(row) { picture.append(numbers[columns]) }
    }
    return picture.finish()
  }

  /// The rows of a decoded picture, (1, height, width, 3) about -1...1, at the size of the frames that come out; values are
  /// rounded half to even.
  func rows(of picture: Tensor, _ body: (_ row: Int, _ pixels: [UInt8]) throws -> Void) rethrows {
    var pixels = [UInt8](repeating: 0, count: outputSize.width * 3)
    try back { row, line in
      picture.read(from: row * line.count, into: &line)
      for index in line.indices { line[index] = min(max(line[index] / 2 + 0.5, 0), 1) }
    } write: { row, numbers in
      for index in pixels.indices {
        pixels[index] = UInt8(min(max((numbers[index] * 255).rounded(.toNearestOrEven), 0), 255))
      }
      try body(row, pixels)
    }
  }
}
