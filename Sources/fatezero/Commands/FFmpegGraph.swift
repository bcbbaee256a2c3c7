import FateZero
import MediaIO

/// The filters of ffmpeg's `-vf` around the frei0r plug-in: what makes its delay, its alignment and its end of stream
/// invisible.
struct FFmpegGraph {
  /// What the graph is made for; where it is nil, nothing is known about the clip.
  struct Clip {
    var size: FrameSize
    /// Frames that come at varying intervals are first brought to this rate.
    var fixedRate: Rational?
    /// libav's names, for giving frames back as they came; nil where the reader of the graph decides.
    var pixelFormat: String?
    var colorMatrix: String?
    var colorRange: String?
  }

  var clip: Clip?
  var edit: String
  /// Given beside the edit.
  var settings: Settings.Layer
  /// Frames per window: the plug-in's delay.
  var clipLength: Int

  /// ffmpeg 5.1 hands frei0r plug-ins lines of a multiple of 64 bytes and does not tell.
  private static let widthStep = 16
  private static let heightStep = 8

  var text: String { filters.joined(separator: ",") }

  private var filters: [String] {
    var filters: [String] = []
    if let rate = clip?.fixedRate { filters.append("fps=\(rate.numerator)/\(rate.denominator)") }
    // The conversion that the command makes.
    filters += ["scale=flags=bicubic+accurate_rnd+full_chroma_int", "format=rgba"]
    let padded = clip.map { clip in
      FrameSize(
        width: Self.roundUp(clip.size.width, to: Self.widthStep),
        height: Self.roundUp(clip.size.height, to: Self.heightStep))
    }
    let isPadded = padded != nil && padded != clip?.size
    if let padded, isPadded { filters.append("pad=\(padded.width):\(padded.height)") }
    filters.append("tpad=stop=\(clipLength):color=black@0")

    var parameters = [Self.encoded(edit)]
    parameters.append(
      (settings + [("clip-length", "\(clipLength)")]).map { "\($0.name)=\(Self.encoded($0.text))" }
        .joined(separator: "&"))
    if let clip, isPadded { parameters.append("\(clip.size)") }
    filters.append("frei0r=filter_name=fatezero:filter_params=\(parameters.joined(separator: "|"))")

    filters.append("trim=start_frame=\(clipLength)")
    filters.append("setpts=round(PTS-\(clipLength)/(FRAME_RATE*TB))")
    if let clip, isPadded { filters.append("crop=\(clip.size.width):\(clip.size.height):0:0") }
    if let format = clip?.pixelFormat {
      var scale = "scale=flags=area+accurate_rnd+full_chroma_inp"
      if let matrix = clip?.colorMatrix { scale += ":out_color_matrix=\(matrix)" }
      if let range = clip?.colorRange { scale += ":out_range=\(range)" }
      filters += [scale, "format=\(format)"]
      // The conversion from RGB leaves the frames unmarked.
      if let matrix = clip?.colorMatrix { filters.append("setparams=colorspace=\(matrix)") }
    }
    return filters
  }

  private static func roundUp(_ value: Int, to step: Int) -> Int { (value + step - 1) / step * step }

  /// A value in the plug-in's notation, without any mark that libavfilter's three levels of quoting or a shell's quotes,
  /// of either kind, would take for their own.
  static func encoded(_ text: String) -> String {
    let bytes = Array(text.utf8)
    var result: [UInt8] = []
    for (index, byte) in bytes.enumerated() {
      // Blanks at the ends would be taken off.
      let isAtEnd = index == 0 || index == bytes.count - 1
      switch byte {
      case UInt8(ascii: " ") where !isAtEnd, UInt8(ascii: "@") where index > 0: result.append(byte)
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"),
        0x80...:
        result.append(byte)
      case _ where plain.contains(byte): result.append(byte)
      default: result += [UInt8(ascii: "%"), hexadecimal[Int(byte >> 4)], hexadecimal[Int(byte & 15)]]
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private static let plain = Set("-_./+=()<>?~^*".utf8)
  private static let hexadecimal = Array("0123456789ABCDEF".utf8)
}
