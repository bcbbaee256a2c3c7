import Testing

/// The element in real GStreamer: between two pads of the tests' own, in pipelines, and under gst-launch. One test at a
/// time: each uses all the cores.
@Suite(.serialized)
struct GStreamerTests {}
