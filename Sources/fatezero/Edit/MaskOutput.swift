import FateZero
import MediaIO

/// Writes the blending masks of the edits as clips of their own.
struct MaskOutput {
  private let writers: [MediaWriter]

  /// - Parameter paths: One for each edit.
  /// - Throws: `CommandFailure` where an edit blends nothing.
  init(
    _ paths: [String], plan: EditPlan, overwrite: OutputOptions.Overwrite, source: MediaReader,
    warn: @escaping (String) -> Void
  ) throws {
    try Self.check(plan)
    writers = try paths.map { path in
      try MediaWriter(
        path: path, options: OutputOptions(overwrite: overwrite, keepsAttachments: false), source: source,
        width: plan.outputSize.width,
        height: plan.outputSize.height, warn: warn, isCancelled: { Interruption.isRequested })
    }
  }

  /// - Throws: `CommandFailure` where an edit blends nothing.
  static func check(_ plan: EditPlan) throws {
    for edit in plan.edits where !edit.blendsAttention && !edit.blendsLatents {
      throw CommandFailure(
        .usage,
        "--mask-output: the edit \"\(edit.settings.edit)\" has no blending mask; set blend-attention to on and name "
          + "the words to blend around, or give a --mask")
    }
  }

  /// - Parameter frames: The window's frames, for their timestamps.
  func write(_ window: ClipEditor.Window, at frames: [VideoFrame]) throws {
    for (writer, mask) in zip(writers, window.masks) {
      guard let mask else { continue }
      for (original, edited) in zip(frames, try mask.frames()) {
        let frame = try edited.frame()
        try writer.write(
          VideoFrame(
            width: frame.width, height: frame.height, pixels: frame.pixels, timestamp: original.timestamp,
            duration: original.duration))
      }
    }
  }

  func finish() throws {
    for writer in writers { try writer.finish() }
  }
}
