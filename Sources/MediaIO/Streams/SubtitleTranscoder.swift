import CLibAV
import Glibc

/// Text subtitles in a codec the output container cannot hold, on their way into one that it can.
final class SubtitleTranscoder: PacketRoute {
  let output: UnsafeMutablePointer<AVStream>
  let codecName: String
  private let decoder: Decoder
  private let encoder: UnsafeMutablePointer<AVCodecContext>
  private let name: String
  private let warn: (String) -> Void
  private var hasWarned = false

  init(
    _ source: UnsafeMutablePointer<AVStream>, in name: String, to codec: UnsafePointer<AVCodec>,
    makeOutput: (UnsafeMutablePointer<AVCodecParameters>, AVRational) throws -> UnsafeMutablePointer<AVStream>,
    warn: @escaping (String) -> Void
  ) throws {
    self.name = name
    self.warn = warn
    codecName = String(cString: codec.pointee.name)
    decoder = try Decoder(stream: source, in: name)
    guard let encoder = avcodec_alloc_context3(codec) else { throw MediaError(.io, "out of memory for an encoder") }
    self.encoder = encoder
    do {
      encoder.pointee.time_base = microsecondTimeBase
      let header = decoder.context.pointee
      if let bytes = header.subtitle_header, header.subtitle_header_size > 0 {
        let size = Int(header.subtitle_header_size)
        // Freed with the encoder; the text encoders read it up to a zero byte.
        encoder.pointee.subtitle_header = av_mallocz(size + 1)?.assumingMemoryBound(to: UInt8.self)
        encoder.pointee.subtitle_header?.update(from: bytes, count: size)
        encoder.pointee.subtitle_header_size = header.subtitle_header_size
      }
      try check(avcodec_open2(encoder, codec, nil), "encoder \(codecName)", as: .usage)
      var parameters = avcodec_parameters_alloc()
      defer { avcodec_parameters_free(&parameters) }
      guard let parameters else { throw MediaError(.io, "out of memory for a stream") }
      try check(avcodec_parameters_from_context(parameters, encoder), "encoder \(codecName)", as: .io)
      output = try makeOutput(parameters, AVRational(num: 1, den: 1000))
    } catch {
      var context: UnsafeMutablePointer<AVCodecContext>? = encoder
      avcodec_free_context(&context)
      throw error
    }
  }

  deinit {
    var context: UnsafeMutablePointer<AVCodecContext>? = encoder
    avcodec_free_context(&context)
  }

  func process(_ packet: Packet?, write: (Packet, AVRational) throws -> Void) throws {
    guard let packet else { return }
    var subtitle = AVSubtitle()
    var isComplete: Int32 = 0
    let code = avcodec_decode_subtitle2(decoder.context, &subtitle, &isComplete, packet.pointer)
    guard code >= 0, isComplete != 0 else {
      if code < 0 { noteError(code) }
      return
    }
    defer { avsubtitle_free(&subtitle) }
    // A line has its times in the packet, in milliseconds after `pts`; the output wants them in its own.
    let begin = subtitle.pts + Int64(subtitle.start_display_time) * 1000
    let length = Int64(subtitle.end_display_time) - Int64(subtitle.start_display_time)
    guard subtitle.pts != FATEZERO_AV_NOPTS_VALUE, length > 0, subtitle.num_rects > 0 else { return }
    subtitle.pts = begin
    subtitle.end_display_time = UInt32(length)
    subtitle.start_display_time = 0

    let encoded = try Packet()
    let capacity: Int32 = 1 << 16
    try check(av_new_packet(encoded.pointer, capacity), "memory for a subtitle", as: .io)
    let size = avcodec_encode_subtitle(encoder, encoded.pointer.pointee.data, capacity, &subtitle)
    guard size >= 0 else { return noteError(size) }
    av_shrink_packet(encoded.pointer, size)
    encoded.pointer.pointee.pts = begin
    encoded.pointer.pointee.dts = begin
    encoded.pointer.pointee.duration = length * 1000
    try write(encoded, microsecondTimeBase)
  }

  private func noteError(_ code: Int32) {
    if hasWarned { return }
    hasWarned = true
    warn(MediaError(code: code, "\(name): converting a subtitle to \(codecName)", as: .badData).description)
  }
}
