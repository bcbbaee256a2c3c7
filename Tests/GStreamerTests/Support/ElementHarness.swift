import CGstCheck
import Synchronization

/// The element (or a few) between two pads of the test's, without threads of its own: what is pushed is worked on at once.
final class ElementHarness {
  /// What an edited frame came with.
  struct Frame {
    let pixels: Pixels
    let pts: GstClockTime, dts: GstClockTime, duration: GstClockTime
    let offset: Int, offsetEnd: Int
    let flags: UInt32
    let metas: [String]
  }

  static let frameDuration: GstClockTime = 40_000_000

  let harness: UnsafeMutablePointer<GstHarness>
  let element: UnsafeMutablePointer<GstElement>
  let bus: Bus
  private(set) var format: VideoFormat
  private var pushed = 0
  private let log = Log()

  /// - Parameter caps: nil to send none yet.
  init(_ changes: [String: String] = [:], caps: String? = Element.caps) {
    element = Element.make(changes)
    bus = Bus(gst_bus_new())
    gst_element_set_bus(element, bus.pointer)
    let element = element
    harness = GStreamer.bounded("starting") { gst_harness_new_with_element(element, "sink", "src") }
    format = VideoFormat(caps ?? Element.caps)
    log.follow(pad: harness.pointee.sinkpad, bus: bus)
    if let caps { gst_harness_set_src_caps_str(harness, caps) }
  }

  deinit {
    let (harness, element) = (harness, element)
    GStreamer.bounded("stopping") { gst_harness_teardown(harness) }
    gst_element_set_bus(element, nil)
    gst_object_unref(element)
  }

  // MARK: In

  func setCaps(_ caps: String) {
    format = VideoFormat(caps)
    GStreamer.bounded("caps") { gst_harness_set_src_caps_str(harness, caps) }
  }

  /// Pushes a frame with a timestamp, a duration and an offset that tell its number.
  @discardableResult
  func push(_ pixels: Pixels? = nil, discontinuous: Bool = false, timed: Bool = true) -> GstFlowReturn {
    push(format.buffer(pixels ?? format.pattern(pushed)), discontinuous: discontinuous, timed: timed)
  }

  @discardableResult
  func push(
    _ buffer: UnsafeMutablePointer<GstBuffer>, discontinuous: Bool = false, timed: Bool = true
  ) -> GstFlowReturn {
    if timed {
      buffer.pointee.pts = GstClockTime(pushed) * Self.frameDuration
      buffer.pointee.dts = buffer.pointee.pts + 7
      buffer.pointee.duration = Self.frameDuration
    }
    buffer.pointee.offset = guint64(100 + pushed)
    buffer.pointee.offset_end = guint64(101 + pushed)
    if discontinuous { gst_buffer_set_flags(buffer, GstBufferFlags(GST_BUFFER_FLAG_DISCONT.rawValue)) }
    pushed += 1
    return GStreamer.bounded("a frame") { gst_harness_push(harness, buffer) }
  }

  func push(frames: Int) {
    for _ in 0..<frames { push() }
  }

  @discardableResult
  func send(_ event: UnsafeMutablePointer<GstEvent>) -> Bool {
    GStreamer.bounded("an event") { gst_harness_push_event(harness, event) != 0 }
  }

  @discardableResult
  func end() -> Bool { send(gst_event_new_eos()) }

  /// A flush as a seek makes it, with a new segment.
  func flush() {
    send(gst_event_new_flush_start())
    send(gst_event_new_flush_stop(1))
    var segment = GstSegment()
    gst_segment_init(&segment, GST_FORMAT_TIME)
    send(gst_event_new_segment(&segment))
  }

  // MARK: Out

  /// The frames that have come out and were not yet taken.
  func frames() -> [Frame] {
    var all: [Frame] = []
    while let buffer = gst_harness_try_pull(harness) {
      defer { gst_buffer_unref(buffer) }
      var metas: [String] = []
      var state: gpointer?
      while let meta = gst_buffer_iterate_meta(buffer, &state) {
        metas.append(String(cString: g_type_name(meta.pointee.info.pointee.api)))
      }
      all.append(
        Frame(
          pixels: format.pixels(buffer), pts: buffer.pointee.pts, dts: buffer.pointee.dts,
          duration: buffer.pointee.duration, offset: Int(buffer.pointee.offset),
          offsetEnd: Int(buffer.pointee.offset_end),
          flags: UInt32(gst_buffer_get_flags(buffer).rawValue), metas: metas))
    }
    return all
  }

  /// What left the element, in order, and what it said: `b` for a buffer, names of events in brackets, `+` and `-` where a
  /// progress operation began and ended.
  func order() -> String { log.take() }

  private final class Log: Sendable {
    private let text = Mutex("")

    func take() -> String {
      text.withLock { text in
        defer { text = "" }
        return text
      }
    }

    private func add(_ more: String) { text.withLock { $0 += more } }

    private static func log(_ data: gpointer?) -> Log? {
      data.map { Unmanaged<Log>.fromOpaque($0).takeUnretainedValue() }
    }

    func follow(pad: UnsafeMutablePointer<GstPad>, bus: Bus) {
      let this = Unmanaged.passUnretained(self).toOpaque()
      gst_pad_add_probe(
        pad,
        GstPadProbeType(
          GST_PAD_PROBE_TYPE_BUFFER.rawValue | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM.rawValue
            | GST_PAD_PROBE_TYPE_EVENT_FLUSH.rawValue),
        { _, info, data in
          guard let info, let item = info.pointee.data else { return GST_PAD_PROBE_OK }
          if info.pointee.type.rawValue & GST_PAD_PROBE_TYPE_BUFFER.rawValue != 0 {
            Log.log(data)?.add("b")
          } else {
            let type = item.assumingMemoryBound(to: GstEvent.self).pointee.type
            Log.log(data)?.add("[\(String(cString: gst_event_type_get_name(type)))]")
          }
          return GST_PAD_PROBE_OK
        }, this, nil)
      gst_bus_set_sync_handler(
        bus.pointer,
        { _, message, data in
          guard let message, let progress = Message(gst_message_ref(message)).progress else { return GST_BUS_PASS }
          switch progress.type {
          case GST_PROGRESS_TYPE_START: Log.log(data)?.add("+")
          case GST_PROGRESS_TYPE_CONTINUE: break
          default: Log.log(data)?.add("-")
          }
          return GST_BUS_PASS
        }, this, nil)
    }
  }
}
