import CLibAV

/// A clip's chapters, moved with the chosen part.
enum Chapters {
  /// Muxers that write chapters.
  static let containers: Set<String> = [
    "mp4", "mov", "ipod", "3gp", "3g2", "psp", "f4v", "ismv", "matroska", "webm", "nut", "ogg", "ogv", "asf",
  ]

  static func copy(
    from source: UnsafeMutablePointer<AVFormatContext>, part: Part,
    to output: UnsafeMutablePointer<AVFormatContext>
  ) throws {
    let count = Int(source.pointee.nb_chapters)
    guard count > 0 else { return }
    guard let list = av_calloc(count, MemoryLayout<UnsafeMutablePointer<AVChapter>?>.stride) else {
      throw MediaError(.io, "out of memory for chapters")
    }
    // Freed with the output.
    let chapters = list.assumingMemoryBound(to: UnsafeMutablePointer<AVChapter>?.self)
    output.pointee.chapters = chapters
    for index in 0..<count {
      guard let chapter = source.pointee.chapters[index]?.pointee else { continue }
      let shift = av_rescale_q(part.shift, microsecondTimeBase, chapter.time_base)
      let begin = part.begin.map { av_rescale_q($0, microsecondTimeBase, chapter.time_base) }
      let end = part.end.map { av_rescale_q($0, microsecondTimeBase, chapter.time_base) }
      if let begin, chapter.end <= begin { continue }
      if let end, chapter.start >= end { continue }
      guard let memory = av_mallocz(MemoryLayout<AVChapter>.size) else {
        throw MediaError(.io, "out of memory for chapters")
      }
      let copy = memory.assumingMemoryBound(to: AVChapter.self)
      copy.pointee.id = chapter.id
      copy.pointee.time_base = chapter.time_base
      copy.pointee.start = max(chapter.start, begin ?? chapter.start) - shift
      copy.pointee.end = min(chapter.end, end ?? chapter.end) - shift
      av_dict_copy(&copy.pointee.metadata, chapter.metadata, 0)
      chapters[Int(output.pointee.nb_chapters)] = copy
      output.pointee.nb_chapters += 1
    }
  }
}
