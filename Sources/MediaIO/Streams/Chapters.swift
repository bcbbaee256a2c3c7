import CLibAV

/// A clip's chapters, moved with the chosen part.
enum Chapters {
  /// Muxers that write chapters.
  static let containers: Set<String> = [
    "mp4", "mov", "ipod", "3gp", "3g2", "psp", "f4v", "ismv", "matroska", "webm", "nut", "ogg", "ogv", "asf",
  ]

  /// Later than any clip ends; muxers refuse what they cannot count.
  private static let latest = Timestamp(seconds: 1e9)

  /// - Parameter warn: Told of chapters that no clip can have.
  static func copy(
    from source: UnsafeMutablePointer<AVFormatContext>, part: Part,
    to output: UnsafeMutablePointer<AVFormatContext>, warn: (String) -> Void
  ) throws {
    let count = Int(source.pointee.nb_chapters)
    guard count > 0 else { return }
    guard let list = av_calloc(count, MemoryLayout<UnsafeMutablePointer<AVChapter>?>.stride) else {
      throw MediaError(.io, "out of memory for chapters")
    }
    // Freed with the output.
    let chapters = list.assumingMemoryBound(to: UnsafeMutablePointer<AVChapter>?.self)
    output.pointee.chapters = chapters
    var impossible = 0
    for index in 0..<count {
      guard let chapter = source.pointee.chapters[index]?.pointee else { continue }
      guard let start = Timestamp(chapter.start, chapter.time_base), let end = Timestamp(chapter.end, chapter.time_base)
      else {
        impossible += 1
        continue
      }
      if let begin = part.begin, end <= begin { continue }
      if part.isBehind(start) { continue }
      let newStart = max(max(start, part.begin ?? start) - part.shift, .zero).rescaled(to: chapter.time_base)
      let newEnd = (min(end, part.end ?? end) - part.shift).rescaled(to: chapter.time_base)
      guard newStart <= newEnd, newEnd <= latest else {
        impossible += 1
        continue
      }
      guard let memory = av_mallocz(MemoryLayout<AVChapter>.size) else {
        throw MediaError(.io, "out of memory for chapters")
      }
      let copy = memory.assumingMemoryBound(to: AVChapter.self)
      copy.pointee.id = chapter.id
      copy.pointee.time_base = chapter.time_base
      copy.pointee.start = newStart.ticks
      copy.pointee.end = newEnd.ticks
      av_dict_copy(&copy.pointee.metadata, chapter.metadata, 0)
      chapters[Int(output.pointee.nb_chapters)] = copy
      output.pointee.nb_chapters += 1
    }
    if impossible > 0 {
      warn(
        "\(impossible == 1 ? "a chapter ends" : "\(impossible) chapters end") before the beginning or years after it: "
          + "left out")
    }
  }
}
