import CLibAV

/// Owner of an `AVPacket`: compressed data of one stream, with the time base of its times.
final class Packet {
  let pointer: UnsafeMutablePointer<AVPacket>

  init() throws {
    guard let packet = av_packet_alloc() else { throw MediaError(.io, "out of memory for a packet") }
    pointer = packet
  }

  /// A second reference to the same data.
  init(sharing packet: Packet) throws {
    guard let copy = av_packet_clone(packet.pointer) else { throw MediaError(.io, "out of memory for a packet") }
    pointer = copy
  }

  deinit {
    var packet: UnsafeMutablePointer<AVPacket>? = pointer
    av_packet_free(&packet)
  }

  // MARK: Times

  /// Seconds per tick of the packet's times. Setting it converts nothing.
  var timeBase: AVRational {
    get { pointer.pointee.time_base }
    set { pointer.pointee.time_base = newValue }
  }

  /// When it is shown.
  var presentationTime: Timestamp? {
    get { Timestamp(pointer.pointee.pts, timeBase) }
    set { pointer.pointee.pts = newValue.ticks(in: timeBase) }
  }

  /// When it is decoded.
  var decodingTime: Timestamp? {
    get { Timestamp(pointer.pointee.dts, timeBase) }
    set { pointer.pointee.dts = newValue.ticks(in: timeBase) }
  }

  /// How long it is shown; 0 where that is not known.
  var duration: Timestamp {
    get { Timestamp(clamping: max(0, pointer.pointee.duration), timeBase) }
    set { pointer.pointee.duration = max(0, newValue.ticks(in: timeBase)) }
  }

  /// When it is due, nil if it does not say.
  var time: Timestamp? { presentationTime ?? decodingTime }

  /// Converts all times.
  func rescale(to base: AVRational) {
    let (presentation, decoding, length) = (presentationTime, decodingTime, duration)
    timeBase = base
    (presentationTime, decodingTime, duration) = (presentation, decoding, length)
  }

  /// Moves all times.
  func move(by length: Timestamp) {
    presentationTime = presentationTime.map { $0 + length }
    decodingTime = decodingTime.map { $0 + length }
  }
}
