import CLibAV
import Glibc

/// The way a clip asks to be turned before it is shown.
enum DisplayMatrix {
  /// The filters that turn frames upright: those of ffmpeg's own `-autorotate`.
  /// - Parameter matrix: nine 16.16 numbers, row by row, as in the MP4 track header.
  static func filters(for matrix: [Int32]) -> [String] {
    guard matrix.count == 9 else { return [] }
    let rotation = av_display_rotation_get(matrix)
    guard rotation.isFinite else { return [] }
    var angle = -rotation.rounded()
    angle -= 360 * floor(angle / 360 + 0.9 / 360)
    if abs(angle - 90) < 1 { return ["transpose=\(matrix[3] > 0 ? "cclock_flip" : "clock")"] }
    if abs(angle - 180) < 1 { return (matrix[0] < 0 ? ["hflip"] : []) + (matrix[4] < 0 ? ["vflip"] : []) }
    if abs(angle - 270) < 1 { return ["transpose=\(matrix[3] < 0 ? "clock_flip" : "cclock")"] }
    if abs(angle) > 1 { return ["rotate=\(angle)*PI/180"] }
    return matrix[4] < 0 ? ["vflip"] : []
  }

  /// The matrix of a frame, or else of its stream; empty if there is none.
  static func matrix(of frame: Frame, in stream: UnsafeMutablePointer<AVStream>) -> [Int32] {
    if let sideData = av_frame_get_side_data(frame.pointer, AV_FRAME_DATA_DISPLAYMATRIX) {
      return numbers(UnsafePointer(sideData.pointee.data), count: Int(sideData.pointee.size))
    }
    var size = 0
    return numbers(fatezero_stream_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size), count: size)
  }

  private static func numbers(_ bytes: UnsafePointer<UInt8>?, count: Int) -> [Int32] {
    guard let bytes, count >= 36 else { return [] }
    return (0..<9).map { UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self) }
  }
}
