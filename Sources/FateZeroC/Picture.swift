import CFateZero
import FateZero

/// A picture in the caller's memory, checked.
struct Picture {
  let size: FrameSize
  let pts: Int64
  private let layout: Layout
  private let top: UnsafeMutablePointer<UInt8>
  private let stride: Int

  /// Where the samples of a pixel lie.
  private struct Layout {
    let bytes: Int
    let red: Int, blue: Int
    var hasAlpha: Bool { bytes == 4 }

    init?(_ format: fatezero_pixel_format) {
      switch format {
      case FATEZERO_RGB24: (bytes, red, blue) = (3, 0, 2)
      case FATEZERO_BGR24: (bytes, red, blue) = (3, 2, 0)
      case FATEZERO_RGBA32: (bytes, red, blue) = (4, 0, 2)
      case FATEZERO_BGRA32: (bytes, red, blue) = (4, 2, 0)
      default: return nil
      }
    }
  }

  /// - Parameter name: What messages call it.
  /// - Throws: `Failure` for a picture that cannot be one.
  init(_ pointer: UnsafePointer<fatezero_frame>?, named name: String = "frame") throws {
    let frame = try StructSize.read(
      pointer, over: fatezero_frame(), named: name, atLeast: MemoryLayout<fatezero_frame>.size)
    let sides = 1...Int32(1 << 16)
    guard sides.contains(frame.width), sides.contains(frame.height) else {
      throw Failure(
        FATEZERO_FRAMES, "\(name) has \(frame.width)x\(frame.height) pixels; each side must be 1 to \(sides.upperBound)"
      )
    }
    guard let layout = Layout(frame.format) else {
      throw Failure(FATEZERO_FRAMES, "\(name)->format is \(frame.format.rawValue), which is no fatezero_pixel_format")
    }
    guard let data = frame.data else { throw Failure.argument("\(name)->data is null") }
    let row = Int(frame.width) * layout.bytes
    guard frame.stride.magnitude >= row, frame.stride.magnitude <= Int.max >> 16 else {
      throw Failure(
        FATEZERO_FRAMES,
        "\(name)->stride is \(frame.stride) where a row of \(frame.width) pixels has \(row) bytes: too "
          + (frame.stride.magnitude < row ? "little" : "much"))
    }
    size = FrameSize(width: Int(frame.width), height: Int(frame.height))
    pts = frame.pts
    (self.layout, top, stride) = (layout, data, frame.stride)
  }

  /// The colours, and the alpha where a pixel is not opaque.
  func read() throws -> (frame: Frame, alpha: [UInt8]?) {
    let (width, height) = (size.width, size.height)
    let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { target, count in
      var position = 0
      for row in 0..<height {
        var source = top + row * stride
        for _ in 0..<width {
          target[position] = source[layout.red]
          target[position + 1] = source[1]
          target[position + 2] = source[layout.blue]
          position += 3
          source += layout.bytes
        }
      }
      count = position
    }
    var alpha: [UInt8]?
    if layout.hasAlpha {
      let values = [UInt8](unsafeUninitializedCapacity: width * height) { target, count in
        for row in 0..<height {
          for column in 0..<width { target[row * width + column] = top[row * stride + column * 4 + 3] }
        }
        count = width * height
      }
      if values.contains(where: { $0 != 255 }) { alpha = values }
    }
    return (try Frame(width: width, height: height, pixels: pixels), alpha)
  }

  /// Fills the picture.
  func write(_ frame: Frame, alpha: [UInt8]?) {
    for row in 0..<size.height {
      var target = top + row * stride
      var position = row * size.width * 3
      for column in 0..<size.width {
        target[layout.red] = frame.pixels[position]
        target[1] = frame.pixels[position + 1]
        target[layout.blue] = frame.pixels[position + 2]
        if layout.hasAlpha { target[3] = alpha?[row * size.width + column] ?? 255 }
        position += 3
        target += layout.bytes
      }
    }
  }
}
