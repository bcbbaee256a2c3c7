import CLibAV
import Text

/// Takes every stream beside the video into one output: as it is where the container can hold it, converted where the
/// container has a default for it, else not, with a warning.
///
/// Packets wait here until the video has come as far as they are, since edited frames arrive much later than sound.
final class StreamCopier {
  /// The reader holds its copiers; the writer holds both.
  private unowned let reader: MediaReader
  private let context: UnsafeMutablePointer<AVFormatContext>
  private let muxer: PacketMuxer
  private let warn: (String) -> Void
  private var routes: [Int32: any PacketRoute] = [:]
  private var waiting: [Packet] = []

  init(
    reader: MediaReader, output context: UnsafeMutablePointer<AVFormatContext>, muxer: PacketMuxer,
    warn: @escaping (String) -> Void
  ) {
    self.reader = reader
    self.context = context
    self.muxer = muxer
    self.warn = warn
  }

  private var format: UnsafePointer<AVOutputFormat> { context.pointee.oformat }
  private var formatName: String { String(cString: format.pointee.name) }
  private var isMP4: Bool { format.pointee.codec_tag != nil && StreamCopier.mp4Family.contains(formatName) }
  private static let mp4Family: Set<String> = ["mp4", "mov", "ipod", "3gp", "3g2", "psp", "f4v", "ismv"]

  // MARK: Streams

  /// Adds an output stream for one of the source's, if the container can have it in any form.
  func add(_ source: UnsafeMutablePointer<AVStream>, with trial: MuxerTrial) throws {
    if source.isChapterTrack { return }
    let route: (any PacketRoute)?
    do {
      route = try self.route(for: source, with: trial)
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
  }

  private func route(for source: UnsafeMutablePointer<AVStream>, with trial: MuxerTrial) throws -> (any PacketRoute)? {
    // Formats for one picture stream only: y4m, raw frames, pictures.
    guard format.pointee.audio_codec != AV_CODEC_ID_NONE else { return nil }
    let parameters = source.pointee.codecpar.pointee
    let codecs = ContainerCodecs(format)
    let makeOutput = { (parameters: UnsafeMutablePointer<AVCodecParameters>, timeBase: AVRational) in
      try trial.check(MuxerTrial.Candidate(parameters: parameters, timeBase: timeBase, source: source))
      return try self.newStream(parameters, timeBase)
    }
    var refusal: (any Error)?
    if codecs.canHold(parameters) {
      do {
        return try CopyRoute(source, in: format, keepsNegativeTimes: isMP4, makeOutput: makeOutput)
      } catch {
        refusal = error
      }
    }
    switch parameters.codec_type {
    case AVMEDIA_TYPE_AUDIO:
      guard avcodec_find_decoder(parameters.codec_id) != nil else { break }
      for codec in codecs.soundEncoders {
        do {
          return try AudioTranscoder(
            source, in: reader.name, to: codec, globalHeader: format.pointee.flags & AVFMT_GLOBALHEADER != 0,
            makeOutput: makeOutput, warn: warn)
        } catch {
          if refusal == nil { refusal = error }
        }
      }
    case AVMEDIA_TYPE_SUBTITLE:
      let target = isMP4 ? AV_CODEC_ID_MOV_TEXT : format.pointee.subtitle_codec
      guard isText(parameters.codec_id), isText(target), let codec = avcodec_find_encoder(target),
        avcodec_find_decoder(parameters.codec_id) != nil
      else { break }
      return try SubtitleTranscoder(source, in: reader.name, to: codec, makeOutput: makeOutput, warn: warn)
    default: break
    }
    if let refusal { throw refusal }
    return nil
  }

  private func newStream(
    _ parameters: UnsafeMutablePointer<AVCodecParameters>, _ timeBase: AVRational
  ) throws -> UnsafeMutablePointer<AVStream> {
    guard let stream = avformat_new_stream(context, nil) else { throw MediaError(.io, "out of memory for a stream") }
    try check(avcodec_parameters_copy(stream.pointee.codecpar, parameters), "describing a stream", as: .io)
    stream.pointee.time_base = timeBase
    return stream
  }

  private func isText(_ codec: AVCodecID) -> Bool {
    (avcodec_descriptor_get(codec)?.pointee.props ?? 0) & AV_CODEC_PROP_TEXT_SUB != 0
  }

  // MARK: Packets

  /// Called by the reader; the packet's times are those of the chosen part.
  func receive(_ packet: Packet) {
    if routes[packet.pointer.pointee.stream_index] != nil { waiting.append(packet) }
  }

  /// Writes what is due once the video is at `time`; nil: everything.
  func write(until time: Timestamp?) throws {
    func isDue(_ packet: Packet) -> Bool { time.map { (packet.time ?? $0) <= $0 } ?? true }
    let due = waiting.filter(isDue)
    waiting.removeAll(where: isDue)
    for packet in due where !isSubtitle(packet) { try process(packet) }
    // Lines may be stored in another order than that in which they begin.
    let lines = due.filter(isSubtitle).sorted { ($0.time ?? .zero) < ($1.time ?? .zero) }
    for packet in lines { try process(packet) }
    guard let time else { return }
    for route in routes.values { try route.reach(time) { try muxer.write($0, to: route.output) } }
  }

  private func isSubtitle(_ packet: Packet) -> Bool {
    routes[packet.pointer.pointee.stream_index]?.output.pointee.codecpar.pointee.codec_type == AVMEDIA_TYPE_SUBTITLE
  }

  /// Writes the rest, up to the end of the chosen part.
  func finish() throws {
    let part = reader.chosenPart
    if let end = part.end {
      // A packet at the very end belongs to what follows.
      waiting.removeAll { $0.time.map { $0 >= end - part.shift } ?? false }
    }
    try write(until: nil)
    for route in routes.sorted(by: { $0.key < $1.key }) { try process(nil, by: route.value) }
  }

  private func process(_ packet: Packet) throws {
    if let route = routes[packet.pointer.pointee.stream_index] { try process(packet, by: route) }
  }

  private func process(_ packet: Packet?, by route: any PacketRoute) throws {
    try route.process(packet) { try muxer.write($0, to: route.output) }
  }
}
