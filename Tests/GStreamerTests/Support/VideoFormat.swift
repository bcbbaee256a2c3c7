import CGstCheck

/// Frames of some caps with packed RGB or RGBA, their rows padded as GStreamer wants it.
struct VideoFormat {
  let info: GstVideoInfo
  let width: Int, height: Int
  private let bytesPerPixel: Int

  init(_ caps: String) {
    GStreamer.start()
    let pointer = gst_caps_from_string(caps)
    defer { gst_caps_unref(pointer) }
    var info = GstVideoInfo()
    gst_video_info_from_caps(&info, pointer)
    self.info = info
    (width, height) = (Int(info.width), Int(info.height))
    bytesPerPixel = Int(gst_video_format_get_info(info.finfo.pointee.format).pointee.n_components)
  }

  private var row: Int { width * bytesPerPixel }
  private var stride: Int { Int(info.stride.0) }

  /// A picture that moves with `index`.
  func pattern(_ index: Int) -> Pixels {
    Pixels(
      bytes: (0..<height).flatMap { y in
        (0..<width).flatMap { x in
          (0..<bytesPerPixel).map { channel in
            channel == 3
              ? UInt8(truncatingIfNeeded: 255 - x) : UInt8(truncatingIfNeeded: 3 * x + (5 + channel) * y + 11 * index)
          }
        }
      })
  }

  /// A buffer with packed pixels.
  func buffer(_ pixels: Pixels) -> UnsafeMutablePointer<GstBuffer> {
    guard let buffer = gst_buffer_new_allocate(nil, info.size, nil) else { fatalError("no memory") }
    fill(buffer, pixels)
    return buffer
  }

  func fill(_ buffer: UnsafeMutablePointer<GstBuffer>, _ pixels: Pixels) {
    for y in 0..<height {
      let bytes = Array(pixels.bytes[y * row..<(y + 1) * row])
      gst_buffer_fill(buffer, gsize(y * stride), bytes, gsize(row))
    }
  }

  /// A buffer's pixels, packed.
  func pixels(_ buffer: UnsafeMutablePointer<GstBuffer>) -> Pixels {
    var all = [UInt8](repeating: 0, count: Int(gst_buffer_get_size(buffer)))
    let count = all.count
    all.withUnsafeMutableBytes { _ = gst_buffer_extract(buffer, 0, $0.baseAddress, gsize(count)) }
    return Pixels(bytes: (0..<height).flatMap { all[$0 * stride..<$0 * stride + row] })
  }
}

/// Packed pixels, which a failed comparison shall not print.
struct Pixels: Equatable, CustomStringConvertible, CustomDebugStringConvertible {
  let bytes: [UInt8]

  var description: String {
    "\(bytes.count) bytes of mean \(Double(bytes.reduce(0) { $0 + Int($1) }) / Double(bytes.count))"
  }
  var debugDescription: String { description }

  func meanDifference(_ other: Pixels) -> Double {
    guard bytes.count == other.bytes.count, !bytes.isEmpty else { return .infinity }
    return Double(zip(bytes, other.bytes).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }) / Double(bytes.count)
  }
}
