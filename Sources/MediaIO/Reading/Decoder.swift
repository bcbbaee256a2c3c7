import CLibAV

/// A decoder opened for one stream.
final class Decoder {
  let context: UnsafeMutablePointer<AVCodecContext>

  init(stream: UnsafeMutablePointer<AVStream>, in name: String, maximumPixels: Int? = nil) throws {
    let parameters = stream.pointee.codecpar!
    let codecName = String(cString: avcodec_get_name(parameters.pointee.codec_id))
    guard let codec = Decoder.transparent(for: stream) ?? avcodec_find_decoder(parameters.pointee.codec_id) else {
      throw MediaError(.badData, "\(name): libav has no decoder for \(codecName)")
    }
    guard let context = avcodec_alloc_context3(codec) else { throw MediaError(.io, "out of memory for a decoder") }
    self.context = context
    try check(avcodec_parameters_to_context(context, parameters), "\(name): \(codecName)", as: .badData)
    context.pointee.pkt_timebase = stream.pointee.time_base
    context.pointee.thread_count = 0
    if let maximumPixels { context.pointee.max_pixels = Int64(maximumPixels) }
    try check(avcodec_open2(context, codec, nil), "\(name): opening the \(codecName) decoder", as: .badData)
  }

  /// The decoder that reads a WebM's transparency, where there is some; libav's own leaves it out.
  private static func transparent(for stream: UnsafeMutablePointer<AVStream>) -> UnsafePointer<AVCodec>? {
    guard
      OptionDictionary.entries(of: stream.pointee.metadata).contains(where: {
        $0.0.lowercased() == "alpha_mode" && $0.1 == "1"
      })
    else { return nil }
    switch stream.pointee.codecpar.pointee.codec_id {
    case AV_CODEC_ID_VP8: return avcodec_find_decoder_by_name("libvpx")
    case AV_CODEC_ID_VP9: return avcodec_find_decoder_by_name("libvpx-vp9")
    default: return nil
    }
  }

  deinit {
    var context: UnsafeMutablePointer<AVCodecContext>? = context
    avcodec_free_context(&context)
  }

  /// - Parameter packet: nil: the end.
  /// - Returns: 0, or an error code of libav.
  func send(_ packet: Packet?) -> Int32 { avcodec_send_packet(context, packet?.pointer) }

  /// - Returns: 0, or an error code of libav (-EAGAIN: send more, AVERROR_EOF: that was all).
  func receive(into frame: Frame) -> Int32 { avcodec_receive_frame(context, frame.pointer) }
}
