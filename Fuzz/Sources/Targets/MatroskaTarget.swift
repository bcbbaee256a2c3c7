import MediaIO

/// A Matroska file of pictures, sound, subtitles and chapters that is sound but for its times, which the input chooses, read and
/// written again.
struct MatroskaTarget: FuzzTarget {
  static let name = "matroska"
  static let maximumLength = 512
  let scratch: ScratchFolder

  func run(_ input: [UInt8]) throws {
    let flags = input.first ?? 0
    var builder = MatroskaBuilder(Array(input.dropFirst()))
    let path = try scratch.file("clip.mkv", builder.file())
    var options = InputOptions()
    if flags & 1 != 0 { options.start = Double(input.count % 7) }
    if flags & 2 != 0 { options.duration = Double(1 + input.count % 5) }
    if flags & 4 != 0 { options.frames = 2 }
    guard let reader = try? MediaReader(path: path, options: options) else { return }
    if flags & 8 != 0 { _ = try? reader.isVariableRate() }
    var writer: MediaWriter?
    if flags & 16 != 0 {
      writer = try? MediaWriter(
        path: "\(scratch.path)/result.mkv", options: OutputOptions(videoCodec: "mpeg4", overwrite: .replace),
        source: reader, width: reader.info.width, height: reader.info.height)
    }
    for _ in 0..<40 {
      guard let frame = try? reader.nextFrame() else { break }
      do { try writer?.write(frame) } catch { break }
    }
    try? writer?.finish()
    writer?.abandon()
  }
}
