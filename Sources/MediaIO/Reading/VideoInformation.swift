/// What a reader knows about its clip once the first frame is decoded.
public struct VideoInformation: Sendable {
  /// The size of the frames handed out: after the display matrix and the input filter.
  public var width: Int
  public var height: Int
  /// Width to height of one pixel; 0/1 if the clip does not say.
  public var sampleAspect: Rational
  /// Frames per second: the nominal rate where the clip has one.
  public var frameRate: Rational
  /// Seconds per unit of a frame's timestamp.
  public var timeBase: Rational

  /// Short name of the container ("mov,mp4,m4a,3gp,3g2,mj2") and of the codec ("h264").
  public var format: String
  public var codec: String
  /// libav's names; nil where the clip does not say.
  public var pixelFormat: String
  public var bitDepth: Int
  public var colorRange: String?
  public var colorMatrix: String?
  public var colorPrimaries: String?
  public var colorTransfer: String?

  /// Whether the first frame consists of two fields of different times.
  public var isInterlaced: Bool

  /// Sound, subtitles, pictures and data beside the video.
  public var otherStreams: [StreamSummary]
  public var chapterCount: Int
}

/// A stream beside the video.
public struct StreamSummary: Sendable, CustomStringConvertible {
  public var index: Int
  /// "audio", "subtitle", "video", "data" or "attachment".
  public var kind: String
  public var codec: String

  public var description: String { "\(kind) stream \(index) (\(codec))" }
}
