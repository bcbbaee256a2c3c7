import CLibAV

/// A decoded line of text subtitles, or several that begin together.
final class SubtitleLine {
  let begin: Timestamp
  /// nil where the clip does not say: until the next line.
  var end: Timestamp?
  private var subtitle: AVSubtitle
  /// Rectangles to be freed; encoders take one, with all text.
  private let rectangleCount: UInt32

  /// How long a line of unknown length stays where no other follows.
  private static let longestUnknown = Timestamp(seconds: 5)
  /// Lines that begin this close together begin together: the clock of most subtitle formats.
  private static let tick = Timestamp(seconds: 0.001)

  /// - Parameter subtitle: Becomes this line's.
  /// - Returns: nil for one that shows nothing.
  init?(_ subtitle: AVSubtitle) {
    self.subtitle = subtitle
    rectangleCount = subtitle.num_rects
    begin = SubtitleLine.time(subtitle, subtitle.start_display_time) ?? .zero
    let isKnown = subtitle.end_display_time > subtitle.start_display_time && subtitle.end_display_time < UInt32.max
    end = isKnown ? SubtitleLine.time(subtitle, subtitle.end_display_time) : nil
    if subtitle.pts == FATEZERO_AV_NOPTS_VALUE || events.isEmpty { return nil }
    show(events)
  }

  deinit {
    subtitle.num_rects = rectangleCount
    avsubtitle_free(&subtitle)
  }

  private static func time(_ subtitle: AVSubtitle, _ milliseconds: UInt32) -> Timestamp? {
    Timestamp(subtitle.pts, microsecondTimeBase).map {
      $0 + Timestamp(clamping: Int64(milliseconds), AVRational(num: 1, den: 1000))
    }
  }

  var latestEnd: Timestamp { begin + SubtitleLine.longestUnknown }

  /// At most what 32 bits of milliseconds hold.
  var length: Timestamp {
    min((end ?? latestEnd) - begin, Timestamp(clamping: Int64(UInt32.max - 1), AVRational(num: 1, den: 1000)))
  }

  /// - Returns: Bytes written, or an error code of libav.
  func encode(
    with encoder: UnsafeMutablePointer<AVCodecContext>, into buffer: UnsafeMutablePointer<UInt8>, capacity: Int32
  ) -> Int32 {
    subtitle.pts = begin.ticks
    subtitle.start_display_time = 0
    subtitle.end_display_time = UInt32(length.ticks(in: AVRational(num: 1, den: 1000)))
    return avcodec_encode_subtitle(encoder, buffer, capacity, &subtitle)
  }

  // MARK: Text

  /// Whether another line begins with this one.
  func begins(with line: SubtitleLine) -> Bool { (line.begin - begin).magnitude < SubtitleLine.tick }

  /// Takes the text of a line that begins with this one, below its own.
  func add(_ line: SubtitleLine) {
    end = end.flatMap { end in line.end.map { max(end, $0) } }
    show(events + line.events)
  }

  /// In the notation of ASS: order, layer, style, name, three margins, effect, text.
  private var events: [String] {
    (0..<Int(subtitle.num_rects)).compactMap { subtitle.rects?[$0]?.pointee.ass.map { String(cString: $0) } }
  }

  /// Puts all texts into the first rectangle, with what the first event says beside its text.
  private func show(_ events: [String]) {
    guard events.count > 1, let rectangle = subtitle.rects?[0] else { return }
    let texts = events.dropFirst().map { event in
      event.utf8.split(separator: UInt8(ascii: ","), maxSplits: 8, omittingEmptySubsequences: false).last.map {
        String($0) ?? ""
      } ?? ""
    }
    av_freep(&rectangle.pointee.ass)
    rectangle.pointee.ass = av_strdup(([events[0]] + texts).joined(separator: "\\N"))
    subtitle.num_rects = 1
  }
}
