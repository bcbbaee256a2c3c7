import CLibAV
import Glibc

/// Decoded frames of a container's video stream. Packets of the other streams go to `onOtherPacket` as they are met.
final class StreamSource: DecodedFrames {
  let demuxer: Demuxer
  let stream: UnsafeMutablePointer<AVStream>
  let timeBase: AVRational
  let frameRate: AVRational
  var onOtherPacket: (Packet) throws -> Void = { _ in }

  private let decoder: Decoder
  private let warn: (String) -> Void
  /// Packets read ahead of their turn by `peekTimestamps`.
  private var readAhead: [Packet] = []
  private var readerAtEnd = false
  private var endOfLastPacket: Int64 = 0
  private var decoderAtEnd = false
  private var rising: RisingTimes
  private var frameCount = 0
  private var firstDecodingError: String?

  init(demuxer: Demuxer, warn: @escaping (String) -> Void) throws {
    self.demuxer = demuxer
    self.warn = warn
    demuxer.warn = warn
    stream = try demuxer.videoStream()
    timeBase = stream.pointee.time_base
    frameRate = av_guess_frame_rate(demuxer.context, stream, nil)
    rising = RisingTimes(timeBase: timeBase, rate: frameRate)
    decoder = try Decoder(stream: stream, in: demuxer.name)
    _ = LibAVLog.takeErrors()
  }

  var codecName: String { String(cString: avcodec_get_name(stream.pointee.codecpar.pointee.codec_id)) }

  /// Frames of the whole stream as the container has them, which may be wrong; nil if it does not say.
  var claimedFrameCount: Int? {
    // Ninety days of video, at most.
    let mostSeconds = 90 * 24 * 3600.0
    let length = Timestamp(clamping: demuxer.context.pointee.duration, microsecondTimeBase).seconds
    let rate = frameRate.num > 0 && frameRate.den > 0 ? av_q2d(frameRate) : 25
    let count = stream.pointee.nb_frames
    let frames = count > 0 ? Double(count) : (length * rate).rounded()
    return frames >= 1 && frames <= mostSeconds * rate && frames < 1e9 ? Int(frames) : nil
  }

  /// Moves to the last key frame well before `time`, of the container's clock, where the container can.
  func seek(to time: Timestamp) {
    // Frames of the key frame's group may be shown before it: half a second earlier is early enough.
    demuxer.seek(stream, before: time - Timestamp(seconds: 0.5))
  }

  // MARK: Frames

  func next(into frame: Frame) throws -> Bool {
    while true {
      let code = decoder.receive(into: frame)
      if code == 0 {
        guard
          let time = rising.next(Timestamp(frame.pointer.pointee.best_effort_timestamp, timeBase), warn: warnOfTimes)
        else { continue }
        frame.timeBase = timeBase
        frame.time = time
        // A container may know better than the codec.
        frame.pointer.pointee.sample_aspect_ratio = av_guess_sample_aspect_ratio(
          demuxer.context, stream, frame.pointer)
        frameCount += 1
        return true
      }
      if code == FATEZERO_AVERROR_EOF || (decoderAtEnd && code != 0) {
        try finishDecoding()
        return false
      }
      if code != -EAGAIN { noteDecodingError(code) }
      if let packet = try nextVideoPacket() {
        let code = decoder.send(packet)
        if code < 0 && code != -EAGAIN { noteDecodingError(code) }
      } else {
        _ = decoder.send(nil)
        decoderAtEnd = true
      }
    }
  }

  func displayMatrix(of frame: Frame) -> [Int32] { DisplayMatrix.matrix(of: frame, in: stream) }

  private func warnOfTimes(_ fault: RisingTimes.Fault) { warn("\(demuxer.name): \(fault)") }

  private func noteDecodingError(_ code: Int32) {
    if firstDecodingError != nil { return }
    let text = MediaError(code: code, "\(demuxer.name): decoding \(codecName)", as: .badData).description
    firstDecodingError = text
    warn("\(text); frames that cannot be decoded are left out")
  }

