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
  /// What the first frame carries beside its colours, and with it the clip.
  let attachments: FrameAttachments
  /// Which field of the first frame is older; unknown for whole pictures.
  let fieldOrder: AVFieldOrder
  /// Whether frames may be transparent.
  let isTransparent: Bool
  /// Filters in the input filter, by name.
  let filterNames: [String]

  private let path: String
  private let pipeline: FramePipeline
  private let isCancelled: @Sendable () -> Bool
  private let warn: (String) -> Void
  private var hasWarnedOfFields = false
  private let converter = PixelConverter()
  private var part: Part
  /// A frame waits here until the next one tells how long it is shown.
  private var pending: VideoFrame?
  private var delivered = 0
  private var atEnd = false
  private var lastDuration: Timestamp?
  private let isRepeatable: Bool
  private var knownCensus: FrameCensus?

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
    self.warn = warn
    name = path == "-" ? "standard input" : path

    let input = try OpenedInput(path: path, options: options, warn: warn, isCancelled: isCancelled)
    stream = input.source as? StreamSource
    part = input.part
    identity = input.identity
    isRepeatable = input.isRepeatable
    let (demuxer, edited) = (stream?.demuxer, stream?.stream)
    pipeline = FramePipeline(source: input.source, filter: options.filter ?? "", part: part, warn: warn)
    // A class cannot hand itself to a closure before it is complete: packets are collected on the side.
    let early = PacketBox()
    stream?.onOtherPacket = { early.packets.append($0) }
    guard let first = try pipeline.next() else {
      throw MediaError(.badData, "\(name): there is no frame in the chosen part")
    }
    let video = pipeline.output
    picture = PictureProperties(of: first)
    filterNames = pipeline.filterNames
    let converted = try MediaReader.videoFrame(first, by: converter)
    attachments = converted.attachments
    // A GIF's pictures can always be transparent, and hardly ever are.
    isTransparent = picture.pixelFormat.hasAlpha && (input.codecName != "gif" || converted.attachments.alpha != nil)
    earlyPackets = early.packets
    info = VideoInformation(
      width: Int(video.width), height: Int(video.height), sampleAspect: Rational(video.sampleAspect),
      frameRate: Rational(video.frameRate), timeBase: Rational(video.timeBase), format: input.formatName,
      codec: input.codecName, pixelFormat: picture.pixelFormat.name, bitDepth: picture.pixelFormat.bitDepth,
      colorRange: picture.rangeName, colorMatrix: picture.matrixName, colorPrimaries: picture.primariesName,
      colorTransfer: picture.transferName, isInterlaced: fatezero_is_interlaced(first.pointer),
      otherStreams: demuxer?.streams.filter { $0 != edited && !$0.isChapterTrack }.map(\.summary) ?? [],
      chapterCount: Int(demuxer?.context.pointee.nb_chapters ?? 0))
    fieldOrder =
      !info.isInterlaced ? AV_FIELD_UNKNOWN : fatezero_is_top_field_first(first.pointer) ? AV_FIELD_TB : AV_FIELD_BT
    pending = converted
    warnOfFields(first)
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
    let time = time(frame.timestamp)
    var length = nominalDuration(frame)
    if let limit = options.frames, delivered >= limit {
      pending = nil
      part.end = part.shift + (time + length)
    } else {
      pending = try pipeline.next().map { frame in
        warnOfFields(frame)
        return try MediaReader.videoFrame(frame, by: converter)
      }
      if let pending { length = self.time(pending.timestamp) - time }
    }
    frame.duration = length.ticks
    lastDuration = length
    return frame
  }

  /// A number of `info.timeBase`'s ticks.
  private func time(_ ticks: Int64) -> Timestamp { Timestamp(clamping: ticks, pipeline.output.timeBase) }

  /// How long a frame is shown that no other follows: as the clip says, else as long as the one before.
  private func nominalDuration(_ frame: VideoFrame) -> Timestamp {
    if frame.duration > 0 && options.filter == nil { return time(frame.duration) }
    if let lastDuration { return lastDuration }
    return max(
      Timestamp(clamping: 1, av_inv_q(pipeline.output.frameRate)).rescaled(to: pipeline.output.timeBase), time(1))
  }

  private func warnOfFields(_ frame: Frame) {
    guard fatezero_is_interlaced(frame.pointer), !hasWarnedOfFields else { return }
    hasWarnedOfFields = true
    let order = fatezero_is_top_field_first(frame.pointer) ? "top" : "bottom"
    warn(
      "\(name) is interlaced (\(order) field first): two fields of different times would be edited as one picture; deinterlace "
        + "it with --input-filter yadif (or bwdif)")
  }

  private static func videoFrame(_ frame: Frame, by converter: PixelConverter) throws -> VideoFrame {
    let width = Int(frame.pointer.pointee.width)
    let height = Int(frame.pointer.pointee.height)
    let hasAlpha = frame.pixelFormat.hasAlpha || frame.pixelFormat == AV_PIX_FMT_PAL8
    let packed = try Frame(
      width: Int32(width), height: Int32(height), format: hasAlpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24)
    let properties = PictureProperties(of: frame)
    try converter.convert(
      frame, PixelConverter.Colour(matrix: properties.matrix, range: properties.range), to: packed,
      PixelConverter.Colour(matrix: AVCOL_SPC_RGB, range: AVCOL_RANGE_JPEG))
    var attachments = FrameAttachments(of: frame)
    let pixels: [UInt8]
    if hasAlpha {
      (pixels, attachments.alpha) = packed.rgbAndAlpha()
    } else {
      pixels = packed.packedRows(bytesPerPixel: 3)
    }
    return VideoFrame(
      width: width, height: height, pixels: pixels, timestamp: frame.time.ticks(in: frame.timeBase),
      duration: frame.duration.ticks, attachments: attachments)
  }

  /// After the last frame: what the other streams still have within the part.
  private func finish() throws {
    if atEnd { return }
    atEnd = true
    if let end = part.end, !copiers.isEmpty { try stream?.readOtherStreams(until: end) }
  }

  /// Of the frame that `nextFrame()` gives next; 0 at the end.
  var firstTimestamp: Int64 { pending?.timestamp ?? 0 }

  // MARK: The whole clip

  /// How many frames `nextFrame()` gives, and whether they come at one rate.
  ///
  /// Containers may say too much or too little, so a file is decoded once more; that takes time and is done once. What
  /// can be read only once is not counted.
  /// - Returns: nil where only reading the clip can tell.
  /// - Throws: `MediaError`.
  public func census() throws -> FrameCensus? {
    if knownCensus == nil, isRepeatable {
      knownCensus = try FrameCensus(path: path, options: options, isCancelled: isCancelled)
    }
    return knownCensus
  }

  /// Frames of the clip: counted where it can be, else what the container says, else nil. May decode the whole clip.
  /// - Throws: `MediaError`.
  public func frameCount() throws -> Int? {
    if let census = try census() { return census.count }
    guard options.filter == nil, options.start == nil, options.duration == nil, let stream,
      let claimed = stream.claimedFrameCount
    else { return nil }
    return min(claimed, options.frames ?? claimed)
  }

  /// Whether frames come at varying intervals; nil if only reading the clip can tell. May decode the whole clip.
  /// - Throws: `MediaError`.
  public func isVariableRate() throws -> Bool? {
    switch try timing() {
    case .constant: false
    case .variable: true
    case .unknown: nil
    }
  }

  func timing() throws -> FrameTiming {
    if let census = try census() { return census.timing }
    if !FrameTiming.fixingFilters.isDisjoint(with: filterNames) { return .constant(onGrid: true) }
    if !FrameTiming.changingFilters.isDisjoint(with: filterNames) { return .unknown }
    guard let stream, let times = try stream.peekTimes() else { return .unknown }
    let timing = FrameTiming(
      timestamps: times.map(\.ticks), timeBase: stream.timeBase, rate: pipeline.output.frameRate)
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
