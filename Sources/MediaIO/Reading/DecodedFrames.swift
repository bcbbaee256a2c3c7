import CLibAV

/// Where decoded frames come from, in the order they are shown.
protocol DecodedFrames: AnyObject {
  var timeBase: AVRational { get }
  /// 0/1 if unknown.
  var frameRate: AVRational { get }
  /// Fills in the next frame, its time in `timeBase`; false at the end.
  func next(into frame: Frame) throws -> Bool
  /// How the frame just read asks to be turned.
  func displayMatrix(of frame: Frame) -> [Int32]
}
