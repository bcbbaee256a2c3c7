import CLibAV

/// The part of a clip that was chosen, on the container's clock.
struct Part {
  /// Nothing before this moment; nil: from the beginning.
  let begin: Timestamp?
  /// Nothing from this moment on; nil: to the end.
  var end: Timestamp?

  /// What is subtracted from every timestamp: a chosen start becomes 0, a whole clip keeps its own times.
  let shift: Timestamp

  /// A clip whose clock begins farther than this from 0 counted something else, like the time of day since 1970.
  private static let farthestOrigin = Timestamp(seconds: 30 * 3600)

  /// - Parameters:
  ///   - origin: the container's first moment, which `start` and `duration` count from.
  ///   - countsFromOrigin: the container's clock began anywhere, as a broadcast's does: the origin becomes 0 anyway.
  init(origin: Timestamp, countsFromOrigin: Bool = false, options: InputOptions) {
    let begin = options.start.map { origin + Timestamp(seconds: $0) }
    self.begin = begin
    let becomesZero = countsFromOrigin || origin.magnitude > Part.farthestOrigin
    shift = begin ?? (becomesZero ? origin : .zero)
    end = options.duration.map { origin + Timestamp(seconds: (options.start ?? 0) + $0) }
  }

  /// Whether a moment of the container's clock lies within the part.
  func contains(_ time: Timestamp) -> Bool { !isBefore(time) && !isBehind(time) }
  func isBefore(_ time: Timestamp) -> Bool { begin.map { time < $0 } ?? false }
  func isBehind(_ time: Timestamp) -> Bool { end.map { time >= $0 } ?? false }

  /// Moves a packet of another stream into the part.
  /// - Returns: false if it lies outside.
  func cut(_ packet: Packet, of stream: UnsafeMutablePointer<AVStream>) -> Bool {
    if stream.pointee.disposition & AV_DISPOSITION_ATTACHED_PIC != 0 { return true }
    guard let time = packet.time else { return true }
    if isBehind(time) { return false }
    if stream.pointee.codecpar.pointee.codec_type != AVMEDIA_TYPE_SUBTITLE {
      if isBefore(time) { return false }
    } else if packet.duration.ticks > 0 {
      // A line that is still being shown when the part begins stays, from there on.
      let lineEnd = min(time + packet.duration, end ?? time + packet.duration)
      let lineBegin = max(time, begin ?? time)
      guard lineEnd > lineBegin else { return false }
      if lineBegin != time {
        packet.presentationTime = lineBegin
        packet.decodingTime = lineBegin
      }
      packet.duration = lineEnd - lineBegin
    } else if isBefore(time) {
      return false
    }
    packet.move(by: -shift)
    return true
  }
}
