import CLibAV
import Text

/// The encoder a container gets unless one is named, and the settings an encoder gets unless they are given.
enum EncoderDefaults {
  /// Containers that hold H.264 by custom, whatever libav's own default is.
  private static let h264Containers: Set<String> = ["mp4", "mov", "matroska", "ipod", "3gp", "3g2", "mpegts", "flv"]

  static func codec(for format: UnsafePointer<AVOutputFormat>, path: String) throws -> UnsafePointer<AVCodec> {
    let name = String(cString: format.pointee.name)
    if h264Containers.contains(name), let codec = avcodec_find_encoder_by_name("libx264") { return codec }
    if name == "webm", let codec = avcodec_find_encoder_by_name("libvpx-vp9") { return codec }
    if name == "nut", let codec = avcodec_find_encoder(AV_CODEC_ID_RAWVIDEO) { return codec }
    var id = av_guess_codec(format, nil, path, nil, AVMEDIA_TYPE_VIDEO)
    if name.begins(with: "image2"), !ImageSequence.isPicture(path) { id = AV_CODEC_ID_PNG }
    guard id != AV_CODEC_ID_NONE else { throw MediaError(.usage, "\(path): the format \(name) holds no video") }
    guard let codec = avcodec_find_encoder(id) else {
      throw MediaError(
        .usage,
        "\(path): libav has no encoder for \(String(cString: avcodec_get_name(id))); name one with --video-codec")
    }
    return codec
  }

  static func codec(named name: String) throws -> UnsafePointer<AVCodec> {
    if let codec = avcodec_find_encoder_by_name(name) { return codec }
    if let descriptor = avcodec_descriptor_get_by_name(name), let codec = avcodec_find_encoder(descriptor.pointee.id) {
      return codec
    }
    throw MediaError(.usage, "--video-codec \(name): libav has no such encoder")
  }

  /// Visually lossless settings; none where the user sets the rate.
  /// - Parameter dynamicRange: what the encoder is to write into the stream.
  static func options(
    for codec: UnsafePointer<AVCodec>, pixelFormat: AVPixelFormat, given: [(String, String)],
    dynamicRange: HighDynamicRange?
  ) -> [(String, String)] {
    let name = String(cString: codec.pointee.name)
    // x265 writes to stderr by itself.
    let parameters = ["log-level=error"] + (dynamicRange?.x265Parameters ?? [])
    var needed = name == "libx265" ? [("x265-params", parameters.joined(separator: ":"))] : []
    // VP8's alternative reference frames and transparency exclude each other.
    if name == "libvpx", pixelFormat.hasAlpha { needed.append(("auto-alt-ref", "0")) }
    let rateOptions: Set<String> = ["crf", "qp", "b", "global_quality", "lossless"]
    if given.contains(where: { rateOptions.contains($0.0) }) { return needed }
    switch name {
    case "libx264", "libx264rgb": return [("crf", "18")]
    case "libx265": return [("crf", "20")] + needed
    case "libvpx-vp9": return [("crf", "24"), ("b", "0")]
    case "libvpx": return [("crf", "10"), ("b", "8M")] + needed
    case "libaom-av1", "libsvtav1": return [("crf", "24")]
    case "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "msmpeg4", "flv", "libtheora":
      // The finest quantiser these are usually run with, 2, in libav's units of 118.
      return [("flags", "+qscale"), ("global_quality", name == "libtheora" ? "1180" : "236")]
    default: return []
    }
  }

  // MARK: Pixel formats

  /// The pixel format an encoder is given.
  /// - Parameters:
  ///   - asked: the user's choice.
  ///   - filtered: what leaves the output filter.
  ///   - source: what the clip was stored in.
  ///   - keepsAlpha: a format that can be transparent is wished for.
  static func pixelFormat(
    codec: UnsafePointer<AVCodec>, asked: String?, filtered: FilterGraph.Video, source: AVPixelFormat, keepsAlpha: Bool
  ) throws -> AVPixelFormat {
    let name = String(cString: codec.pointee.name)
    let isY4M = codec.pointee.id == AV_CODEC_ID_WRAPPED_AVFRAME
    let offered = AVPixelFormat.list(fatezero_pixel_formats(codec))
    let isOffered = { (format: AVPixelFormat) in offered.isEmpty || offered.contains(format) }
    let properties = avcodec_descriptor_get(codec.pointee.id)?.pointee.props ?? 0
    let isLossless = properties & AV_CODEC_PROP_LOSSLESS != 0 && properties & AV_CODEC_PROP_LOSSY == 0
    var format: AVPixelFormat
    if let asked {
      format = try .named(asked)
      if !isOffered(format) {
        throw MediaError(
          .usage,
          "--output-pixel-format \(asked): the encoder \(name) takes \(offered.map(\.name).joined(separator: ", "))")
      }
    } else if ![AV_PIX_FMT_RGB24, AV_PIX_FMT_RGBA].contains(filtered.pixelFormat), isOffered(filtered.pixelFormat) {
      format = filtered.pixelFormat
    } else if keepsAlpha, offered.isEmpty {
      format = AV_PIX_FMT_RGBA
    } else if keepsAlpha,
      let found = (isLossless || source.isRGB ? AV_PIX_FMT_RGBA : AV_PIX_FMT_YUVA420P)
        .closest(in: offered.filter(\.hasAlpha))
    {
      format = found
    } else if isY4M {
      format = source.closest(in: [AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUV444P]) ?? AV_PIX_FMT_YUV420P
    } else if isLossless {
      format = AV_PIX_FMT_RGB24.closest(in: offered) ?? AV_PIX_FMT_RGB24
    } else if codec.pointee.id == AV_CODEC_ID_MJPEG {
      // JPEG has the full range only.
      format = AV_PIX_FMT_YUVJ420P
    } else {
      let deep = source.bitDepth > 8 && isOffered(AV_PIX_FMT_YUV420P10LE)
      let wanted = deep ? AV_PIX_FMT_YUV420P10LE : AV_PIX_FMT_YUV420P
      format = isOffered(wanted) ? wanted : wanted.closest(in: offered) ?? wanted
    }
    let block = format.chromaBlock
    if isLossless || isY4M || (filtered.width % block.width == 0 && filtered.height % block.height == 0) {
      return format
    }
    let full =
      format.bitDepth > 8
      ? AV_PIX_FMT_YUV444P10LE : format.name.begins(with: "yuvj") ? AV_PIX_FMT_YUVJ444P : AV_PIX_FMT_YUV444P
    if asked == nil, !offered.isEmpty, offered.contains(full) { return full }
    throw MediaError(
      .usage,
      "\(filtered.width)x\(filtered.height) is an odd size for \(name) in \(format.name): make it even with "
        + "--output-filter pad=ceil(iw/2)*2:ceil(ih/2)*2")
  }
}
