import CLibAV

/// Pixel formats, colour matrices and ranges, through libswscale. Never changes the size.
final class PixelConverter {
  /// How the numbers of a picture mean colours.
  struct Colour: Equatable {
    var matrix: AVColorSpace
    var range: AVColorRange
  }

  private var context: OpaquePointer?
  private var configured: Configuration?

  private struct Configuration: Equatable {
    var width: Int32
    var height: Int32
    var source: AVPixelFormat
    var destination: AVPixelFormat
    var sourceColour: Colour
    var destinationColour: Colour
  }

  deinit { sws_freeContext(context) }

  /// Pictures the same size in other formats. `destination` has its buffer already.
  func convert(_ source: Frame, _ sourceColour: Colour, to destination: Frame, _ destinationColour: Colour) throws {
    let wanted = Configuration(
      width: source.pointer.pointee.width, height: source.pointer.pointee.height,
      source: source.pixelFormat, destination: destination.pixelFormat,
      sourceColour: sourceColour, destinationColour: destinationColour)
    if wanted != configured {
      try configure(wanted)
      configured = wanted
    }
    try check(
      sws_scale_frame(context, destination.pointer, source.pointer),
      "converting \(source.pixelFormat.name) to \(destination.pixelFormat.name)", as: .badData)
  }

  private func configure(_ wanted: Configuration) throws {
    sws_freeContext(context)
    context = sws_getContext(
      wanted.width, wanted.height, wanted.source, wanted.width, wanted.height, wanted.destination,
      PixelConverter.flags(to: wanted.destination), nil, nil, nil)
    guard context != nil else {
      throw MediaError(
        code: FATEZERO_AVERROR_INVALIDDATA,
        "libswscale cannot turn \(wanted.source.name) into \(wanted.destination.name)", as: .badData)
    }
    // Refused for formats without a matrix, where there is nothing to set.
    _ = sws_setColorspaceDetails(
      context, sws_getCoefficients(PixelConverter.coefficients(of: wanted.sourceColour.matrix)),
      PixelConverter.isFullRange(wanted.source, wanted.sourceColour.range) ? 1 : 0,
      sws_getCoefficients(PixelConverter.coefficients(of: wanted.destinationColour.matrix)),
      PixelConverter.isFullRange(wanted.destination, wanted.destinationColour.range) ? 1 : 0,
      0, 1 << 16, 1 << 16)
  }

  /// Chroma is interpolated smoothly on its way up and averaged on its way down, which gives back most of it.
  private static func flags(to destination: AVPixelFormat) -> Int32 {
    SWS_ACCURATE_RND | (destination.isRGB ? SWS_BICUBIC | SWS_FULL_CHR_H_INT : SWS_AREA | SWS_FULL_CHR_H_INP)
  }

  /// libswscale's tables; what it has no table for is read as it reads the unknown, as BT.601.
  private static func coefficients(of matrix: AVColorSpace) -> Int32 {
    switch matrix {
    case AVCOL_SPC_BT709: SWS_CS_ITU709
    case AVCOL_SPC_FCC: SWS_CS_FCC
    case AVCOL_SPC_SMPTE240M: SWS_CS_SMPTE240M
    case AVCOL_SPC_BT2020_NCL, AVCOL_SPC_BT2020_CL: SWS_CS_BT2020
    default: SWS_CS_ITU601
    }
  }

  private static func isFullRange(_ format: AVPixelFormat, _ range: AVColorRange) -> Bool {
    switch range {
    case AVCOL_RANGE_JPEG: true
    case AVCOL_RANGE_MPEG: false
    default: format.impliesFullRange
    }
  }
}
