import CLibAV
import Text

/// How a clip stores its colours.
struct PictureProperties {
  var pixelFormat: AVPixelFormat
  var matrix: AVColorSpace
  var range: AVColorRange
  var primaries: AVColorPrimaries
  var transfer: AVColorTransferCharacteristic
  var chromaLocation: AVChromaLocation

  init(of frame: Frame) {
    let values = frame.pointer.pointee
    pixelFormat = frame.pixelFormat
    matrix = values.colorspace
    range = values.color_range
    if range == AVCOL_RANGE_UNSPECIFIED && pixelFormat.name.begins(with: "yuvj") { range = AVCOL_RANGE_JPEG }
    primaries = values.color_primaries
    transfer = values.color_trc
    chromaLocation = values.chroma_location
  }

  /// The colours of the same clip stored in another pixel format.
  func colour(in format: AVPixelFormat) -> PixelConverter.Colour {
    if format.isRGB { return PixelConverter.Colour(matrix: AVCOL_SPC_RGB, range: AVCOL_RANGE_JPEG) }
    if pixelFormat.isRGB {
      // BT.601 in limited range, said so: what players expect least to have to guess.
      return PixelConverter.Colour(
        matrix: AVCOL_SPC_SMPTE170M, range: format.impliesFullRange ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG)
    }
    return PixelConverter.Colour(
      matrix: matrix == AVCOL_SPC_RGB ? AVCOL_SPC_UNSPECIFIED : matrix,
      range: format.impliesFullRange ? AVCOL_RANGE_JPEG : range)
  }

  // MARK: libav's names, nil for "unspecified"

  var rangeName: String? { range == AVCOL_RANGE_UNSPECIFIED ? nil : name(av_color_range_name(range)) }
  var matrixName: String? { matrix == AVCOL_SPC_UNSPECIFIED ? nil : name(av_color_space_name(matrix)) }
  var primariesName: String? { primaries == AVCOL_PRI_UNSPECIFIED ? nil : name(av_color_primaries_name(primaries)) }
  var transferName: String? { transfer == AVCOL_TRC_UNSPECIFIED ? nil : name(av_color_transfer_name(transfer)) }

  private func name(_ pointer: UnsafePointer<CChar>?) -> String? { pointer.map { String(cString: $0) } }
}
