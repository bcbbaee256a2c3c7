import CLibAV

/// Owner of an `AVFrame`: decoded pixels or samples.
final class Frame {
  let pointer: UnsafeMutablePointer<AVFrame>

  init() throws {
    guard let frame = av_frame_alloc() else { throw MediaError(.io, "out of memory for a frame") }
    pointer = frame
  }

  /// An empty picture with rows aligned as libav's fast paths want them.
  convenience init(width: Int32, height: Int32, format: AVPixelFormat) throws {
    try self.init()
    pointer.pointee.width = width
    pointer.pointee.height = height
    pointer.pointee.format = format.rawValue
    try check(av_frame_get_buffer(pointer, 0), "memory for a \(width)x\(height) frame", as: .io)
  }

  deinit {
    var frame: UnsafeMutablePointer<AVFrame>? = pointer
    av_frame_free(&frame)
  }

  // MARK: Times

  /// Seconds per tick of the frame's times. Setting it converts nothing.
  var timeBase: AVRational {
    get { pointer.pointee.time_base }
    set { pointer.pointee.time_base = newValue }
  }

  /// When it is shown.
  var time: Timestamp? {
    get { Timestamp(pointer.pointee.pts, timeBase) }
    set { pointer.pointee.pts = newValue.ticks(in: timeBase) }
  }

  /// How long it is shown; 0 where that is not known.
  var duration: Timestamp {
    get { Timestamp(clamping: max(0, fatezero_frame_duration(pointer)), timeBase) }
    set { fatezero_set_frame_duration(pointer, max(0, newValue.ticks(in: timeBase))) }
  }

  /// Converts all times.
  func rescale(to base: AVRational) {
    let (moment, length) = (time, duration)
    timeBase = base
    (time, duration) = (moment, length)
  }

  var pixelFormat: AVPixelFormat { AVPixelFormat(pointer.pointee.format) }

  // MARK: Packed pixels

  /// The picture's rows without padding; packed formats only.
  func packedRows(bytesPerPixel: Int) -> [UInt8] {
    let height = Int(pointer.pointee.height)
    let row = Int(pointer.pointee.width) * bytesPerPixel
    let stride = Int(pointer.pointee.linesize.0)
    guard let data = pointer.pointee.data.0 else { return [] }
    return [UInt8](unsafeUninitializedCapacity: height * row) { buffer, count in
      guard let start = buffer.baseAddress else { return }
      for y in 0..<height { (start + y * row).initialize(from: data + y * stride, count: row) }
      count = height * row
    }
  }

  /// Fills a packed picture from rows without padding.
  func setPackedRows(_ bytes: [UInt8], bytesPerPixel: Int) {
    let height = Int(pointer.pointee.height)
    let row = Int(pointer.pointee.width) * bytesPerPixel
    let stride = Int(pointer.pointee.linesize.0)
    guard let data = pointer.pointee.data.0, bytes.count == height * row else { return }
    bytes.withUnsafeBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return }
      for y in 0..<height { (data + y * stride).update(from: start + y * row, count: row) }
    }
  }
}
