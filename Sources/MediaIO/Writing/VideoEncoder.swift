import CLibAV
import Glibc

/// An encoder for the edited frames.
final class VideoEncoder {
  let context: UnsafeMutablePointer<AVCodecContext>
  let pixelFormat: AVPixelFormat
  private let name: String
  private let colour: PixelConverter.Colour
  private let fieldOrder: AVFieldOrder
  /// Whether it writes closed captions (CEA-608 and 708) into the stream.
  let writesCaptions: Bool
  private let converter = PixelConverter()
  private var lastTime: Timestamp?
  /// How long the frames still inside the encoder are shown, by their ticks.
  private var durations: [Int64: Timestamp] = [:]

  /// - Parameters:
  ///   - video: what enters, with the encoder's own time base.
  ///   - fieldOrder: which field is older; unknown for whole pictures.
  ///   - options: what it does not know stays in there.
  init(
    codec: UnsafePointer<AVCodec>, pixelFormat: AVPixelFormat, video: FilterGraph.Video, picture: PictureProperties,
    fieldOrder: AVFieldOrder, globalHeader: Bool, options: OptionDictionary
  ) throws {
    name = String(cString: codec.pointee.name)
    self.pixelFormat = pixelFormat
    self.fieldOrder = fieldOrder
    colour = picture.colour(in: pixelFormat)
    guard let context = avcodec_alloc_context3(codec) else { throw MediaError(.io, "out of memory for an encoder") }
    self.context = context
    writesCaptions = av_opt_find(context.pointee.priv_data, "a53cc", nil, 0, 0) != nil
    context.pointee.width = video.width
    context.pointee.height = video.height
    context.pointee.pix_fmt = pixelFormat
    context.pointee.sample_aspect_ratio = video.sampleAspect
    context.pointee.time_base = video.timeBase
    context.pointee.framerate = video.frameRate
    context.pointee.colorspace = colour.matrix
    context.pointee.color_range = colour.range
    context.pointee.color_primaries = picture.primaries
    context.pointee.color_trc = picture.transfer
    if pixelFormat.chromaBlock != (1, 1) { context.pointee.chroma_sample_location = picture.chromaLocation }
    if fieldOrder != AV_FIELD_UNKNOWN {
      context.pointee.field_order = fieldOrder
      context.pointee.flags |= AV_CODEC_FLAG_INTERLACED_DCT | AV_CODEC_FLAG_INTERLACED_ME
    }
    context.pointee.thread_count = 0
    if globalHeader { context.pointee.flags |= AV_CODEC_FLAG_GLOBAL_HEADER }
    try check(avcodec_open2(context, codec, &options.pointer), "encoder \(name)", as: .usage)
  }

  deinit {
    var context: UnsafeMutablePointer<AVCodecContext>? = context
    avcodec_free_context(&context)
  }

  /// - Parameters:
  ///   - frame: its times in the encoder's time base; nil: the end.
  ///   - write: takes packets in that time base.
  func encode(_ frame: Frame?, write: (Packet) throws -> Void) throws {
    var prepared: Frame?
    if let frame {
      let converted = try self.converted(frame)
      let duration = frame.duration
      var time = frame.time ?? lastTime?.next ?? Timestamp(clamping: 0, context.pointee.time_base)
      if let lastTime, time <= lastTime { time = lastTime.next }
      lastTime = time
      converted.timeBase = context.pointee.time_base
      converted.time = time
      converted.duration = duration
      if fieldOrder != AV_FIELD_UNKNOWN { fatezero_mark_fields(converted.pointer, fieldOrder == AV_FIELD_TB) }
      durations[time.ticks] = duration
      prepared = converted
    }
    try check(avcodec_send_frame(context, prepared?.pointer), "encoder \(name)", as: .io)
    while true {
      let packet = try Packet()
      let code = avcodec_receive_packet(context, packet.pointer)
      if code == -EAGAIN || code == FATEZERO_AVERROR_EOF { return }
      try check(code, "encoder \(name)", as: .io)
      packet.timeBase = context.pointee.time_base
      if let duration = durations.removeValue(forKey: packet.pointer.pointee.pts), duration.ticks > 0 {
        packet.duration = duration
      }
      try write(packet)
    }
  }

  /// The frame as the encoder wants it.
  private func converted(_ frame: Frame) throws -> Frame {
    let properties = PictureProperties(of: frame)
    let current =
      frame.pixelFormat.isRGB
      ? PixelConverter.Colour(matrix: AVCOL_SPC_RGB, range: AVCOL_RANGE_JPEG)
      : PixelConverter.Colour(matrix: properties.matrix, range: properties.range)
    if frame.pixelFormat == pixelFormat && current == colour { return frame }
    let converted = try Frame(
      width: frame.pointer.pointee.width, height: frame.pointer.pointee.height, format: pixelFormat)
    converted.pointer.pointee.sample_aspect_ratio = frame.pointer.pointee.sample_aspect_ratio
    converted.pointer.pointee.colorspace = colour.matrix
    converted.pointer.pointee.color_range = colour.range
    converted.pointer.pointee.color_primaries = context.pointee.color_primaries
    converted.pointer.pointee.color_trc = context.pointee.color_trc
    for index in 0..<Int(frame.pointer.pointee.nb_side_data) {
      guard let data = frame.pointer.pointee.side_data[index] else { continue }
      let buffer = av_buffer_ref(data.pointee.buf)
      if av_frame_new_side_data_from_buf(converted.pointer, data.pointee.type, buffer) == nil {
        throw MediaError(.io, "out of memory for a frame")
      }
    }
    try converter.convert(frame, current, to: converted, colour)
    return converted
  }
}