  private func finishDecoding() throws {
    let logged = LibAVLog.takeErrors().joined(separator: "; ")
    if frameCount == 0 {
      let reason = firstDecodingError ?? "\(demuxer.name): there is no frame in its video stream"
      throw MediaError(.badData, reason + (logged.isEmpty ? "" : " (\(logged))"))
    }
    if !logged.isEmpty && firstDecodingError == nil { warn("\(demuxer.name): \(logged)") }
  }

  // MARK: Packets

  private func nextVideoPacket() throws -> Packet? {
    while let packet = try nextPacket() {
      if packet.pointer.pointee.stream_index != stream.pointee.index {
        try onOtherPacket(packet)
      } else if isShort(packet) {
        warnOfShortFrame()
      } else {
        return packet
      }
    }
    return nil
  }

  private func warnOfShortFrame() { warn("\(demuxer.name): it ends within a frame; that frame is left out") }

  /// A raw frame that the file ended in.
  private func isShort(_ packet: Packet) -> Bool {
    let parameters = stream.pointee.codecpar.pointee
    let expected = av_image_get_buffer_size(
      AVPixelFormat(parameters.format), parameters.width, parameters.height, 1)
    return parameters.codec_id == AV_CODEC_ID_RAWVIDEO && packet.pointer.pointee.size < expected
  }

  private func nextPacket() throws -> Packet? {
    if !readAhead.isEmpty { return readAhead.removeFirst() }
    return try readPacket()
  }

  private func readPacket() throws -> Packet? {
    if readerAtEnd { return nil }
    let packet = try Packet()
    while true {
      let code = demuxer.read(into: packet)
      if code >= 0 {
        endOfLastPacket = avio_tell(demuxer.context.pointee.pb)
        return packet
      }
      if code == -EAGAIN { continue }
      readerAtEnd = true
      // libav's y4m reader drops a short last frame silently.
      if demuxer.formatName == "yuv4mpegpipe", avio_tell(demuxer.context.pointee.pb) > endOfLastPacket {
        warnOfShortFrame()
      }
      if code == -EIO || code == FATEZERO_AVERROR_EXIT { throw MediaError(code: code, demuxer.name, as: .io) }
      if code != FATEZERO_AVERROR_EOF {
        warn("\(MediaError(code: code, demuxer.name, as: .badData).description); the frames before are used")
      }
      return nil
    }
  }

  /// Hands over the other streams' packets up to `time`, of the container's clock, after the last frame that was wanted.
  func readOtherStreams(until time: Timestamp) throws {
    // How far apart a container's streams may lie: libav's own limit for interleaving.
    let farthest = time + Timestamp(seconds: 10)
    var behind = Set(
      demuxer.streams.filter { $0.pointee.codecpar.pointee.codec_type == AVMEDIA_TYPE_AUDIO }.map(\.pointee.index))
    while !behind.isEmpty, let packet = try nextPacket() {
      let index = packet.pointer.pointee.stream_index
      if let reached = packet.time {
        if reached >= time { behind.remove(index) }
        if reached >= farthest { return }
      }
      if index != stream.pointee.index { try onOtherPacket(packet) }
    }
  }

  /// Times of the first packets of an input that can be read only once; the packets keep their turn.
  /// - Returns: nil if the container gives none.
  func peekTimes() throws -> [Timestamp]? {
    let mostPackets = 64
    let mostBytes = 32 << 20
    var bytes = 0
    var times: [Timestamp] = []
    while times.count < mostPackets, bytes < mostBytes, let packet = try readPacket() {
      readAhead.append(packet)
      bytes += Int(packet.pointer.pointee.size)
      guard packet.pointer.pointee.stream_index == stream.pointee.index else { continue }
      guard let time = packet.presentationTime else { return nil }
      times.append(time)
    }
    return times
  }
}
