import CLibAV

/// What the display was like that a clip was mastered on, and how bright it gets (SMPTE ST 2086, CTA-861.3).
struct HighDynamicRange {
  private var display: AVMasteringDisplayMetadata?
  private var light: AVContentLightMetadata?

  /// - Parameter sideData: A stream's.
  /// - Returns: nil where there is nothing of the kind.
  init?(_ sideData: [(type: AVPacketSideDataType, bytes: [UInt8])]) {
    for (type, bytes) in sideData {
      switch type {
      case AV_PKT_DATA_MASTERING_DISPLAY_METADATA: display = HighDynamicRange.load(bytes)
      case AV_PKT_DATA_CONTENT_LIGHT_LEVEL: light = HighDynamicRange.load(bytes)
      default: break
      }
    }
    if display == nil && light == nil { return nil }
  }

  private static func load<Value>(_ bytes: [UInt8]) -> Value? {
    guard bytes.count >= MemoryLayout<Value>.size else { return nil }
    return bytes.withUnsafeBytes { $0.loadUnaligned(as: Value.self) }
  }

  /// Muxers that write it beside the stream.
  static let containers: Set<String> = ["mp4", "mov", "matroska", "webm"]

  /// For the encoder libx265, which writes it into the stream, in its notation.
  var x265Parameters: [String] {
    var parameters: [String] = []
    if let display, display.has_primaries != 0, display.has_luminance != 0 {
      let (red, green, blue) = display.display_primaries
      // Units of 0.00002, and of 0.0001 candela per square metre.
      let point = { (x: AVRational, y: AVRational) in "(\(units(x, 50000)),\(units(y, 50000)))" }
      parameters.append(
        "master-display=G\(point(green.0, green.1))B\(point(blue.0, blue.1))R\(point(red.0, red.1))"
          + "WP\(point(display.white_point.0, display.white_point.1))"
          + "L(\(units(display.max_luminance, 10000)),\(units(display.min_luminance, 10000)))")
    }
    if let light { parameters.append("max-cll=\(light.MaxCLL),\(light.MaxFALL)") }
    return parameters
  }

  private func units(_ value: AVRational, _ perOne: Double) -> Int {
    value.den == 0 ? 0 : Int(min(max(0, (av_q2d(value) * perOne).rounded()), 4e9))
  }
}
