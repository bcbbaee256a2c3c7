import CFateZero
import FateZero
import Glibc

/// A picture in the caller's memory, checked.
struct Picture: FrameRows {
  let size: FrameSize
  let pts: Int64
  private let layout: Layout
  private let top: UnsafeMutablePointer<UInt8>
  private let stride: Int

  /// Where the samples of a pixel lie; green is always in the middle, alpha last.
  private struct Layout {
    let bytes: Int
    let red: Int, blue: Int

    init?(_ format: fatezero_pixel_format) {
      switch format {
      case FATEZERO_RGB24: (bytes, red, blue) = (3, 0, 2)
      case FATEZERO_BGR24: (bytes, red, blue) = (3, 2, 0)
      case FATEZERO_RGBA32: (bytes, red, blue) = (4, 0, 2)
      case FATEZERO_BGRA32: (bytes, red, blue) = (4, 2, 0)
      default: return nil
      }
    }

    var hasAlpha: Bool { bytes == 4 }
    static let alpha = 3
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

  func read(row: Int, into pixels: inout [UInt8]) {
    let source = top + row * stride
    pixels.withUnsafeMutableBufferPointer { target in
      for column in 0..<size.width {
        let pixel = source + column * layout.bytes
        target[column * 3] = pixel[layout.red]
        target[column * 3 + 1] = pixel[1]
        target[column * 3 + 2] = pixel[layout.blue]
      }
    }
  }

  /// The alpha of all pixels, (height, width); nil where all are opaque.
  func alpha() throws -> AlphaPlane? {
    guard layout.hasAlpha, !isOpaque else { return nil }
    let plane = try AlphaPlane(size)
    for row in 0..<size.height {
      let (source, target) = (top + row * stride, plane.row(row))
      for column in 0..<size.width { target[column] = source[column * layout.bytes + Layout.alpha] }
    }
    return plane
  }

  private var isOpaque: Bool {
    for row in 0..<size.height {
      let source = top + row * stride
      for column in 0..<size.width where source[column * layout.bytes + Layout.alpha] != 255 { return false }
    }
    return true
  }

  /// Fills the picture.
  /// - Throws: `Failure` where it has another size.
  func write(_ frame: EditedFrame, alpha: AlphaPlane?) throws {
    guard size == frame.size else {
      throw Failure(FATEZERO_FRAMES, "the frame has room for \(size) pixels where the clip has \(frame.size)")
    }
    frame.rows { row, pixels in
      let target = top + row * stride
      pixels.withUnsafeBufferPointer { source in
        for column in 0..<size.width {
          let pixel = target + column * layout.bytes
          pixel[layout.red] = source[column * 3]
          pixel[1] = source[column * 3 + 1]
          pixel[layout.blue] = source[column * 3 + 2]
        }
      }
      guard layout.hasAlpha else { return }
      let values = alpha?.row(row)
      for column in 0..<size.width { target[column * layout.bytes + Layout.alpha] = values?[column] ?? 255 }
    }
  }
}

/// The alpha of a frame, kept until the edited frame is handed out. Written once, by who makes it.
final class AlphaPlane: @unchecked Sendable {
  private let base: UnsafeMutablePointer<UInt8>
  private let width: Int

  init(_ size: FrameSize) throws {
    guard let memory = malloc(size.width * size.height) else {
      throw Failure(FATEZERO_MEMORY, "the system has no memory for the alpha of a frame of \(size) pixels")
    }
    base = memory.assumingMemoryBound(to: UInt8.self)
    width = size.width
  }

  func row(_ row: Int) -> UnsafeMutablePointer<UInt8> { base + row * width }

  deinit { free(base) }
}
