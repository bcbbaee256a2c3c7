import CLibAV
import Glibc

/// A clip as upright rgb24 frames, in order, one at a time.
///
/// Memory does not grow with the clip. Packets of the other streams go to the writers made from this reader; make
/// those before the first call of `nextFrame()` and read until it answers nil, or the end of the sound is missing.
public final class MediaReader {
  /// The path, or "standard input".
  public let name: String
  public let info: VideoInformation

  let options: InputOptions
  /// nil for picture files.
  let stream: StreamSource?
  /// How the frames' colours were stored, for writing them the same way.
  let picture: PictureProperties
  /// Device and inode of an input that is a file or directory.
  let identity: FileIdentity?
  /// Filters in the input filter, by name.
  let filterNames: [String]

  private let path: String
  private let pipeline: FramePipeline
  private let isCancelled: @Sendable () -> Bool
  private let converter = PixelConverter()
  private var part: Part
  /// A frame waits here until the next one tells how long it is shown.
  private var pending: VideoFrame?
  private var delivered = 0
  private var atEnd = false
  private var lastDuration: Int64?
  private var knownTiming: FrameTiming?

  private var copiers: [StreamCopier] = []
  /// Packets met while the first frame was looked for, kept for writers to come.
  private var earlyPackets: [Packet] = []
  private var hasStarted = false

