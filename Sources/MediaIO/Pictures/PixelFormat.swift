import CLibAV
import Text

extension AVPixelFormat {
  /// - Throws: a usage error for a name libav does not know, or a format libswscale cannot make.
  static func named(_ name: String) throws -> AVPixelFormat {
    let format = av_get_pix_fmt(name)
    guard format != AV_PIX_FMT_NONE else { throw MediaError(.usage, "pixel format \(name): libav has no such format") }
    guard sws_isSupportedOutput(format) > 0 else {
      throw MediaError(.usage, "pixel format \(name): libswscale cannot make it")
    }
    return format
  }

  var name: String { av_get_pix_fmt_name(self).map { String(cString: $0) } ?? "unknown" }

  private var descriptor: UnsafePointer<AVPixFmtDescriptor>? { av_pix_fmt_desc_get(self) }

  var isRGB: Bool {
    guard let flags = descriptor?.pointee.flags else { return false }
    return flags & UInt64(AV_PIX_FMT_FLAG_RGB) != 0
  }

  /// Whether pictures in it can be transparent. A palette's transparency cannot be made by libswscale.
  var hasAlpha: Bool {
    guard let flags = descriptor?.pointee.flags else { return false }
    return flags & UInt64(AV_PIX_FMT_FLAG_ALPHA) != 0 && self != AV_PIX_FMT_PAL8
  }

  /// Bits of the first component.
  var bitDepth: Int { descriptor.map { Int($0.pointee.comp.0.depth) } ?? 0 }

  /// Chroma is stored for blocks of this many pixels (2x2 for yuv420p, 1x1 for rgb24).
  var chromaBlock: (width: Int32, height: Int32) {
    guard let descriptor else { return (1, 1) }
    return (1 << Int32(descriptor.pointee.log2_chroma_w), 1 << Int32(descriptor.pointee.log2_chroma_h))
  }

  /// The yuvj formats are full range by name; grey ones are where nothing is said.
  var impliesFullRange: Bool { name.begins(with: "yuvj") || name.begins(with: "gray") || name.begins(with: "ya") }

  /// Members of a list as libav gives it, closed by `AV_PIX_FMT_NONE`.
  static func list(_ pointer: UnsafePointer<AVPixelFormat>?) -> [AVPixelFormat] {
    guard var next = pointer else { return [] }
    var formats: [AVPixelFormat] = []
    while next.pointee != AV_PIX_FMT_NONE {
      formats.append(next.pointee)
      next += 1
    }
    return formats
  }

  /// The member of `formats` that keeps most of a picture in this format.
  func closest(in formats: [AVPixelFormat]) -> AVPixelFormat? {
    formats.isEmpty
      ? nil : avcodec_find_best_pix_fmt_of_list(formats + [AV_PIX_FMT_NONE], self, hasAlpha ? 1 : 0, nil)
  }
}
