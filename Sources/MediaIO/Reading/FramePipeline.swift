import CLibAV

/// Decoded frames on their way to rgb24: cut to the part, turned upright, through the input filter.
final class FramePipeline {
  private let source: any DecodedFrames
  private let filter: String
  private let part: Part
  private let warn: (String) -> Void

  private var graph: FilterGraph?
  private var graphInput: FilterGraph.Video?
  private var graphMatrix: [Int32] = []
  private var inputEnded = false
  /// Frames the filters still held when the input changed its size or format.
  private var drained: [Frame] = []
  /// What leaves the first graph; later graphs must keep to its size.
  private var first: FilterGraph.Video?
  private var lastTime: Timestamp?

  init(source: any DecodedFrames, filter: String, part: Part, warn: @escaping (String) -> Void) {
    self.source = source
    self.filter = filter
    self.part = part
    self.warn = warn
  }

  /// Size, time base, aspect and rate of the frames; known once the first was read.
  var output: FilterGraph.Video {
    var output =
      first
      ?? FilterGraph.Video(
        width: 0, height: 0, pixelFormat: AV_PIX_FMT_NONE, timeBase: source.timeBase,
        sampleAspect: AVRational(num: 0, den: 1), frameRate: source.frameRate)
    if output.frameRate.num <= 0 || output.frameRate.den <= 0 { output.frameRate = source.frameRate }
    if output.frameRate.num <= 0 || output.frameRate.den <= 0 { output.frameRate = AVRational(num: 25, den: 1) }
    return output
  }

  var filterNames: [String] { graph?.filterNames ?? [] }

  /// The next frame, its time in the output's time base and rising; nil after the last.
  func next() throws -> Frame? {
    while true {
      if !drained.isEmpty { return rising(drained.removeFirst()) }
      if let graph {
        let frame = try Frame()
        switch try graph.pull(into: frame) {
        case .frame: return rising(frame)
        case .end: return nil
        case .needsInput: break
        }
      } else if inputEnded {
        return nil
      }
      try feed()
    }
  }

  /// A filter may give what times it likes; each frame is moved behind the one before.
  private func rising(_ frame: Frame) -> Frame {
    frame.rescale(to: output.timeBase)
    var time = frame.time ?? lastTime?.next ?? Timestamp(clamping: 0, frame.timeBase)
    if let lastTime, time <= lastTime { time = lastTime.next }
    frame.time = time
    lastTime = time
    return frame
  }

  /// Moves one decoded frame of the part into the filters.
  private func feed() throws {
    let frame = try Frame()
    while try source.next(into: frame) {
      guard let time = frame.time else { continue }
      if part.isBehind(time) { break }
      if part.isBefore(time) { continue }
      frame.time = time - part.shift
      try configure(for: frame)
      try graph?.push(frame)
      return
    }
    inputEnded = true
    try graph?.push(nil)
  }

  /// Makes the filters for the first frame, and again where the stream changes its size or format.
  private func configure(for frame: Frame) throws {
    let matrix = source.displayMatrix(of: frame)
    let input = FilterGraph.Video(
      width: frame.pointer.pointee.width, height: frame.pointer.pointee.height, pixelFormat: frame.pixelFormat,
      timeBase: source.timeBase, sampleAspect: frame.pointer.pointee.sample_aspect_ratio, frameRate: source.frameRate)
    if graph != nil, input == graphInput, matrix == graphMatrix { return }
    if let old = graph {
      try old.push(nil)
      while true {
        let frame = try Frame()
        guard try old.pull(into: frame) == .frame else { break }
        drained.append(frame)
      }
    }
    var filters = DisplayMatrix.filters(for: matrix)
    if !filter.isEmpty { filters.append(filter) }
    if let first {
      if graphInput?.width != input.width || graphInput?.height != input.height {
        warn("the picture changes its size to \(input.width)x\(input.height); it is scaled to the size it began with")
      }
      filters.append("scale=\(first.width):\(first.height)")
    }
    let new = try FilterGraph(video: input, description: filters.joined(separator: ","))
    graph = new
    graphInput = input
    graphMatrix = matrix
    if first == nil { first = new.video }
  }
}
