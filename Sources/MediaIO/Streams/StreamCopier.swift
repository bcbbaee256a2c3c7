import CLibAV
import Text

/// Takes every stream beside the video into one output: as it is where the container can hold it, converted where the
/// container has a default for it, else not, with a warning.
///
/// Packets wait here until the video has come as far as they are, since edited frames arrive much later than sound.
final class StreamCopier {
  private struct Waiting {
    var packet: Packet
    var time: Int64?
  }

  /// The reader holds its copiers; the writer holds both.
  private unowned let reader: MediaReader
  private let context: UnsafeMutablePointer<AVFormatContext>
  private let warn: (String) -> Void
  private var routes: [Int32: any PacketRoute] = [:]
  private var timeBases: [Int32: AVRational] = [:]
  private var waiting: [Waiting] = []

  init(reader: MediaReader, output context: UnsafeMutablePointer<AVFormatContext>, warn: @escaping (String) -> Void) {
    self.reader = reader
    self.context = context
    self.warn = warn
  }

  private var format: UnsafePointer<AVOutputFormat> { context.pointee.oformat }
  private var formatName: String { String(cString: format.pointee.name) }
  private var isMP4: Bool { format.pointee.codec_tag != nil && StreamCopier.mp4Family.contains(formatName) }
  private static let mp4Family: Set<String> = ["mp4", "mov", "ipod", "3gp", "3g2", "psp", "f4v", "ismv"]

  // MARK: Streams

  /// Adds an output stream for one of the source's, if the container can have it in any form.
  func add(_ source: UnsafeMutablePointer<AVStream>) throws {
    if source.isChapterTrack { return }
    let route: (any PacketRoute)?
    do {
      route = try self.route(for: source)
    } catch {
      warn("\(source.summary) of \(reader.name) is left out: \(error)")
      return
    }
    guard let route else {
      // The muxer makes a new timecode track from the metadata.
      let timecode: UInt32 = 0x6463_6d74
      if isMP4 && source.pointee.codecpar.pointee.codec_tag == timecode { return }
      warn("\(formatName) cannot hold \(source.summary) of \(reader.name): it is left out")
      return
    }
    av_dict_copy(&route.output.pointee.metadata, source.pointee.metadata, 0)
    route.output.pointee.disposition = source.pointee.disposition
    routes[source.pointee.index] = route
    timeBases[source.pointee.index] = source.pointee.time_base
  }

  private func route(for source: UnsafeMutablePointer<AVStream>) throws -> (any PacketRoute)? {
    // Formats for one picture stream only: y4m, raw frames, pictures.
    guard format.pointee.audio_codec != AV_CODEC_ID_NONE else { return nil }
    let parameters = source.pointee.codecpar.pointee
    if canHold(parameters) {
      return try CopyRoute(source, to: newStream(), in: format, keepsNegativeTimes: isMP4)
    }
    switch parameters.codec_type {
    case AVMEDIA_TYPE_AUDIO:
      guard avcodec_find_decoder(parameters.codec_id) != nil,
        let codec = avcodec_find_encoder(format.pointee.audio_codec)
      else { return nil }
      return try AudioTranscoder(
        source, in: reader.name, to: codec, globalHeader: format.pointee.flags & AVFMT_GLOBALHEADER != 0,
        makeOutput: newStream, warn: warn)
    case AVMEDIA_TYPE_SUBTITLE:
      let target = isMP4 ? AV_CODEC_ID_MOV_TEXT : format.pointee.subtitle_codec
      guard isText(parameters.codec_id), isText(target), let codec = avcodec_find_encoder(target),
        avcodec_find_decoder(parameters.codec_id) != nil
      else { return nil }
      return try SubtitleTranscoder(source, in: reader.name, to: codec, makeOutput: newStream, warn: warn)
    default: return nil
    }
  }

  private func newStream() throws -> UnsafeMutablePointer<AVStream> {
    guard let stream = avformat_new_stream(context, nil) else { throw MediaError(.io, "out of memory for a stream") }
    return stream
  }

  private func canHold(_ parameters: AVCodecParameters) -> Bool {
    if parameters.codec_type == AVMEDIA_TYPE_ATTACHMENT {
      return formatName == "matroska" && parameters.extradata_size > 0
    }
    if parameters.codec_id == AV_CODEC_ID_NONE { return false }
    switch avformat_query_codec(format, parameters.codec_id, FF_COMPLIANCE_EXPERIMENTAL) {
    case 1: return true
    case 0: return false
    default:
      // The muxer does not tell (MPEG-TS): it takes compressed sound and its own subtitles.
      switch parameters.codec_type {
      case AVMEDIA_TYPE_AUDIO: return !String(cString: avcodec_get_name(parameters.codec_id)).begins(with: "pcm_")
      case AVMEDIA_TYPE_SUBTITLE:
        return parameters.codec_id == AV_CODEC_ID_DVB_SUBTITLE || parameters.codec_id == AV_CODEC_ID_DVB_TELETEXT
      case AVMEDIA_TYPE_VIDEO: return true
      default: return false
      }
    }
  }

  private func isText(_ codec: AVCodecID) -> Bool {
    (avcodec_descriptor_get(codec)?.pointee.props ?? 0) & AV_CODEC_PROP_TEXT_SUB != 0
  }

  // MARK: Packets

  /// Called by the reader; the packet's timestamps are those of the chosen part.
  func receive(_ packet: Packet) {
    guard let timeBase = timeBases[packet.pointer.pointee.stream_index] else { return }
    waiting.append(Waiting(packet: packet, time: packet.microseconds(in: timeBase)))
  }

  /// Writes what is due once the video is at `time` (microseconds).
  func write(until time: Int64) throws {
    let due = waiting.filter { ($0.time ?? time) <= time }
    waiting.removeAll { ($0.time ?? time) <= time }
    for item in due { try process(item.packet) }
  }

  /// Writes the rest, up to the end of the chosen part.
  func finish() throws {
    let part = reader.chosenPart
    try write(until: part.end.map { $0 - part.shift - 1 } ?? Int64.max)
    waiting = []
    for route in routes.sorted(by: { $0.key < $1.key }) { try process(nil, by: route.value) }
  }

  private func process(_ packet: Packet) throws {
    if let route = routes[packet.pointer.pointee.stream_index] { try process(packet, by: route) }
  }

  private func process(_ packet: Packet?, by route: any PacketRoute) throws {
    try route.process(packet) { packet, timeBase in
      av_packet_rescale_ts(packet.pointer, timeBase, route.output.pointee.time_base)
      packet.pointer.pointee.stream_index = route.output.pointee.index
      packet.pointer.pointee.pos = -1
      try check(av_interleaved_write_frame(context, packet.pointer), "writing \(formatName)", as: .io)
    }
  }
}
