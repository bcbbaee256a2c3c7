import CLibAV

/// A clip's frames as they are decoded, with what is known of where they come from: container or picture files.
struct OpenedInput {
  let source: any DecodedFrames
  let part: Part
  let formatName: String
  let codecName: String
  /// Device and inode of an input that is a file or directory.
  let identity: FileIdentity?
  /// It can be opened once more, and then gives the same.
  let isRepeatable: Bool

  /// - Parameters:
  ///   - path: as a `MediaReader` takes it.
  ///   - warn: told what was wrong without being an error.
  /// - Throws: `MediaError`.
  init(
    path: String, options: InputOptions, warn: @escaping (String) -> Void,
    isCancelled: @escaping @Sendable () -> Bool
  ) throws {
    if path != "-", options.format == nil, let files = try ImageSequence.files(at: path) {
      if let size = options.videoSize {
        throw MediaError(.usage, "--video-size \(size.width)x\(size.height): pictures have their own size")
      }
      let images = try ImageSequenceSource(files: files, options: options, isCancelled: isCancelled)
      source = images
      (formatName, codecName) = (images.formatName, images.codecName)
      let pattern = ImageSequence.isDirectory(path) ? nil : ImageSequence.Pattern(path)
      identity = FileIdentity(path: pattern?.directory ?? path)
      part = Part(origin: .zero, options: options)
      isRepeatable = true
    } else {
      let demuxer = try Demuxer(
        path: path, format: options.format, options: options.libavOptions, maximumPixels: options.maximumPixels,
        isCancelled: isCancelled)
      let video = try StreamSource(demuxer: demuxer, warn: warn)
      source = video
      (formatName, codecName) = (demuxer.formatName, video.codecName)
      identity = demuxer.io.flatMap { FileIdentity(descriptor: $0.descriptor) }
      part = Part(origin: demuxer.origin, countsFromOrigin: demuxer.beginsAnywhere, options: options)
      if let begin = part.begin, options.start ?? 0 > 0, demuxer.isSeekable { video.seek(to: begin) }
      isRepeatable = path != "-" && demuxer.io?.isRegularFile == true
    }
  }
}
