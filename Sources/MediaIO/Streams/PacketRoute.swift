import CLibAV

/// What happens to the packets of one stream beside the video, on the way to one output.
protocol PacketRoute: AnyObject {
  var output: UnsafeMutablePointer<AVStream> { get }
  /// - Parameters:
  ///   - packet: in the source stream's time base; nil: the end.
  ///   - write: takes packets in the time base that goes with them.
  func process(_ packet: Packet?, write: (Packet, AVRational) throws -> Void) throws
}

/// Passes packets through as they are.
final class CopyRoute: PacketRoute {
  let output: UnsafeMutablePointer<AVStream>
  private let timeBase: AVRational
  /// Packets before this are left out.
  private let earliest: Int64

  /// - Parameter makeOutput: adds a stream of these parameters and this time base to the output.
  init(
    _ source: UnsafeMutablePointer<AVStream>, in format: UnsafePointer<AVOutputFormat>, keepsNegativeTimes: Bool,
    makeOutput: (UnsafeMutablePointer<AVCodecParameters>, AVRational) throws -> UnsafeMutablePointer<AVStream>
  ) throws {
    // Where times cannot be negative, the muxer would move the pictures back by what an encoder put before the sound.
    let parameters = source.pointee.codecpar.pointee
    if keepsNegativeTimes || parameters.codec_type != AVMEDIA_TYPE_AUDIO {
      earliest = Int64.min
    } else if parameters.codec_id == AV_CODEC_ID_OPUS {
      // Opus says how much that is.
      earliest = -av_rescale_q(
        Int64(parameters.initial_padding) + 1, AVRational(num: 1, den: max(1, parameters.sample_rate)),
        source.pointee.time_base)
    } else {
      earliest = 0
    }
    timeBase = source.pointee.time_base
    var copy = avcodec_parameters_alloc()
    defer { avcodec_parameters_free(&copy) }
    guard let copy else { throw MediaError(.io, "out of memory for a stream") }
    try check(avcodec_parameters_copy(copy, source.pointee.codecpar), "copying a stream", as: .io)
    copy.pointee.codec_tag = CopyRoute.tag(of: parameters, in: format)
    output = try makeOutput(copy, timeBase)
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

  func process(_ packet: Packet?, write: (Packet, AVRational) throws -> Void) throws {
    guard let packet else { return }
    let timestamp = packet.pointer.pointee.pts
    if timestamp == FATEZERO_AV_NOPTS_VALUE || timestamp >= earliest { try write(packet, timeBase) }
  }
}
