import CLibAV
import Glibc
import Text

/// Edited frames into a file, a pipe or pictures, with the sound, subtitles, chapters and metadata of the clip they
/// come from.
///
/// A file has its final name only after `finish()`. Several writers may be made from one reader, before its first
/// frame is read.
public final class MediaWriter {
  /// The path, or "standard output".
  public let name: String
  /// What is written, for people: "mp4: libx264 (crf=18), yuv420p, 512x512".
  public let summary: String

  private let width: Int
  private let height: Int
  private let reader: MediaReader
  private let file: OutputFile
  private let graph: FilterGraph
  private let hasFilter: Bool
  private let encoder: VideoEncoder
  private let context: UnsafeMutablePointer<AVFormatContext>
  private let video: UnsafeMutablePointer<AVStream>
  private let copier: StreamCopier
  private let rate: AVRational
  /// Set where the container has one frame rate and no timestamps.
  private let oneRate: Bool

  private enum State { case writing, finished, abandoned }
  private var state = State.writing
  private var frameCount = 0
  private var lastTimestamp: Int64?

  /// - Parameters:
  ///   - path: `-` for standard output, a file, a FIFO, a device, a directory or a pattern of pictures (`f%05d.png`).
  ///   - source: where the frames came from: gives timing, colours, the other streams, chapters and metadata.
  ///   - width: size of the frames that will be written, in pixels.
  ///   - warn: told what the output cannot hold.
  ///   - isCancelled: asked while waiting.
  /// - Throws: `MediaError`; nothing is left behind then.
  public init(
    path: String, options: OutputOptions = OutputOptions(), source reader: MediaReader, width: Int, height: Int,
    warn: @escaping (String) -> Void = { _ in }, isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws {
    guard 1...65536 ~= width, 1...65536 ~= height else {
      throw MediaError(.usage, "a clip of \(width)x\(height) pixels cannot be written")
    }
    self.reader = reader
    self.width = width
    self.height = height
    file = try OutputFile(path: path, options: options, input: reader.identity, isCancelled: isCancelled)
    name = file.name
    let format = file.format
    let formatName = String(cString: format.pointee.name)
    let codec =
      try options.videoCodec.map { try EncoderDefaults.codec(named: $0) }
      ?? EncoderDefaults.codec(for: format, path: path)

    let input = MediaWriter.input(from: reader, width: width, height: height)
    graph = try FilterGraph(video: input, description: options.filter ?? "")
    hasFilter = options.filter?.isEmpty == false
    var filtered = graph.video
    if filtered.frameRate.num <= 0 || filtered.frameRate.den <= 0 { filtered.frameRate = input.frameRate }
    rate = filtered.frameRate

    let timing = try MediaWriter.timing(of: reader, outputFilters: graph.filterNames)
    let isPictures = formatName.begins(with: "image2")
    let isMPEG = codec.pointee.id == AV_CODEC_ID_MPEG1VIDEO || codec.pointee.id == AV_CODEC_ID_MPEG2VIDEO
    oneRate = isMPEG || !MediaWriter.carriesTimes(format)
    if oneRate && timing == .variable {
      throw MediaWriter.variableRate(reader.name, isMPEG ? "MPEG video" : formatName)
    }
    if oneRate || isPictures || timing == .constant(onGrid: true) {
      filtered.timeBase = av_inv_q(rate)
    } else if codec.pointee.id == AV_CODEC_ID_MPEG4 && filtered.timeBase.den > 65535 {
      // The finest clock MPEG-4 has room for.
      filtered.timeBase = AVRational(num: 1, den: 60000)
    }

    let pixelFormat = try EncoderDefaults.pixelFormat(
      codec: codec, asked: options.pixelFormat, filtered: filtered, source: reader.picture.pixelFormat)
    let defaults = EncoderDefaults.options(for: codec, given: options.encoderOptions)
    let settings = OptionDictionary(defaults + options.encoderOptions)
    encoder = try VideoEncoder(
      codec: codec, pixelFormat: pixelFormat, video: filtered, picture: reader.picture,
      globalHeader: format.pointee.flags & AVFMT_GLOBALHEADER != 0, options: settings)
    let shown = (defaults.filter { $0.0 != "x265-params" } + options.encoderOptions).map { "\($0)=\($1)" }
    summary =
      "\(formatName): \(String(cString: codec.pointee.name))"
      + (shown.isEmpty ? "" : " (\(shown.joined(separator: ", ")))")
      + ", \(pixelFormat.name), \(filtered.width)x\(filtered.height)"

    var allocated: UnsafeMutablePointer<AVFormatContext>?
    try check(avformat_alloc_output_context2(&allocated, format, nil, file.url), name, as: .cannotCreate)
    guard let context = allocated else { throw MediaError(.io, "\(name): out of memory") }
    self.context = context
    copier = StreamCopier(reader: reader, output: context, warn: warn)
    // Takes what the container's authors call experimental, like FLAC in MP4: it was in the source.
    context.pointee.strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL
    // Matroska would make room before 0 for an encoder's delay, which it notes already where there is any.
    if ["matroska", "webm"].contains(formatName), reader.firstTimestamp >= 0 { context.pointee.avoid_negative_ts = 0 }
    do {
      video = try MediaWriter.addStreams(to: context, from: reader, encoder: encoder, rate: rate, copier: copier)
    } catch {
      avformat_free_context(context)
      throw error
    }
    // From here on `deinit` cleans up.
    try MediaWriter.copyDescription(to: context, from: reader, metadata: options.metadata, warn: warn)
    try file.open(for: context)
    if file.isSinglePicture { settings["update"] = "1" }
    if !file.isSeekable, ["mp4", "mov", "ipod"].contains(formatName), settings["movflags"] == nil {
      settings["movflags"] = "frag_keyframe+empty_moov+default_base_moof"
    }
    try check(avformat_write_header(context, &settings.pointer), "writing \(name)", as: .cannotCreate)
    if let unknown = settings.names.first {
      throw MediaError(
        .usage,
        "--encoder-option \(unknown): neither the encoder \(String(cString: codec.pointee.name)) nor the format "
          + "\(formatName) has it")
    }
    try file.checkWrites()
    try reader.add(copier)
  }

  deinit {
    abandon()
    avformat_free_context(context)
  }

  // MARK: Defaults

  /// The encoder an output gets unless one is named, by libav's name.
  /// - Throws: a usage error for a path whose container is unknown or holds no video.
  public static func defaultCodec(for path: String, format: String? = nil) throws -> String {
    LibAVLog.start()
    let container = try OutputFile.format(for: path, named: format)
    return String(cString: try EncoderDefaults.codec(for: container, path: path).pointee.name)
  }

  // MARK: Frames

  /// Writes one frame; its timestamp is in the reader's time base.
  /// - Throws: `MediaError`; call `abandon()` then.
  public func write(_ frame: VideoFrame) throws {
    guard state == .writing else { throw MediaError(.io, "\(name) is closed") }
    guard frame.width == width, frame.height == height, frame.pixels.count == width * height * 3 else {
      throw MediaError(.badData, "\(name) is \(width)x\(height), a frame came with \(frame.width)x\(frame.height)")
    }
    let picture = try Frame(width: Int32(width), height: Int32(height), format: AV_PIX_FMT_RGB24)
    picture.setPackedRows(frame.pixels, bytesPerPixel: 3)
    picture.pointer.pointee.pts = frame.timestamp
    picture.pointer.pointee.pkt_duration = frame.duration
    picture.pointer.pointee.sample_aspect_ratio =
      MediaWriter.input(from: reader, width: width, height: height).sampleAspect
    try graph.push(picture)
    try encodeFiltered()
    let base = AVRational(reader.info.timeBase)
    try copier.write(until: av_rescale_q(frame.timestamp, base, microsecondTimeBase))
    try file.checkWrites()
  }

  private func encodeFiltered() throws {
    while true {
      let frame = try Frame()
      guard try graph.pull(into: frame) == .frame else { return }
      if file.isSinglePicture && frameCount > 0 {
        throw MediaError(.usage, "\(name) is one picture, but there are more frames: use a name like %05d.png")
      }
      try encoder.encode(timed(frame), write: writeVideo)
      frameCount += 1
    }
  }

  /// Turns the filter's timestamps into the encoder's.
  private func timed(_ frame: Frame) throws -> Frame {
    let base = graph.timeBase
    let timestamp = frame.pointer.pointee.pts
    if oneRate, let lastTimestamp {
      let length = FrameTiming.frameLength(rate: rate, timeBase: base)
      // The finest step of the clip counts, which the filter's clock may be finer than.
      let step = max(1, AVRational(reader.info.timeBase).seconds / base.seconds)
      let tolerance = FrameTiming.tolerance(rate: rate, timeBase: base) + step
      if abs(Double(timestamp - lastTimestamp) - length) > tolerance {
        throw MediaWriter.variableRate(reader.name, String(cString: file.format.pointee.name))
      }
    }
    lastTimestamp = timestamp
    let target = encoder.context.pointee.time_base
    if oneRate {
      frame.pointer.pointee.pts = Int64(frameCount)
      frame.pointer.pointee.pkt_duration = 1
    } else {
      frame.pointer.pointee.pts = av_rescale_q(timestamp, base, target)
      // A filter may have made other frames out of those that had this duration.
      frame.pointer.pointee.pkt_duration =
        hasFilter
        ? av_rescale_q(1, av_inv_q(rate), target) : av_rescale_q(frame.pointer.pointee.pkt_duration, base, target)
    }
    return frame
  }

  private func writeVideo(_ packet: Packet) throws {
    av_packet_rescale_ts(packet.pointer, encoder.context.pointee.time_base, video.pointee.time_base)
    packet.pointer.pointee.stream_index = video.pointee.index
    try check(av_interleaved_write_frame(context, packet.pointer), "writing \(name)", as: .io)
  }

  // MARK: The end

  /// Writes what is still on its way and gives the file its name.
  /// - Throws: `MediaError`; call `abandon()` then.
  public func finish() throws {
    guard state == .writing else { throw MediaError(.io, "\(name) is closed") }
    try graph.push(nil)
    try encodeFiltered()
    guard frameCount > 0 else { throw MediaError(.badData, "\(name): no frame was written to it") }
    try encoder.encode(nil, write: writeVideo)
    try copier.finish()
    try check(av_write_trailer(context), "writing \(name)", as: .io)
    try file.commit()
    state = .finished
    reader.remove(copier)
  }

  /// Leaves nothing of an output that is not finished. Does nothing otherwise.
  public func abandon() {
    guard state == .writing else { return }
    state = .abandoned
    reader.remove(copier)
    file.discard()
  }

  // MARK: Making the output

  /// Whether every frame has a time of its own in this container, or, as with pictures, none needs one.
  private static func carriesTimes(_ format: UnsafePointer<AVOutputFormat>) -> Bool {
    // libav's own flag is missing from these.
    let more: Set<String> = [
      "mp4", "mov", "ipod", "3gp", "3g2", "psp", "f4v", "ismv", "dash", "hls", "smoothstreaming", "hds", "asf",
      "asf_stream", "ivf", "mpeg", "vob", "dvd", "svcd", "vcd", "rtp", "rtsp", "rtp_mpegts", "avif", "image2",
      "image2pipe", "ico",
    ]
    return format.pointee.flags & AVFMT_VARIABLE_FPS != 0 || more.contains(String(cString: format.pointee.name))
  }

  private static func input(from reader: MediaReader, width: Int, height: Int) -> FilterGraph.Video {
    let info = reader.info
    // Another size shows the same picture: the pixels' aspect makes up for it.
    var aspect = AVRational(info.sampleAspect)
    if aspect.num > 0, width != info.width || height != info.height {
      let scale = AVRational(num: Int32(info.width * height), den: Int32(info.height * width))
      aspect = av_mul_q(aspect, scale)
    }
    return FilterGraph.Video(
      width: Int32(width), height: Int32(height), pixelFormat: AV_PIX_FMT_RGB24,
      timeBase: AVRational(info.timeBase), sampleAspect: aspect, frameRate: AVRational(info.frameRate))
  }

  private static func timing(of reader: MediaReader, outputFilters: [String]) throws -> FrameTiming {
    if !FrameTiming.fixingFilters.isDisjoint(with: outputFilters) { return .constant(onGrid: true) }
    if !FrameTiming.changingFilters.isDisjoint(with: outputFilters) { return .unknown }
    return try reader.timing()
  }

  private static func variableRate(_ input: String, _ format: String) -> MediaError {
    MediaError(
      .usage,
      "\(input) has a variable frame rate and \(format) carries a single one: write NUT (--output-format nut), which "
        + "keeps every timestamp, or make the rate constant with --input-filter fps=25")
  }

  /// One output stream for each of the source's, in its order.
  private static func addStreams(
    to context: UnsafeMutablePointer<AVFormatContext>, from reader: MediaReader, encoder: VideoEncoder,
    rate: AVRational, copier: StreamCopier
  ) throws -> UnsafeMutablePointer<AVStream> {
    var video: UnsafeMutablePointer<AVStream>?
    for stream in reader.stream?.demuxer.streams ?? [] {
      if stream == reader.stream?.stream {
        let output = try addVideo(to: context, encoder: encoder, rate: rate)
        copyProperties(of: stream, to: output)
        video = output
      } else {
        try copier.add(stream)
      }
    }
    return try video ?? addVideo(to: context, encoder: encoder, rate: rate)
  }

  private static func addVideo(
    to context: UnsafeMutablePointer<AVFormatContext>, encoder: VideoEncoder, rate: AVRational
  ) throws -> UnsafeMutablePointer<AVStream> {
    guard let stream = avformat_new_stream(context, nil) else { throw MediaError(.io, "out of memory for a stream") }
    try check(
      avcodec_parameters_from_context(stream.pointee.codecpar, encoder.context), "describing the video", as: .io)
    stream.pointee.time_base = encoder.context.pointee.time_base
    stream.pointee.avg_frame_rate = rate
    stream.pointee.r_frame_rate = rate
    stream.pointee.sample_aspect_ratio = encoder.context.pointee.sample_aspect_ratio
    return stream
  }

  /// What is said about the video as a stream, but for how it was compressed and turned.
  private static func copyProperties(
    of source: UnsafeMutablePointer<AVStream>, to output: UnsafeMutablePointer<AVStream>
  ) {
    output.pointee.disposition = source.pointee.disposition
    let stale = ["BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS"]
    for (name, value) in OptionDictionary.entries(of: source.pointee.metadata) {
      if name == "encoder" || name == "rotate" || stale.contains(where: { name.begins(with: $0) }) { continue }
      av_dict_set(&output.pointee.metadata, name, value, 0)
    }
    let kept = [
      AV_PKT_DATA_MASTERING_DISPLAY_METADATA, AV_PKT_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_STEREO3D,
      AV_PKT_DATA_SPHERICAL,
    ]
    for type in kept {
      var size = 0
      guard let bytes = av_stream_get_side_data(source, type, &size),
        let copy = av_stream_new_side_data(output, type, size)
      else { continue }
      copy.update(from: bytes, count: size)
    }
  }

  private static func copyDescription(
    to context: UnsafeMutablePointer<AVFormatContext>, from reader: MediaReader, metadata: [(String, String)],
    warn: (String) -> Void
  ) throws {
    if let source = reader.stream?.demuxer.context {
      for (name, value) in OptionDictionary.entries(of: source.pointee.metadata) where name != "encoder" {
        av_dict_set(&context.pointee.metadata, name, value, 0)
      }
      try Chapters.copy(from: source, part: reader.chosenPart, to: context)
      let formatName = String(cString: context.pointee.oformat.pointee.name)
      if context.pointee.nb_chapters > 0 && !Chapters.containers.contains(formatName) {
        warn("\(formatName) cannot hold the chapters of \(reader.name): they are left out")
      }
    }
    for (name, value) in metadata {
      // The clip's own words stay, above ours.
      let own = av_dict_get(context.pointee.metadata, name, nil, 0).flatMap { $0.pointee.value }
      let text = own.map { String(cString: $0) + "\n" + value } ?? value
      av_dict_set(&context.pointee.metadata, name, text, 0)
    }
  }
}

extension AVRational {
  init(_ rational: Rational) { self.init(num: Int32(rational.numerator), den: Int32(rational.denominator)) }
  var seconds: Double { av_q2d(self) }
}
