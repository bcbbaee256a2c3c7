import MediaIO

/// A clip or a picture, behind a byte that chooses the file's name and the part that is read.
struct MediaTarget: FuzzTarget {
  static let name = "media"
  static let maximumLength = 8192
  let scratch: ScratchFolder

  static let endings = [
    "mp4", "y4m", "nut", "mkv", "png", "gif", "webp", "avi", "ts", "bin", "jpg", "wav", "ppm", "webm", "bmp", "tiff",
  ]

  func run(_ input: [UInt8]) throws {
    guard let flags = input.first else { return }
    let path = try scratch.file("clip." + Self.endings[Int(flags & 15)], Array(input.dropFirst()))
    // A huge picture takes its time, unless it is refused as by a memory limit.
    var options = InputOptions(maximumPixels: InputOptions.pixels(within: 64 << 20))
    if flags & 0x80 != 0 { (options.start, options.duration) = (0.5, 1) }
    if flags & 0x40 != 0 { options.frames = 3 }
    guard let reader = try? MediaReader(path: path, options: options) else { return }
    _ = try? reader.isVariableRate()
    for _ in 0..<12 {
      guard let frame = try? reader.nextFrame() else { break }
      try promise(
        frame.pixels.count == frame.width * frame.height * 3,
        "\(frame.pixels.count) bytes for \(frame.width)x\(frame.height)")
    }
  }
}
