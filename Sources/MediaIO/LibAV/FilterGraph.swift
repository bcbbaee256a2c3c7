import CLibAV
import Glibc

/// A libavfilter graph with one input and one output.
final class FilterGraph {
  /// What enters a graph for pictures.
  struct Video: Equatable {
    var width: Int32
    var height: Int32
    var pixelFormat: AVPixelFormat
    var timeBase: AVRational
    var sampleAspect: AVRational
    var frameRate: AVRational

    static func == (left: Video, right: Video) -> Bool {
      left.width == right.width && left.height == right.height && left.pixelFormat == right.pixelFormat
        && av_cmp_q(left.sampleAspect, right.sampleAspect) == 0
    }
  }

  /// What enters a graph for sound.
  struct Audio {
    var sampleRate: Int32
    var sampleFormat: AVSampleFormat
    var channelLayout: String
  }

  enum Pull { case frame, needsInput, end }

  private let graph: UnsafeMutablePointer<AVFilterGraph>
  private let source: UnsafeMutablePointer<AVFilterContext>
  private let sink: UnsafeMutablePointer<AVFilterContext>
  private let description: String

  /// - Parameter description: filters in libavfilter's notation; empty passes frames through.
  convenience init(video: Video, description: String) throws {
    var arguments =
      "video_size=\(video.width)x\(video.height):pix_fmt=\(video.pixelFormat.rawValue)"
      + ":time_base=\(video.timeBase.num)/\(video.timeBase.den)"
      + ":pixel_aspect=\(video.sampleAspect.num)/\(max(video.sampleAspect.den, 1))"
    if video.frameRate.num > 0 { arguments += ":frame_rate=\(video.frameRate.num)/\(video.frameRate.den)" }
    try self.init(
      source: "buffer", arguments: arguments, sink: "buffersink",
      description: description.isEmpty ? "null" : description)
  }

  convenience init(audio: Audio, description: String) throws {
    let arguments =
      "time_base=1/\(audio.sampleRate):sample_rate=\(audio.sampleRate):sample_fmt=\(audio.sampleFormat.rawValue)"
      + ":channel_layout=\(audio.channelLayout)"
    try self.init(source: "abuffer", arguments: arguments, sink: "abuffersink", description: description)
  }

  private init(source sourceName: String, arguments: String, sink sinkName: String, description: String) throws {
    LibAVLog.start()
    self.description = description
    var graph = avfilter_graph_alloc()
    var source: UnsafeMutablePointer<AVFilterContext>?
    var sink: UnsafeMutablePointer<AVFilterContext>?
    do {
      guard let graph else { throw MediaError(.io, "out of memory for a filter") }
      // For conversions that libavfilter inserts between filters.
      graph.pointee.scale_sws_opts = av_strdup("flags=bicubic+accurate_rnd+full_chroma_int")
      try check(
        avfilter_graph_create_filter(&source, avfilter_get_by_name(sourceName), "in", arguments, nil, graph),
        "filter input", as: .badData)
      try check(
        avfilter_graph_create_filter(&sink, avfilter_get_by_name(sinkName), "out", nil, nil, graph),
        "filter output", as: .io)
      try FilterGraph.parse(description, into: graph, from: source, to: sink)
    } catch {
      avfilter_graph_free(&graph)
      throw error
    }
    guard let graph, let source, let sink else { throw MediaError(.io, "out of memory for a filter") }
    self.graph = graph
    self.source = source
    self.sink = sink
  }

  private static func parse(
    _ description: String, into graph: UnsafeMutablePointer<AVFilterGraph>,
    from source: UnsafeMutablePointer<AVFilterContext>?, to sink: UnsafeMutablePointer<AVFilterContext>?
  ) throws {
    // The graph's open input is fed by the source's output, and the other way round.
    var outputs = avfilter_inout_alloc()
    var inputs = avfilter_inout_alloc()
    defer {
      avfilter_inout_free(&outputs)
      avfilter_inout_free(&inputs)
    }
    guard let output = outputs, let input = inputs else { throw MediaError(.io, "out of memory for a filter") }
    output.pointee.name = av_strdup("in")
    output.pointee.filter_ctx = source
    input.pointee.name = av_strdup("out")
    input.pointee.filter_ctx = sink
    try check(
      avfilter_graph_parse_ptr(graph, description, &inputs, &outputs, nil), "filter '\(description)'", as: .usage)
    guard inputs == nil, outputs == nil else {
      throw MediaError(.usage, "filter '\(description)': it must have exactly one input and one output")
    }
    try check(avfilter_graph_config(graph, nil), "filter '\(description)'", as: .usage)
  }

  deinit {
    var graph: UnsafeMutablePointer<AVFilterGraph>? = graph
    avfilter_graph_free(&graph)
  }

  // MARK: What leaves the graph

  /// The frame rate is 0/1 or 1/0 where the filters make it variable.
  var video: Video {
    Video(
      width: av_buffersink_get_w(sink), height: av_buffersink_get_h(sink),
      pixelFormat: AVPixelFormat(av_buffersink_get_format(sink)), timeBase: av_buffersink_get_time_base(sink),
      sampleAspect: av_buffersink_get_sample_aspect_ratio(sink), frameRate: av_buffersink_get_frame_rate(sink))
  }

  var timeBase: AVRational { av_buffersink_get_time_base(sink) }

  /// Sample rate, format and channels of what leaves a graph for sound.
  func describeAudio(to encoder: UnsafeMutablePointer<AVCodecContext>) throws {
    encoder.pointee.sample_rate = av_buffersink_get_sample_rate(sink)
    encoder.pointee.sample_fmt = AVSampleFormat(av_buffersink_get_format(sink))
    try check(av_buffersink_get_ch_layout(sink, &encoder.pointee.ch_layout), "sound channels", as: .io)
  }

  /// Every frame of sound then has this many samples, but for the last.
  func setFrameSize(_ samples: Int32) { av_buffersink_set_frame_size(sink, UInt32(samples)) }

  /// Names of all filters in the graph.
  var filterNames: [String] {
    (0..<Int(graph.pointee.nb_filters)).compactMap { index in
      graph.pointee.filters[index].map { String(cString: $0.pointee.filter.pointee.name) }
    }
  }

  // MARK: Frames

  /// - Parameter frame: nil: the end. The frame's data moves into the graph.
  func push(_ frame: Frame?) throws {
    try check(av_buffersrc_add_frame(source, frame?.pointer), "filter '\(description)'", as: .badData)
  }

  /// Fills in the next frame, its time in `timeBase`.
  func pull(into frame: Frame) throws -> Pull {
    av_frame_unref(frame.pointer)
    let code = av_buffersink_get_frame(sink, frame.pointer)
    if code == -EAGAIN { return .needsInput }
    if code == FATEZERO_AVERROR_EOF { return .end }
    try check(code, "filter '\(description)'", as: .badData)
    frame.timeBase = timeBase
    return .frame
  }
}
