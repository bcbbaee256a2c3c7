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
  /// The last line, until it is known how long it stays and whether another one begins with it.
  private var pending: SubtitleLine?

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
      output = try makeOutput(
        parameters, codec.pointee.id == AV_CODEC_ID_MOV_TEXT ? CopyRoute.lineTimeBase : AVRational(num: 1, den: 1000))
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

  func process(_ packet: Packet?, write: (Packet) throws -> Void) throws {
    guard let packet else { return try flush(write) }
    guard let line = try decode(packet) else { return }
    if let pending {
      // MP4 shows one line at a time.
      if encoder.pointee.codec_id == AV_CODEC_ID_MOV_TEXT, pending.begins(with: line) { return pending.add(line) }
      pending.end = pending.end ?? min(max(line.begin, pending.begin), pending.latestEnd)
      try flush(write)
    }
    pending = line
  }

  func reach(_ time: Timestamp, write: (Packet) throws -> Void) throws {
    if let pending, pending.end != nil || time >= pending.latestEnd { try flush(write) }
  }

  private func decode(_ packet: Packet) throws -> SubtitleLine? {
    var subtitle = AVSubtitle()
    var isComplete: Int32 = 0
    let code = avcodec_decode_subtitle2(decoder.context, &subtitle, &isComplete, packet.pointer)
    guard code >= 0, isComplete != 0 else {
      if code < 0 { noteError(code) }
      return nil
    }
    return SubtitleLine(subtitle)
  }

  private func flush(_ write: (Packet) throws -> Void) throws {
    guard let line = pending else { return }
    pending = nil
    let encoded = try Packet()
    let capacity: Int32 = 1 << 16
    try check(av_new_packet(encoded.pointer, capacity), "memory for a subtitle", as: .io)
    let size = line.encode(with: encoder, into: encoded.pointer.pointee.data, capacity: capacity)
    guard size >= 0 else { return noteError(size) }
    av_shrink_packet(encoded.pointer, size)
    encoded.timeBase = microsecondTimeBase
    encoded.presentationTime = line.begin
    encoded.decodingTime = line.begin
    encoded.duration = line.length
    try write(encoded)
  }

  private func noteError(_ code: Int32) {
    if hasWarned { return }
    hasWarned = true
    warn(MediaError(code: code, "\(name): converting a subtitle to \(codecName)", as: .badData).description)
  }
}
