import CLibAV

/// Makes one clock of the times that a container's packets carry, by the rules of the ffmpeg command.
///
/// The clock of a broadcast or of a disc may begin anew at any time, and so may that of files that were joined: where
/// decoding times jump, everything that follows is moved so that it goes on where the clip was. In other containers a
/// jump is a gap, and only times that cannot be meant are forgotten.
struct ClipClock {
  /// What was wrong with a clip's times, each kind once.
  enum Fault: CustomStringConvertible {
    case restarted
    case absurd

    var description: String {
      switch self {
      case .restarted: "its clock jumps, as that of joined recordings does; what follows a jump is joined on"
      case .absurd: "times more than 30 hours from those around them are ignored"
      }
    }
  }

  private struct Stream {
    /// Of the last packet, and where the next is expected.
    var last: Timestamp?
    var next: Timestamp?
  }

  /// ffmpeg's `-dts_delta_threshold`: farther from the expected time a clock has jumped, in seconds.
  private static let jump = Timestamp(seconds: 10)
  /// Farther back, even a small jump is one.
  private static let stepBack = Timestamp(seconds: 0.1)
  /// ffmpeg's `-dts_error_threshold`.
  private static let absurdity = Timestamp(seconds: 30 * 3600)

  /// The container's format allows that its clock begins anew.
  private let mayRestart: Bool
  private var streams: [Int32: Stream] = [:]
  /// What is added to all times.
  private var offset = Timestamp.zero
  /// The last decoding time, of whichever stream; at the beginning, the container's first moment.
  private var last: Timestamp?
  private(set) var faults: Set<Fault> = []

  init(mayRestart: Bool, origin: Timestamp?) {
    self.mayRestart = mayRestart
    last = origin
  }

  /// Reading goes on at another place.
  mutating func seeked() {
    (streams, offset, last) = ([:], .zero, nil)
  }

  /// Corrects the times of the next packet, whose time base is set.
  mutating func correct(_ packet: Packet, of stream: UnsafeMutablePointer<AVStream>) {
    let parameters = stream.pointee.codecpar.pointee
    let isContinuous =
      (parameters.codec_type == AVMEDIA_TYPE_VIDEO || parameters.codec_type == AVMEDIA_TYPE_AUDIO)
      && stream.pointee.disposition & AV_DISPOSITION_ATTACHED_PIC == 0
    packet.move(by: offset)
    var state = streams[packet.pointer.pointee.stream_index] ?? Stream()
    if mayRestart {
      if isContinuous { joinOn(packet, state) }
    } else {
      forgetAbsurdTimes(packet, expected: isContinuous ? state.next : last)
    }
    guard isContinuous else { return }
    // A gap in what the container says; ffmpeg fills it alike.
    if packet.decodingTime == nil { packet.decodingTime = state.next }
    if let time = packet.decodingTime {
      if packet.presentationTime == nil, parameters.codec_type == AVMEDIA_TYPE_AUDIO { packet.presentationTime = time }
      state.last = time
      state.next = time.rescaled(to: microsecondTimeBase) + length(of: packet, stream)
      streams[packet.pointer.pointee.stream_index] = state
      last = time
    }
  }

  private mutating func joinOn(_ packet: Packet, _ state: Stream) {
    guard let time = packet.decodingTime, let expected = state.next ?? last else { return }
    let distance = time.rescaled(to: microsecondTimeBase) - expected
    let hasSteppedBack = state.next != nil && state.last.map { time + ClipClock.stepBack < $0 } ?? false
    guard distance.magnitude > ClipClock.jump || hasSteppedBack else { return }
    offset = offset - distance
    packet.move(by: -distance)
    faults.insert(.restarted)
  }

  private mutating func forgetAbsurdTimes(_ packet: Packet, expected: Timestamp?) {
    guard let expected else { return }
    if let time = packet.decodingTime, (time - expected).magnitude > ClipClock.absurdity {
      packet.decodingTime = nil
      faults.insert(.absurd)
    }
    if let time = packet.presentationTime, (time - expected).magnitude > ClipClock.absurdity {
      packet.presentationTime = nil
      faults.insert(.absurd)
    }
  }

  /// How long a packet lasts, as it says or else as its kind has it.
  private func length(of packet: Packet, _ stream: UnsafeMutablePointer<AVStream>) -> Timestamp {
    if packet.duration.ticks > 0 { return packet.duration }
    let parameters = stream.pointee.codecpar
    if parameters?.pointee.codec_type == AVMEDIA_TYPE_AUDIO {
      let samples = av_get_audio_frame_duration2(parameters, packet.pointer.pointee.size)
      let rate = parameters?.pointee.sample_rate ?? 0
      return rate > 0 && samples > 0
        ? Timestamp(clamping: Int64(samples), AVRational(num: 1, den: rate)) : .zero
    }
    let rate = stream.pointee.avg_frame_rate
    return rate.num > 0 && rate.den > 0 ? Timestamp(clamping: 1, av_inv_q(rate)) : .zero
  }
}
