import CLibAV

/// What a frame carries beside its colours, on its way around the edit: its transparency, closed captions and the like.
///
/// The page `docs/media.md` lists all that a frame may carry and what becomes of it.
public struct FrameAttachments: Sendable {
  /// `height * width` bytes, row by row, 255 where nothing shines through; nil for a frame that is opaque.
  var alpha: [UInt8]?
  /// libav's side data, by kind.
  var sideData: [SideData] = []
  /// What is left out because it describes the frame as it was before the edit, by its name for people.
  var outdated: Set<String> = []

  struct SideData: Sendable {
    var type: AVFrameSideDataType
    var bytes: [UInt8]
  }

  public init() {}

  /// Side data that means the same after an edit; encoders write what they know of it.
  private static let kept = [
    AV_FRAME_DATA_A53_CC, AV_FRAME_DATA_AFD, AV_FRAME_DATA_S12M_TIMECODE, AV_FRAME_DATA_ICC_PROFILE,
    AV_FRAME_DATA_MASTERING_DISPLAY_METADATA, AV_FRAME_DATA_CONTENT_LIGHT_LEVEL, AV_FRAME_DATA_STEREO3D,
    AV_FRAME_DATA_SPHERICAL,
  ]

  /// Tone mapping scene by scene, computed from the pictures themselves.
  private static func dynamicRangeName(_ type: AVFrameSideDataType) -> String? {
    switch type {
    case AV_FRAME_DATA_DYNAMIC_HDR_PLUS: "HDR10+"
    case AV_FRAME_DATA_DYNAMIC_HDR_VIVID: "HDR Vivid"
    case AV_FRAME_DATA_DOVI_RPU_BUFFER, AV_FRAME_DATA_DOVI_METADATA: "Dolby Vision"
    default: nil
    }
  }

  /// Of a decoded frame, without its transparency.
  init(of frame: Frame) {
    for index in 0..<Int(frame.pointer.pointee.nb_side_data) {
      guard let data = frame.pointer.pointee.side_data[index]?.pointee, let start = data.data, data.size > 0 else {
        continue
      }
      if let name = FrameAttachments.dynamicRangeName(data.type) { outdated.insert(name) }
      guard FrameAttachments.kept.contains(data.type) else { continue }
      sideData.append(SideData(type: data.type, bytes: Array(UnsafeBufferPointer(start: start, count: Int(data.size)))))
    }
  }

  /// Gives the side data to a frame on its way out.
  func attach(to frame: Frame) throws {
    for item in sideData {
      guard let data = av_frame_new_side_data(frame.pointer, item.type, item.bytes.count) else {
        throw MediaError(.io, "out of memory for a frame")
      }
      item.bytes.withUnsafeBufferPointer { bytes in
        if let start = bytes.baseAddress { data.pointee.data.update(from: start, count: bytes.count) }
      }
    }
  }

  var hasCaptions: Bool { sideData.contains { $0.type == AV_FRAME_DATA_A53_CC } }

  /// What describes the whole clip, as containers have it beside a stream.
  var streamSideData: [(type: AVPacketSideDataType, bytes: [UInt8])] {
    let types = [
      (AV_FRAME_DATA_MASTERING_DISPLAY_METADATA, AV_PKT_DATA_MASTERING_DISPLAY_METADATA),
      (AV_FRAME_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_CONTENT_LIGHT_LEVEL),
      (AV_FRAME_DATA_STEREO3D, AV_PKT_DATA_STEREO3D), (AV_FRAME_DATA_SPHERICAL, AV_PKT_DATA_SPHERICAL),
      (AV_FRAME_DATA_ICC_PROFILE, AV_PKT_DATA_ICC_PROFILE),
    ]
    return sideData.compactMap { item in types.first { $0.0 == item.type }.map { ($0.1, item.bytes) } }
  }
}
