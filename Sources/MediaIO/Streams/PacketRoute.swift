import CLibAV

/// What happens to the packets of one stream beside the video, on the way to one output.
protocol PacketRoute: AnyObject {
  var output: UnsafeMutablePointer<AVStream> { get }
  /// - Parameters:
  ///   - packet: of the source stream; nil: the end.
  ///   - write: takes packets for `output`, in whatever time base they have.
  func process(_ packet: Packet?, write: (Packet) throws -> Void) throws
  /// The video is at `time`, and all packets until then have been processed.
  func reach(_ time: Timestamp, write: (Packet) throws -> Void) throws
}

extension PacketRoute {
  func reach(_ time: Timestamp, write: (Packet) throws -> Void) throws {}
}

/// Passes packets through as they are.
final class CopyRoute: PacketRoute {
  let output: UnsafeMutablePointer<AVStream>
  private let parameters: UnsafeMutablePointer<AVCodecParameters>
  /// Packets before this are left out; nil: none.
  private let earliest: Timestamp?
  /// What `av_rescale_delta` keeps between packets of sound.
  private var lastSample = FATEZERO_AV_NOPTS_VALUE

  /// For text in MP4. Its muxer compares the ends of lines with times of other streams, each in its own ticks: a line's
  /// must be the finest, or a line that is followed at once is ended early, and the next one comes late.
  static let lineTimeBase = microsecondTimeBase

  init(
    _ source: UnsafeMutablePointer<AVStream>, to output: UnsafeMutablePointer<AVStream>,
    in format: UnsafePointer<AVOutputFormat>, keepsNegativeTimes: Bool
  ) throws {
    self.output = output
    // Where times cannot be negative, the muxer would move the pictures back by what an encoder put before the sound.
    let parameters = source.pointee.codecpar.pointee
    if keepsNegativeTimes || parameters.codec_type != AVMEDIA_TYPE_AUDIO {
      earliest = nil
    } else if parameters.codec_id == AV_CODEC_ID_OPUS {
      // Opus says how much that is.
      earliest = -Timestamp(
        clamping: Int64(parameters.initial_padding) + 1, AVRational(num: 1, den: max(1, parameters.sample_rate)))
    } else {
      earliest = .zero
    }
    self.parameters = source.pointee.codecpar
    try check(avcodec_parameters_copy(output.pointee.codecpar, source.pointee.codecpar), "copying a stream", as: .io)
    output.pointee.codecpar.pointee.codec_tag = CopyRoute.tag(of: source.pointee.codecpar.pointee, in: format)
    output.pointee.time_base =
      parameters.codec_id == AV_CODEC_ID_MOV_TEXT ? CopyRoute.lineTimeBase : source.pointee.time_base
    output.pointee.sample_aspect_ratio = source.pointee.sample_aspect_ratio
    output.pointee.avg_frame_rate = source.pointee.avg_frame_rate
    output.pointee.r_frame_rate = source.pointee.r_frame_rate
    for index in 0..<Int(source.pointee.nb_side_data) {
      let sideData = source.pointee.side_data[index]
      guard let bytes = av_stream_new_side_data(output, sideData.type, sideData.size) else { continue }
      bytes.update(from: sideData.data, count: sideData.size)
    }
  }

  /// The source's tag where the container uses it for this codec too; 0 lets the muxer choose.
  private static func tag(of parameters: AVCodecParameters, in format: UnsafePointer<AVOutputFormat>) -> UInt32 {
    guard let tags = format.pointee.codec_tag else { return parameters.codec_tag }
    var other: UInt32 = 0
    let keeps =
      av_codec_get_id(tags, parameters.codec_tag) == parameters.codec_id
      || av_codec_get_tag2(tags, parameters.codec_id, &other) == 0
    return keeps ? parameters.codec_tag : 0
  }

  func process(_ packet: Packet?, write: (Packet) throws -> Void) throws {
    guard let packet else { return }
    if let time = packet.presentationTime, let earliest, time < earliest { return }
    smooth(packet)
    try write(packet)
  }

  /// Sound lasts whole samples: what rounding to a coarse clock did to its times is undone, as the ffmpeg command does.
  private func smooth(_ packet: Packet) {
    guard parameters.pointee.codec_type == AVMEDIA_TYPE_AUDIO, parameters.pointee.sample_rate > 0,
      let time = packet.decodingTime
    else { return }
    let samples = av_get_audio_frame_duration2(parameters, packet.pointer.pointee.size)
    let base = output.pointee.time_base
    let smoothed = av_rescale_delta(
      packet.timeBase, time.ticks, AVRational(num: 1, den: parameters.pointee.sample_rate), max(0, samples),
      &lastSample,
      base)
    packet.rescale(to: base)
    packet.decodingTime = Timestamp(clamping: smoothed, base)
    packet.presentationTime = packet.decodingTime
  }
}
