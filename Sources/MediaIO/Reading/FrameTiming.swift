import CLibAV

/// Whether a clip's frames come at one rate.
enum FrameTiming: Equatable {
  /// Frame k is shown at (n + k) / rate; `onGrid` if n is a whole number.
  case constant(onGrid: Bool)
  case variable
  /// Too little is known before the clip is read.
  case unknown

  /// Filters whose output has one rate, whatever came in.
  static let fixingFilters: Set<String> = ["fps", "framerate", "minterpolate"]
  /// Filters after which the input's timestamps tell nothing.
  static let changingFilters: Set<String> = [
    "setpts", "select", "mpdecimate", "decimate", "trim", "loop", "tpad", "reverse", "framestep", "tblend",
    "shuffleframes",
  ]

  /// How far a frame may be off its time and still count as on time: what the rounding to a time base does to it
  /// and what cameras' clocks do. In units of the time base.
  static func tolerance(rate: AVRational, timeBase: AVRational) -> Double {
    1 + 0.1 * frameLength(rate: rate, timeBase: timeBase)
  }

  static func frameLength(rate: AVRational, timeBase: AVRational) -> Double { 1 / (av_q2d(rate) * av_q2d(timeBase)) }

  /// - Parameters:
  ///   - timestamps: of consecutive frames, in units of `timeBase`, in any order.
  ///   - rate: the rate they are expected at, frames per second.
  init(timestamps: [Int64], timeBase: AVRational, rate: AVRational) {
    guard rate.num > 0, rate.den > 0, timeBase.num > 0, timeBase.den > 0, !timestamps.isEmpty else {
      self = .unknown
      return
    }
    let length = FrameTiming.frameLength(rate: rate, timeBase: timeBase)
    let tolerance = FrameTiming.tolerance(rate: rate, timeBase: timeBase)
    let sorted = timestamps.sorted()
    for (earlier, later) in zip(sorted, sorted.dropFirst()) where abs(Double(later &- earlier) - length) > tolerance {
      self = .variable
      return
    }
    let first = (Double(sorted[0]) / length).rounded()
    let onGrid = sorted.enumerated().allSatisfy { abs(Double($1) - (first + Double($0)) * length) <= 1 }
    self = .constant(onGrid: onGrid)
  }

  /// Reads the timestamps of a whole file, without decoding, through a second opening of it.
  /// - Parameters:
  ///   - wanted: the part that counts, in units of the stream's time base.
  ///   - origin: the moment that becomes 0.
  static func ofFile(
    _ path: String, options: InputOptions, streamIndex: Int32, rate: AVRational, wanted: Range<Int64>,
    origin: Int64, isCancelled: @escaping @Sendable () -> Bool
  ) throws -> FrameTiming {
    let demuxer = try Demuxer(
      path: path, format: options.format, options: options.libavOptions, maximumPixels: options.maximumPixels,
      isCancelled: isCancelled)
    let streams = demuxer.streams
    guard streams.indices.contains(Int(streamIndex)) else { return .unknown }
    for stream in streams where stream.pointee.index != streamIndex { stream.pointee.discard = AVDISCARD_ALL }
    let packet = try Packet()
    var timestamps: [Int64] = []
    var code = demuxer.read(into: packet)
    while code >= 0 {
      if packet.pointer.pointee.stream_index == streamIndex, packet.pointer.pointee.flags & AV_PKT_FLAG_DISCARD == 0 {
        if packet.pointer.pointee.pts == FATEZERO_AV_NOPTS_VALUE { return .unknown }
        if wanted.contains(packet.pointer.pointee.pts) { timestamps.append(packet.pointer.pointee.pts - origin) }
      }
      code = demuxer.read(into: packet)
    }
    _ = LibAVLog.takeErrors()
    if code == FATEZERO_AVERROR_EXIT { throw MediaError(.cancelled, "\(path): cancelled") }
    if let frames = options.frames { timestamps = Array(timestamps.sorted().prefix(frames)) }
    return FrameTiming(
      timestamps: timestamps, timeBase: streams[Int(streamIndex)].pointee.time_base, rate: rate)
  }
}
