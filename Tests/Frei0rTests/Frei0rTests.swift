import CFrei0rFateZero
import FoundationEssentials
import TestSupport
import Testing

/// The plug-in as a host sees it. What it does with frames is tested through ffmpeg and GStreamer.
@Suite struct Frei0rTests {
  @Test func parametersAreTexts() {
    var plugin = f0r_plugin_info_t()
    f0r_get_plugin_info(&plugin)
    #expect(Int(plugin.plugin_type) == F0R_PLUGIN_TYPE_FILTER)
    #expect(Int(plugin.color_model) == F0R_COLOR_MODEL_RGBA8888)
    #expect(Int(plugin.frei0r_version) == F0R_INTERFACE_VERSION)
    let names = (0..<plugin.num_params).map { index in
      var parameter = f0r_param_info_t()
      f0r_get_param_info(&parameter, index)
      #expect(Int(parameter.type) == F0R_PARAM_STRING)
      #expect(parameter.explanation != nil)
      return String(cString: parameter.name)
    }
    #expect(names == ["edit", "settings", "video-size"])
  }

  @Test func valuesAreKept() throws {
    let instance = try #require(f0r_construct(64, 64))
    defer { f0r_destruct(instance) }
    "a tiger".withCString { text in
      var value: UnsafePointer<CChar>? = text
      f0r_set_param_value(instance, &value, 0)
      // No parameter of the plug-in's.
      f0r_set_param_value(instance, &value, 3)
      f0r_set_param_value(instance, &value, -1)
      f0r_set_param_value(instance, nil, 1)
    }
    let values = (0..<3).map { index in
      var value: UnsafePointer<CChar>?
      f0r_get_param_value(instance, &value, Int32(index))
      return value.map { String(cString: $0) }
    }
    #expect(values == ["a tiger", "", ""])
  }

  @Test(arguments: [(12, 8), (100, 100), (0, 8), (8, 0), (65544, 8), (8, 65537)])
  func sizesThatCannotBeAreRefused(width: UInt32, height: UInt32) {
    #expect(f0r_construct(width, height) == nil)
  }

  /// Hosts construct while they scan, with any size.
  @Test func constructionIsFree() {
    func resident() -> Int {
      let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
      return Int(text.split(separator: " ")[1]) ?? 0
    }
    let before = resident()
    let instances = (0..<100).map { _ in f0r_construct(65536, 65536) }
    print("100 instances of 65536x65536: \((resident() - before) * 4) KiB")
    #expect(instances.allSatisfy { $0 != nil })
    #expect(resident() - before < 1024)
    instances.forEach(f0r_destruct)
    f0r_destruct(nil)
  }

  /// New values hold from the next window on; the frames keep their order and their delay.
  @Test func parametersMayChangeBetweenWindows() throws {
    let (width, height, window) = (64, 64, 2)
    let instance = try #require(f0r_construct(UInt32(width), UInt32(height)))
    defer { f0r_destruct(instance) }
    func set(_ text: String, _ index: Int32) {
      text.withCString {
        var value: UnsafePointer<CChar>? = $0
        f0r_set_param_value(instance, &value, index)
      }
    }
    func frame(_ number: Int) -> [UInt32] {
      (0..<UInt32(width * height)).map { pixel in
        (55 + (pixel + UInt32(number)) % 200) << 24 | (pixel &* 2_654_435_761 &+ UInt32(number) &* 40503) & 0xFF_FFFF
      }
    }
    let settings = "size=64x64&steps=2&clip-length=\(window)&model=\(Workbench.model)"
    set("a [cat -> tiger] on the grass", 0)
    set(settings, 1)
    var results: [[UInt32]] = []
    for number in 0..<12 {
      // Windows of two frames are edited at frames 2, 4, ...: the second with a mistake, the third without.
      if number == 3 { set(settings + "&steps=0", 1) }
      if number == 5 { set(settings, 1) }
      var result = [UInt32](repeating: 0, count: width * height)
      f0r_update(instance, 0, frame(number), &result)
      results.append(result)
    }
    let isEdited = (window..<12).map { results[$0] != frame($0 - window) }
    #expect(Array(results[..<window]) == (0..<window).map(frame))
    #expect(isEdited == [true, true, false, false, true, true, true, true, true, true])
    let transparency = { (pixels: [UInt32]) in pixels.map { $0 >> 24 } }
    for number in window..<12 {
      #expect(transparency(results[number]) == transparency(frame(number - window)), "alpha stays")
    }
  }
}
