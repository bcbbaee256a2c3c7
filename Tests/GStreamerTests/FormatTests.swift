import CGstCheck
import TestSupport
import Testing

extension GStreamerTests {
  /// Every raw format goes in and comes out as itself, with the colours of its colorimetry.
  struct FormatTests {
    private static let formats: [String] = {
      GStreamer.start()
      var count: guint = 0
      guard let all = gst_video_formats_raw(&count) else { return [] }
      return (0..<Int(count)).map { String(cString: gst_video_format_to_string(all[$0])) }
    }()

    private static let settings = ["steps": "1", "guidance-scale": "1", "clip-length": "1"]

    /// A frame through `line` between two RGB pads.
    private func edited(_ line: String, size: (Int, Int)) -> (before: Pixels, after: Pixels) {
      let caps = "video/x-raw,format=RGB,width=\(size.0),height=\(size.1),framerate=25/1"
      let format = VideoFormat(caps)
      let pixels = format.pattern(0)
      let harness = GStreamer.bounded("starting") { gst_harness_new_parse(line) }
      defer { GStreamer.bounded("stopping") { gst_harness_teardown(harness) } }
      gst_harness_set_src_caps_str(harness, caps)
      GStreamer.bounded("a frame") { _ = gst_harness_push(harness, format.buffer(pixels)) }
      guard let buffer = gst_harness_try_pull(harness) else { return (pixels, Pixels(bytes: [])) }
      defer { gst_buffer_unref(buffer) }
      return (pixels, format.pixels(buffer))
    }

    private func luma(_ picture: Pixels) -> Pixels {
      let rgb = picture.bytes
      return Pixels(
        bytes: stride(from: 0, to: rgb.count, by: 3).map { (index: Int) -> UInt8 in
          let (red, green, blue) = (Int(rgb[index]), Int(rgb[index + 1]), Int(rgb[index + 2]))
          return UInt8((299 * red + 587 * green + 114 * blue) / 1000)
        })
    }

    /// The same frame as RGB and by way of the format: what differs is what the format cannot hold.
    @Test(arguments: formats, [33, 64])
    func everyFormat(name: String, width: Int) throws {
      let size = (width, width == 33 ? 17 : 48)
      let element = Element.line(Self.settings)
      let direct = edited("\(element) ! video/x-raw,format=RGB", size: size)
      let through = "videoconvert ! video/x-raw,format=\(name) ! \(element) ! video/x-raw,format=\(name) ! videoconvert "
        + "! video/x-raw,format=RGB"
      let result = edited(through, size: size)
      try #require(result.after.bytes.count == direct.after.bytes.count)
      let difference = luma(result.after).meanDifference(luma(direct.after))
      let change = luma(direct.before).meanDifference(luma(direct.after))
      print("\(name) \(size): luma differs by \(difference), the edit changes it by \(change)")
      #expect(difference < 0.35 * change)
    }
  }
}
