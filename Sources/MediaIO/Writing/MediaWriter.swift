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
  private let muxer: PacketMuxer
  private let copier: StreamCopier
  private let rate: AVRational
  /// Set where the container has one frame rate and no timestamps.
  private let oneRate: Bool
  /// Frames enter as rgba.
  private let keepsAlpha: Bool
  private let warn: (String) -> Void
  private var hasWarnedOfAlpha = false
  private var hasWarnedOfCaptions = false
  private var hasWarnedOfDynamicRange = false

  private enum State { case writing, finished, abandoned }
  private var state = State.writing
  private var frameCount = 0
  private var lastTime: Timestamp?

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

    self.warn = warn
    keepsAlpha =
      try options.keepsAttachments
      && MediaWriter.keepsAlpha(
        of: reader, size: (width, height), codec: codec, asked: options.pixelFormat, isBare: formatName == "rawvideo")
    let input = MediaWriter.input(from: reader, width: width, height: height, hasAlpha: keepsAlpha)
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
      codec: codec, asked: options.pixelFormat, filtered: filtered, source: reader.picture.pixelFormat,
      keepsAlpha: keepsAlpha)
    let codecName = String(cString: codec.pointee.name)
    let dynamicRange = options.keepsAttachments ? HighDynamicRange(MediaWriter.sideData(of: reader)) : nil
    let defaults = EncoderDefaults.options(
      for: codec, pixelFormat: pixelFormat, given: options.encoderOptions, dynamicRange: dynamicRange)
    if dynamicRange != nil, codecName != "libx265", !HighDynamicRange.containers.contains(formatName) {
      warn("\(formatName) cannot hold the mastering display and light level (HDR) of \(reader.name): they are left out")
    }
    let settings = OptionDictionary(defaults + options.encoderOptions)
    encoder = try VideoEncoder(
      codec: codec, pixelFormat: pixelFormat, video: filtered, picture: reader.picture,
      // Fields stay fields as long as nothing moves rows.
      fieldOrder: hasFilter || height != reader.info.height ? AV_FIELD_UNKNOWN : reader.fieldOrder,
      globalHeader: format.pointee.flags & AVFMT_GLOBALHEADER != 0, options: settings)
    let shown = (defaults.filter { $0.0 != "x265-params" } + options.encoderOptions).map { "\($0)=\($1)" }
    summary =
      "\(formatName): \(codecName)"
      + (shown.isEmpty ? "" : " (\(shown.joined(separator: ", ")))")
      + ", \(pixelFormat.name), \(filtered.width)x\(filtered.height)"

    var allocated: UnsafeMutablePointer<AVFormatContext>?
    try check(avformat_alloc_output_context2(&allocated, format, nil, file.url), name, as: .cannotCreate)
    guard let context = allocated else { throw MediaError(.io, "\(name): out of memory") }
    self.context = context
    muxer = PacketMuxer(context, name: name, warn: warn)
    copier = StreamCopier(reader: reader, output: context, muxer: muxer, warn: warn)
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
    let picture = try Frame(
      width: Int32(width), height: Int32(height), format: keepsAlpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24)
    if keepsAlpha {
      picture.setRows(rgb: frame.pixels, alpha: frame.attachments.alpha)
    } else {
      picture.setPackedRows(frame.pixels, bytesPerPixel: 3)
    }
    try frame.attachments.attach(to: picture)
    warnOfLosses(frame.attachments)
    let base = AVRational(reader.info.timeBase)
    let time = Timestamp(clamping: frame.timestamp, base)
    picture.timeBase = base
    picture.time = time
    picture.duration = Timestamp(clamping: frame.duration, base)
    picture.pointer.pointee.sample_aspect_ratio =
      MediaWriter.input(from: reader, width: width, height: height, hasAlpha: keepsAlpha).sampleAspect
    try graph.push(picture)
    try encodeFiltered()
    try copier.write(until: time)
    try file.checkWrites()
  }

  private func warnOfLosses(_ attachments: FrameAttachments) {
    if attachments.alpha != nil, !encoder.pixelFormat.hasAlpha || !keepsAlpha, !hasWarnedOfAlpha {
      hasWarnedOfAlpha = true
      warn(
        "\(name) cannot be transparent in \(encoder.pixelFormat.name): the transparency of \(reader.name) is left out; PNG "
          + "pictures keep it, .webm, and .mov with --video-codec qtrle or prores_ks")
    }
    if attachments.hasCaptions, !encoder.writesCaptions, !hasWarnedOfCaptions {
      hasWarnedOfCaptions = true
      warn(
        "\(name): this encoder writes no closed captions, and those of \(reader.name) are left out; libx264 and mpeg2video "
          + "keep them")
    }
    if !attachments.outdated.isEmpty, !hasWarnedOfDynamicRange {
      hasWarnedOfDynamicRange = true
      warn(
        "\(name): the \(attachments.outdated.sorted().joined(separator: " and ")) metadata of \(reader.name) is left out: "
          + "it describes the pictures before the edit")
    }
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

  /// Turns the filter's times into the encoder's.
  private func timed(_ frame: Frame) throws -> Frame {
    let time = frame.time ?? lastTime?.next ?? Timestamp(clamping: 0, frame.timeBase)
    if oneRate, let lastTime {
      let length = FrameTiming.frameLength(rate: rate, timeBase: time.timeBase)
      // The finest step of the clip counts, which the filter's clock may be finer than.
      let step = max(1, AVRational(reader.info.timeBase).seconds / time.timeBase.seconds)
      let tolerance = FrameTiming.tolerance(rate: rate, timeBase: time.timeBase) + step
      if abs(Double((time - lastTime).ticks) - length) > tolerance {
        throw MediaWriter.variableRate(reader.name, String(cString: file.format.pointee.name))
      }
    }
    lastTime = time
    let target = encoder.context.pointee.time_base
    if oneRate {
      frame.timeBase = target
      frame.time = Timestamp(clamping: Int64(frameCount), target)
      frame.duration = Timestamp(clamping: 1, target)
    } else {
      frame.rescale(to: target)
      // A filter may have made other frames out of those that had this duration.
      if hasFilter { frame.duration = Timestamp(clamping: 1, av_inv_q(rate)) }
    }
    return frame
  }

  private func writeVideo(_ packet: Packet) throws { try muxer.write(packet, to: video) }

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

  private static func input(
    from reader: MediaReader, width: Int, height: Int, hasAlpha: Bool
  ) -> FilterGraph.Video {
    let info = reader.info
    // Another size shows the same picture: the pixels' aspect makes up for it.
    var aspect = AVRational(info.sampleAspect)
    if aspect.num > 0, width != info.width || height != info.height {
      var scale = AVRational()
      av_reduce(
        &scale.num, &scale.den, Int64(info.width) * Int64(height), Int64(info.height) * Int64(width), Int64(Int32.max))
      aspect = av_mul_q(aspect, scale)
    }
    return FilterGraph.Video(
      width: Int32(width), height: Int32(height), pixelFormat: hasAlpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24,
      timeBase: AVRational(info.timeBase), sampleAspect: aspect, frameRate: AVRational(info.frameRate))
  }

  /// Whether the clip's transparency has room in the output.
  /// - Parameter isBare: frames that do not say what they are: a reader of such expects rgb24.
  private static func keepsAlpha(
    of reader: MediaReader, size: (width: Int, height: Int), codec: UnsafePointer<AVCodec>, asked: String?, isBare: Bool
  ) throws -> Bool {
    guard reader.isTransparent, size == (reader.info.width, reader.info.height) else { return false }
    if let asked { return try AVPixelFormat.named(asked).hasAlpha }
    if isBare || codec.pointee.id == AV_CODEC_ID_WRAPPED_AVFRAME { return false }
    let offered = AVPixelFormat.list(fatezero_pixel_formats(codec))
    return offered.isEmpty || offered.contains(where: \.hasAlpha)
  }

  /// What describes the whole clip beside its stream: the container's, else what the first frame carries.
  private static func sideData(of reader: MediaReader) -> [(type: AVPacketSideDataType, bytes: [UInt8])] {
    let kept = [
      AV_PKT_DATA_MASTERING_DISPLAY_METADATA, AV_PKT_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_STEREO3D,
      AV_PKT_DATA_SPHERICAL, AV_PKT_DATA_ICC_PROFILE,
    ]
    var found: [(type: AVPacketSideDataType, bytes: [UInt8])] = []
    for type in kept {
      var size = 0
      guard let stream = reader.stream?.stream, let bytes = fatezero_stream_side_data(stream, type, &size), size > 0
      else { continue }
      found.append((type, Array(UnsafeBufferPointer(start: bytes, count: size))))
    }
    return found + reader.attachments.streamSideData.filter { item in !found.contains { $0.type == item.type } }
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
    var streams = reader.stream?.demuxer.streams ?? []
    if String(cString: context.pointee.oformat.pointee.name).begins(with: "mxf") {
      // It must be the first one there.
      streams = streams.filter { $0 == reader.stream?.stream } + streams.filter { $0 != reader.stream?.stream }
    }
    let trial = try MuxerTrial(context) { _ = try addVideo(to: $0, encoder: encoder, rate: rate) }
    for stream in streams {
      if stream == reader.stream?.stream {
        let output = try addVideo(to: context, encoder: encoder, rate: rate)
        copyProperties(of: stream, to: output)
        for (type, bytes) in sideData(of: reader) {
          guard let copy = fatezero_add_stream_side_data(output, type, bytes.count) else { continue }
          bytes.withUnsafeBufferPointer { if let start = $0.baseAddress { copy.update(from: start, count: $0.count) } }
        }
        video = output
      } else {
        try copier.add(stream, with: trial)
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

  /// What is said about the video as a stream, but for how it was compressed and turned, and whether it was transparent:
  /// muxers say that of what they write.
  private static func copyProperties(
    of source: UnsafeMutablePointer<AVStream>, to output: UnsafeMutablePointer<AVStream>
  ) {
    output.pointee.disposition = source.pointee.disposition
    let stale = ["BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS"]
    for (name, value) in OptionDictionary.entries(of: source.pointee.metadata) {
      if ["encoder", "rotate", "alpha_mode"].contains(name.lowercased())
        || stale.contains(where: { name.begins(with: $0) })
      {
        continue
      }
      av_dict_set(&output.pointee.metadata, name, value, 0)
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
      try Chapters.copy(from: source, part: reader.chosenPart, to: context, warn: warn)
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
