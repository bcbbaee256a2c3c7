import CLibAV

/// Owner of an `AVPacket`: compressed data of one stream.
final class Packet {
  let pointer: UnsafeMutablePointer<AVPacket>

  init() throws {
    guard let packet = av_packet_alloc() else { throw MediaError(.io, "out of memory for a packet") }
    pointer = packet
  }

  /// A second reference to the same data.
  init(sharing packet: Packet) throws {
    guard let copy = av_packet_clone(packet.pointer) else { throw MediaError(.io, "out of memory for a packet") }
    pointer = copy
  }

  deinit {
    var packet: UnsafeMutablePointer<AVPacket>? = pointer
    av_packet_free(&packet)
  }
}

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

  var pixelFormat: AVPixelFormat { AVPixelFormat(pointer.pointee.format) }
}
