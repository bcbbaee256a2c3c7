import CLibAV

/// What a clip really holds, whatever its container says of its length: found by decoding it.
public struct FrameCensus: Sendable {
  /// Frames of the chosen part, after the input filter.
  public let count: Int
  /// When the last frame ends, in seconds.
  public let end: Double
  let timing: FrameTiming

  /// Reads a clip through an opening of its own, from the beginning to the end of the chosen part. What is wrong with it
  /// is told by who reads it for its frames.
  /// - Throws: `MediaError`.
  init(path: String, options: InputOptions, isCancelled: @escaping @Sendable () -> Bool) throws {
    let input = try OpenedInput(path: path, options: options, warn: { _ in }, isCancelled: isCancelled)
    let pipeline = FramePipeline(source: input.source, filter: options.filter ?? "", part: input.part, warn: { _ in })
    var times: [Int64] = []
    var last: (time: Timestamp, duration: Timestamp)?
    while times.count < options.frames ?? Int.max, let frame = try pipeline.next(), let time = frame.time {
      if isCancelled() { throw MediaError(.cancelled, "\(path): cancelled") }
      times.append(time.ticks)
      last = (time, frame.duration)
    }
    let output = pipeline.output
    count = times.count
    timing = FrameTiming(timestamps: times, timeBase: output.timeBase, rate: output.frameRate)
    let length = max(last?.duration ?? .zero, Timestamp(clamping: 1, av_inv_q(output.frameRate)))
    end = ((last?.time ?? .zero) + length).seconds
    _ = LibAVLog.takeErrors()
  }
}
