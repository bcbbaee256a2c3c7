import FateZero
import MediaIO

/// Reads a mask of the user's own beside the clip: a picture that holds for all frames, or one picture for each.
final class MaskInput {
  private let reader: MediaReader
  private let size: FrameSize
  /// Pictures read so far, and the last of them.
  private var count = 0
  private var last: Frame?

  /// - Parameters:
  ///   - size: Of the clip's frames; a mask of another size is scaled to it.
  ///   - memoryLimit: Bytes that may be used; nil where nobody says.
  init(path: String, size: FrameSize, memoryLimit: Int?, warn: @escaping (String) -> Void) throws {
    self.size = size
    var options = InputOptions()
    options.maximumPixels = memoryLimit.map(InputOptions.pixels)
    options.filter = "scale=\(size.width):\(size.height):flags=area"
    reader = try MediaReader(path: path, options: options, warn: warn, isCancelled: { Interruption.isRequested })
  }

  /// The mask of the clip's next frame.
  /// - Throws: `CommandFailure` where a mask of several pictures has fewer than the clip.
  func nextFrame() throws -> Frame {
    if let next = try reader.nextFrame() {
      count += 1
      let frame = try Frame(width: next.width, height: next.height, pixels: next.pixels)
      last = frame
      return frame
    }
    guard let last, count == 1 else {
      throw CommandFailure(
        .data,
        "--mask \(reader.name) has \(Numerals.count(count, "picture")) and the clip more frames; give one picture for all, or "
          + "one for each frame")
    }
    return last
  }

  /// To be called behind the clip's last frame.
  func finish(warn: (String) -> Void) throws {
    if count > 1, try reader.nextFrame() != nil {
      warn("--mask \(reader.name) has more pictures than the \(count) frames of the clip; the others are not used")
    }
  }
}
