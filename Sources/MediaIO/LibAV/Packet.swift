import CLibAV

/// Owner of an `AVPacket`: compressed data of one stream.
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
}

/// AV_TIME_BASE_Q, which Swift does not import.
let microsecondTimeBase = AVRational(num: 1, den: AV_TIME_BASE)

extension Packet {
  /// When it is due, nil if it does not say.
  func microseconds(in timeBase: AVRational) -> Int64? {
    let time = pointer.pointee.pts == FATEZERO_AV_NOPTS_VALUE ? pointer.pointee.dts : pointer.pointee.pts
    return time == FATEZERO_AV_NOPTS_VALUE ? nil : av_rescale_q(time, timeBase, microsecondTimeBase)
  }
}