  /// - Parameters:
  ///   - path: `-` for standard input, a file, a FIFO, an address, a directory of pictures or a pattern (`f%05d.png`).
  ///   - warn: told what was wrong without being an error.
  ///   - isCancelled: asked while waiting.
  /// - Throws: `MediaError`.
  public init(
    path: String, options: InputOptions = InputOptions(), warn: @escaping (String) -> Void = { _ in },
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws {
    try options.validate()
    LibAVLog.start()
    self.path = path
    self.options = options
    self.isCancelled = isCancelled
    name = path == "-" ? "standard input" : path

    let source: any DecodedFrames
    var streams: [StreamSummary] = []
    var chapterCount = 0
    let format: String
    let codec: String
    if path != "-", options.format == nil, let files = try ImageSequence.files(at: path) {
      if let size = options.videoSize {
        throw MediaError(.usage, "--video-size \(size.width)x\(size.height): pictures have their own size")
      }
      let images = try ImageSequenceSource(files: files, options: options, isCancelled: isCancelled)
      source = images
      stream = nil
      (format, codec) = (images.formatName, images.codecName)
      let pattern = ImageSequence.isDirectory(path) ? nil : ImageSequence.Pattern(path)
      identity = FileIdentity(path: pattern?.directory ?? path)
      part = Part(origin: 0, options: options)
    } else {
      let demuxer = try Demuxer(
        path: path, format: options.format, options: options.libavOptions, maximumPixels: options.maximumPixels,
        isCancelled: isCancelled)
      let video = try StreamSource(demuxer: demuxer, warn: warn)
      source = video
      stream = video
      (format, codec) = (demuxer.formatName, video.codecName)
      identity = demuxer.io.flatMap { FileIdentity(descriptor: $0.descriptor) }
      let startTime = demuxer.context.pointee.start_time
      part = Part(
        origin: startTime == FATEZERO_AV_NOPTS_VALUE ? 0 : startTime,
        countsFromOrigin: demuxer.context.pointee.iformat.pointee.flags & AVFMT_TS_DISCONT != 0, options: options)
      if let begin = part.begin, options.start ?? 0 > 0, demuxer.isSeekable { video.seek(to: begin) }
      streams = demuxer.streams.filter { $0 != video.stream && !$0.isChapterTrack }.map(\.summary)
      chapterCount = Int(demuxer.context.pointee.nb_chapters)
    }

    pipeline = FramePipeline(source: source, filter: options.filter ?? "", part: part, warn: warn)
    // A class cannot hand itself to a closure before it is complete: packets are collected on the side.
    let early = PacketBox()
    stream?.onOtherPacket = { early.packets.append($0) }
    guard let first = try pipeline.next() else {
      throw MediaError(.badData, "\(name): there is no frame in the chosen part")
    }
    let video = pipeline.output
    picture = PictureProperties(of: first)
    filterNames = pipeline.filterNames
    earlyPackets = early.packets
    let length = MediaReader.length(of: stream, images: source as? ImageSequenceSource, part: part, options: options)
    info = VideoInformation(
      width: Int(video.width), height: Int(video.height), sampleAspect: Rational(video.sampleAspect),
      frameRate: Rational(video.frameRate), timeBase: Rational(video.timeBase), duration: length.duration,
      estimatedFrameCount: MediaReader.frameCount(
        length: length, rate: video.frameRate, isFiltered: options.filter != nil, limit: options.frames),
      format: format, codec: codec, pixelFormat: picture.pixelFormat.name, bitDepth: picture.pixelFormat.bitDepth,
      colorRange: picture.rangeName, colorMatrix: picture.matrixName, colorPrimaries: picture.primariesName,
      colorTransfer: picture.transferName, otherStreams: streams, chapterCount: chapterCount)
    pending = try videoFrame(first)
    stream?.onOtherPacket = { [unowned self] packet in try self.deliver(packet) }
  }

  // MARK: Frames

  /// The next frame; nil after the last.
  /// - Throws: `MediaError`.
  public func nextFrame() throws -> VideoFrame? {
    if !hasStarted {
      hasStarted = true
      let packets = earlyPackets
      earlyPackets = []
      for packet in packets { try deliver(packet) }
    }
    guard var frame = pending else {
      try finish()
      return nil
    }
    delivered += 1
    if let limit = options.frames, delivered >= limit {
      pending = nil
      let end = frame.timestamp + nominalDuration(frame)
      part.end = part.shift + av_rescale_q(end, pipeline.output.timeBase, microsecondTimeBase)
    } else {
      pending = try pipeline.next().map { try videoFrame($0) }
    }
    frame.duration = pending.map { $0.timestamp - frame.timestamp } ?? nominalDuration(frame)
    lastDuration = frame.duration
    return frame
  }

  /// How long a frame is shown that no other follows: as the clip says, else as long as the one before.
  private func nominalDuration(_ frame: VideoFrame) -> Int64 {
    if frame.duration > 0 && options.filter == nil { return frame.duration }
    let rate = pipeline.output.frameRate
    return lastDuration ?? max(1, av_rescale_q(1, av_inv_q(rate), pipeline.output.timeBase))
  }

  private func videoFrame(_ frame: Frame) throws -> VideoFrame {
    let width = Int(frame.pointer.pointee.width)
    let height = Int(frame.pointer.pointee.height)
    let packed = try Frame(width: Int32(width), height: Int32(height), format: AV_PIX_FMT_RGB24)
    let properties = PictureProperties(of: frame)
    try converter.convert(
      frame, PixelConverter.Colour(matrix: properties.matrix, range: properties.range), to: packed,
      PixelConverter.Colour(matrix: AVCOL_SPC_RGB, range: AVCOL_RANGE_JPEG))
    return VideoFrame(
      width: width, height: height, pixels: packed.packedRows(bytesPerPixel: 3),
      timestamp: frame.pointer.pointee.pts, duration: frame.pointer.pointee.pkt_duration)
  }

  /// After the last frame: what the other streams still have within the part.
  private func finish() throws {
    if atEnd { return }
    atEnd = true
    if let end = part.end, !copiers.isEmpty { try stream?.readOtherStreams(until: end) }
  }

  /// Of the frame that `nextFrame()` gives next; 0 at the end.
  var firstTimestamp: Int64 { pending?.timestamp ?? 0 }

  // MARK: Timing

  /// Whether frames come at varying intervals; nil if only reading the clip can tell. Reads a seekable file's
  /// timestamps once.
  /// - Throws: `MediaError`.
  public func isVariableRate() throws -> Bool? {
    switch try timing() {
    case .constant: false
    case .variable: true
    case .unknown: nil
    }
  }

  func timing() throws -> FrameTiming {
    if let knownTiming { return knownTiming }
    let timing = try findTiming()
    knownTiming = timing
    return timing
  }

  private func findTiming() throws -> FrameTiming {
    guard let stream else { return .constant(onGrid: true) }
    if !FrameTiming.fixingFilters.isDisjoint(with: filterNames) { return .constant(onGrid: true) }
    if !FrameTiming.changingFilters.isDisjoint(with: filterNames) { return .unknown }
    let begin = part.begin.map { av_rescale_q($0, microsecondTimeBase, stream.timeBase) } ?? Int64.min
    let end = part.end.map { av_rescale_q($0, microsecondTimeBase, stream.timeBase) } ?? Int64.max
    if stream.demuxer.io?.isRegularFile == true && path != "-" {
      return try FrameTiming.ofFile(
        path, options: options, streamIndex: stream.stream.pointee.index, rate: pipeline.output.frameRate,
        wanted: begin..<max(begin, end), origin: av_rescale_q(part.shift, microsecondTimeBase, stream.timeBase),
        isCancelled: isCancelled)
    }
    guard let timestamps = try stream.peekTimestamps() else { return .unknown }
    let timing = FrameTiming(timestamps: timestamps, timeBase: stream.timeBase, rate: pipeline.output.frameRate)
    return timing == .variable ? .variable : .unknown
  }

  // MARK: Other streams

  /// From now on `copier` gets every packet that is not of the video.
  func add(_ copier: StreamCopier) throws {
    if hasStarted {
      throw MediaError(.usage, "\(name): an output must be opened before the first frame is read")
    }
    copiers.append(copier)
  }

  func remove(_ copier: StreamCopier) { copiers.removeAll { $0 === copier } }

  /// Where the chosen part lies, and how far its timestamps move.
  var chosenPart: Part { part }

  private func deliver(_ packet: Packet) throws {
    guard hasStarted else {
      earlyPackets.append(packet)
      return
    }
    guard !copiers.isEmpty, let stream else { return }
    let source = stream.demuxer.streams[Int(packet.pointer.pointee.stream_index)]
    guard part.cut(packet, of: source) else { return }
    for copier in copiers { copier.receive(try Packet(sharing: packet)) }
  }

  // MARK: Length

  private static func length(
    of stream: StreamSource?, images: ImageSequenceSource?, part: Part, options: InputOptions
  ) -> (duration: Double?, frames: Int?) {
    var total: Double?
    var frames: Int?
    if let images {
      total = Double(images.count) / av_q2d(images.frameRate)
      frames = images.count
    } else if let stream {
      let length = stream.demuxer.context.pointee.duration
      if length > 0 { total = Double(length) / Double(AV_TIME_BASE) }
      // A NUT file's index ends with the time at which its last frame begins.
      if let known = total, stream.demuxer.formatName == "nut", stream.frameRate.num > 0, stream.frameRate.den > 0 {
        let rate = av_q2d(stream.frameRate)
        total = ((known * rate + 0.01).rounded(.down) + 1) / rate
      }
      if stream.stream.pointee.nb_frames > 0 { frames = Int(stream.stream.pointee.nb_frames) }
    }
    guard options.start != nil || options.duration != nil else { return (total, frames) }
    var chosen = total.map { max(0, $0 - (options.start ?? 0)) }
    if let duration = options.duration { chosen = min(chosen ?? duration, duration) }
    return (chosen, nil)
  }

  private static func frameCount(
    length: (duration: Double?, frames: Int?), rate: AVRational, isFiltered: Bool, limit: Int?
  ) -> Int? {
    var count = isFiltered ? nil : length.frames
    if count == nil, let duration = length.duration {
      count = Int(min(max(1, (duration * av_q2d(rate)).rounded()), 1e15))
    }
    guard let limit else { return count }
    return count.map { min($0, limit) }
  }
}

/// Packets collected before the reader is complete.
private final class PacketBox {
  var packets: [Packet] = []
}

extension UnsafeMutablePointer<AVStream> {
  var summary: StreamSummary {
    StreamSummary(
      index: Int(pointee.index),
      kind: av_get_media_type_string(pointee.codecpar.pointee.codec_type).map { String(cString: $0) } ?? "unknown",
      codec: String(cString: avcodec_get_name(pointee.codecpar.pointee.codec_id)))
  }

  /// The text track that holds a QuickTime file's chapter titles: libav gives it as chapters.
  var isChapterTrack: Bool {
    pointee.discard == AVDISCARD_ALL && pointee.codecpar.pointee.codec_type == AVMEDIA_TYPE_DATA
  }
}
