import CLibAV

/// Hands packets to a muxer in the order of time that muxers insist on, as the ffmpeg command does.
final class PacketMuxer {
  private let context: UnsafeMutablePointer<AVFormatContext>
  private let name: String
  private let warn: (String) -> Void
  /// Of the last packet, by stream.
  private var lastTimes: [Int32: Timestamp] = [:]
  private var hasWarned: Set<Fault> = []

  private enum Fault { case order, absent }

  /// - Parameter name: The output's, for messages.
  init(_ context: UnsafeMutablePointer<AVFormatContext>, name: String, warn: @escaping (String) -> Void) {
    (self.context, self.name, self.warn) = (context, name, warn)
  }

  /// Writes a packet, its times in its time base, and takes its data.
  func write(_ packet: Packet, to stream: UnsafeMutablePointer<AVStream>) throws {
    packet.rescale(to: stream.pointee.time_base)
    packet.pointer.pointee.stream_index = stream.pointee.index
    packet.pointer.pointee.pos = -1
    guard order(packet, of: stream) else { return }
    try check(av_interleaved_write_frame(context, packet.pointer), "writing \(name)", as: .io)
  }

  /// Makes decoding times rise, and no later than the presentation.
  /// - Returns: false for a packet that has no time at all.
  private func order(_ packet: Packet, of stream: UnsafeMutablePointer<AVStream>) -> Bool {
    let flags = context.pointee.oformat.pointee.flags
    if flags & AVFMT_NOTIMESTAMPS != 0 || stream.pointee.disposition & AV_DISPOSITION_ATTACHED_PIC != 0 { return true }
    let last = lastTimes[stream.pointee.index]
    guard let presentation = packet.presentationTime ?? packet.decodingTime else {
      warn(.absent, "packets without a time are left out", of: stream)
      return false
    }
    var decoding = packet.decodingTime ?? presentation
    if decoding > presentation {
      warn(.order, "times that do not rise are corrected", of: stream)
      // The middle one, as ffmpeg guesses.
      let candidates = [presentation, decoding, last?.next ?? presentation].sorted()
      decoding = candidates[1]
      packet.presentationTime = decoding
    }
    if let last {
      let least = flags & AVFMT_TS_NONSTRICT != 0 ? last : last.next
      if decoding < least {
        // ffmpeg, too, says nothing of what rounding does to sound.
        let isVideo = stream.pointee.codecpar.pointee.codec_type == AVMEDIA_TYPE_VIDEO
        if isVideo || least - decoding > Timestamp(clamping: 2, decoding.timeBase) {
          warn(.order, "times that do not rise are corrected", of: stream)
        }
        decoding = least
      }
    }
    packet.decodingTime = decoding
    packet.presentationTime = packet.presentationTime.map { max($0, decoding) }
    lastTimes[stream.pointee.index] = decoding
    return true
  }

  private func warn(_ fault: Fault, _ text: String, of stream: UnsafeMutablePointer<AVStream>) {
    if hasWarned.insert(fault).inserted { warn("\(name), \(stream.summary): \(text)") }
  }
}
