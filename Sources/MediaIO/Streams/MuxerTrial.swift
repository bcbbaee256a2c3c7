import CLibAV
import Glibc

/// Finds out whether a muxer takes a stream beside those that an output has already: it writes a header to nowhere. Muxers
/// have rules about rates, channels and numbers of streams that they tell in no other way.
struct MuxerTrial {
  private let context: UnsafeMutablePointer<AVFormatContext>
  private let addVideo: (UnsafeMutablePointer<AVFormatContext>) throws -> Void
  /// Why it takes nothing at all, which other streams are not to blame for.
  private let isConclusive: Bool

  /// - Parameters:
  ///   - context: The output, with the streams that it has so far. It is not changed.
  ///   - addVideo: Adds the output's video to a context that has none.
  init(
    _ context: UnsafeMutablePointer<AVFormatContext>,
    addVideo: @escaping (UnsafeMutablePointer<AVFormatContext>) throws -> Void
  ) throws {
    self.context = context
    self.addVideo = addVideo
    // These open files when they begin.
    let opensFiles = context.pointee.oformat.pointee.flags & AVFMT_NOFILE != 0
    isConclusive = try !opensFiles && MuxerTrial.header(of: context, with: nil, addVideo) >= 0
    _ = LibAVLog.takeErrors()
  }

  /// A stream that is not in the output yet.
  struct Candidate {
    let parameters: UnsafePointer<AVCodecParameters>
    let timeBase: AVRational
    /// Where it comes from: metadata and disposition.
    let source: UnsafeMutablePointer<AVStream>
  }

  /// - Throws: A `MediaError` with the muxer's words where it refuses.
  func check(_ candidate: Candidate) throws {
    guard isConclusive else { return }
    let code = try MuxerTrial.header(of: context, with: candidate, addVideo)
    if code < 0 {
      throw MediaError(code: code, String(cString: context.pointee.oformat.pointee.name), as: .badData)
    }
    _ = LibAVLog.takeErrors()
  }

  private static func header(
    of output: UnsafeMutablePointer<AVFormatContext>, with candidate: Candidate?,
    _ addVideo: (UnsafeMutablePointer<AVFormatContext>) throws -> Void
  ) throws -> Int32 {
    var allocated: UnsafeMutablePointer<AVFormatContext>?
    avformat_alloc_output_context2(&allocated, output.pointee.oformat, nil, "trial")
    guard let trial = allocated else { throw MediaError(.io, "out of memory for a muxer") }
    defer { avformat_free_context(trial) }
    trial.pointee.strict_std_compliance = output.pointee.strict_std_compliance
    let streams = (0..<Int(output.pointee.nb_streams)).compactMap { output.pointee.streams[$0] }
    if !streams.contains(where: { $0.pointee.codecpar.pointee.codec_type == AVMEDIA_TYPE_VIDEO && !$0.isCover }) {
      try addVideo(trial)
    }
    let candidates =
      streams.map { Candidate(parameters: $0.pointee.codecpar, timeBase: $0.pointee.time_base, source: $0) }
      + (candidate.map { [$0] } ?? [])
    for candidate in candidates {
      guard let stream = avformat_new_stream(trial, nil),
        avcodec_parameters_copy(stream.pointee.codecpar, candidate.parameters) >= 0
      else { throw MediaError(.io, "out of memory for a stream") }
      stream.pointee.time_base = candidate.timeBase
      stream.pointee.avg_frame_rate = candidate.source.pointee.avg_frame_rate
      stream.pointee.disposition = candidate.source.pointee.disposition
      av_dict_copy(&stream.pointee.metadata, candidate.source.pointee.metadata, 0)
    }
    guard avio_open_dyn_buf(&trial.pointee.pb) >= 0 else { return -ENOMEM }
    let code = avformat_write_header(trial, nil)
    var bytes: UnsafeMutablePointer<UInt8>?
    avio_close_dyn_buf(trial.pointee.pb, &bytes)
    trial.pointee.pb = nil
    av_free(bytes)
    return code
  }
}

extension UnsafeMutablePointer<AVStream> {
  /// A picture that stands for the clip.
  var isCover: Bool { pointee.disposition & AV_DISPOSITION_ATTACHED_PIC != 0 }
}
