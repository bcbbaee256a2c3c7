import CLibAV

/// The part of a clip that was chosen, on the container's clock in microseconds.
struct Part {
  /// Nothing before this moment; nil: from the beginning.
  let begin: Int64?
  /// Nothing from this moment on; nil: to the end.
  var end: Int64?

  /// What is subtracted from every timestamp: a chosen start becomes 0, a whole clip keeps its own times.
  let shift: Int64

  /// - Parameters:
  ///   - origin: the container's first moment, which `start` and `duration` count from.
  ///   - countsFromOrigin: the container's clock began anywhere, as a broadcast's does: the origin becomes 0 anyway.
  init(origin: Int64, countsFromOrigin: Bool = false, options: InputOptions) {
    let begin = options.start.map { origin + Part.microseconds($0) }
    self.begin = begin
    shift = begin ?? (countsFromOrigin ? origin : 0)
    end = options.duration.map { origin + Part.microseconds((options.start ?? 0) + $0) }
  }

  private static func microseconds(_ seconds: Double) -> Int64 { Int64((seconds * Double(AV_TIME_BASE)).rounded()) }

  /// Moves a packet of another stream into the part.
  /// - Returns: false if it lies outside.
  func cut(_ packet: Packet, of stream: UnsafeMutablePointer<AVStream>) -> Bool {
    let base = stream.pointee.time_base
    if stream.pointee.disposition & AV_DISPOSITION_ATTACHED_PIC != 0 { return true }
    guard let time = packet.microseconds(in: base) else { return true }
    if let end, time >= end { return false }
    let offset = av_rescale_q(shift, microsecondTimeBase, base)
    let isSubtitle = stream.pointee.codecpar.pointee.codec_type == AVMEDIA_TYPE_SUBTITLE
    if let begin, time < begin {
      // A line that is still being shown stays, from the beginning on; sound does not.
      let remaining = packet.pointer.pointee.pts + packet.pointer.pointee.duration - offset
      guard isSubtitle, packet.pointer.pointee.duration > 0, remaining > 0 else { return false }
      packet.pointer.pointee.duration = remaining
      packet.pointer.pointee.pts = offset
      packet.pointer.pointee.dts = offset
    }
    if isSubtitle, let end {
      let limit = av_rescale_q(end, microsecondTimeBase, base)
      if packet.pointer.pointee.pts + packet.pointer.pointee.duration > limit {
        packet.pointer.pointee.duration = limit - packet.pointer.pointee.pts
      }
    }
    if packet.pointer.pointee.pts != FATEZERO_AV_NOPTS_VALUE { packet.pointer.pointee.pts -= offset }
    if packet.pointer.pointee.dts != FATEZERO_AV_NOPTS_VALUE { packet.pointer.pointee.dts -= offset }
    return true
  }
}
