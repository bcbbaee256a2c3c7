import CLibAV

/// Pictures as PNG files in memory.
public final class PNGEncoder {
  private let encoder: UnsafeMutablePointer<AVCodecContext>
  private let width: Int, height: Int

  /// - Throws: `MediaError`.
  public init(width: Int, height: Int) throws {
    (self.width, self.height) = (width, height)
    guard 1...65536 ~= width, 1...65536 ~= height else {
      throw MediaError(.usage, "a picture of \(width)x\(height) pixels cannot be written")
    }
    guard let codec = avcodec_find_encoder(AV_CODEC_ID_PNG), let encoder = avcodec_alloc_context3(codec) else {
      throw MediaError(.io, "this libavcodec has no PNG encoder")
    }
    self.encoder = encoder
    encoder.pointee.width = Int32(width)
    encoder.pointee.height = Int32(height)
    encoder.pointee.pix_fmt = AV_PIX_FMT_RGB24
    encoder.pointee.time_base = AVRational(num: 1, den: 25)
    encoder.pointee.thread_count = 1
    try check(avcodec_open2(encoder, codec, nil), "PNG encoder", as: .io)
  }

  deinit {
    var encoder: UnsafeMutablePointer<AVCodecContext>? = encoder
    avcodec_free_context(&encoder)
  }

  /// - Parameter pixels: height * width * 3 bytes, row by row, red first.
  public func encode(_ pixels: [UInt8]) throws -> [UInt8] {
    guard pixels.count == width * height * 3 else {
      throw MediaError(.usage, "a picture of \(width)x\(height) pixels needs \(width * height * 3) bytes")
    }
    let frame = try Frame(width: Int32(width), height: Int32(height), format: AV_PIX_FMT_RGB24)
    frame.setPackedRows(pixels, bytesPerPixel: 3)
    try check(avcodec_send_frame(encoder, frame.pointer), "PNG encoder", as: .io)
    let packet = try Packet()
    try check(avcodec_receive_packet(encoder, packet.pointer), "PNG encoder", as: .io)
    return [UInt8](UnsafeBufferPointer(start: packet.pointer.pointee.data, count: Int(packet.pointer.pointee.size)))
  }
}
