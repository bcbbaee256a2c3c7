import CLibAV

/// How an input is read and which part of it.
public struct InputOptions: Sendable {
  /// Name of libav's demuxer; nil: recognised by its content.
  public var format: String?
  /// Size of raw frames.
  public var videoSize: (width: Int, height: Int)?
  /// Pixel format of raw frames.
  public var pixelFormat: String?
  /// Frames per second of raw frames and of pictures ("25", "30000/1001"); pictures have 25 unless told otherwise.
  public var framerate: String?
  /// A libavfilter graph with one input and one output that every frame passes.
  public var filter: String?
  /// First moment, in seconds from the beginning of the clip. Timestamps then count from it.
  public var start: Double?
  /// Length of the part in seconds.
  public var duration: Double?
  /// Most frames to read.
  public var frames: Int?
  /// Further options of the demuxer.
  public var demuxerOptions: [(String, String)]
  /// Most pixels of a picture, which is asked before it is decoded; nil: any number.
  public var maximumPixels: Int?

  /// How many pixels a picture may have that is decoded and converted within some memory: 8 bytes each where they are deepest,
  /// and copies with 3.
  public static func pixels(within bytes: Int) -> Int { bytes / 16 }

  public init(
    format: String? = nil, videoSize: (width: Int, height: Int)? = nil, pixelFormat: String? = nil,
    framerate: String? = nil, filter: String? = nil, start: Double? = nil, duration: Double? = nil,
    frames: Int? = nil, demuxerOptions: [(String, String)] = [], maximumPixels: Int? = nil
  ) {
    self.format = format
    self.videoSize = videoSize
    self.pixelFormat = pixelFormat
    self.framerate = framerate
    self.filter = filter
    self.start = start
    self.duration = duration
    self.frames = frames
    self.demuxerOptions = demuxerOptions
    self.maximumPixels = maximumPixels
  }

  /// What goes to the demuxer, by libav's names.
  var libavOptions: [(String, String)] {
    var options = demuxerOptions
    if let videoSize { options.append(("video_size", "\(videoSize.width)x\(videoSize.height)")) }
    if let pixelFormat { options.append(("pixel_format", pixelFormat)) }
    if let framerate { options.append(("framerate", framerate)) }
    return options
  }

  func validate() throws {
    if format == "rawvideo" {
      let given = Set(libavOptions.map(\.0))
      if !given.isSuperset(of: ["video_size", "pixel_format"]) {
        throw MediaError(
          .usage, "raw frames do not say what they are: give --video-size WxH and --pixel-format, like rgb24")
      }
    }
    if let pixelFormat, av_get_pix_fmt(pixelFormat) == AV_PIX_FMT_NONE {
      throw MediaError(.usage, "--pixel-format \(pixelFormat): libav has no such format")
    }
    if let start, !(start >= 0 && start < 1e9) {
      throw MediaError(.usage, "--start \(start): give seconds from 0 on")
    }
    if let duration, !(duration > 0 && duration < 1e9) {
      throw MediaError(.usage, "--duration \(duration): give more than 0 seconds")
    }
    if let frames, frames < 1 { throw MediaError(.usage, "--frames \(frames): give 1 or more") }
    if let videoSize, !(1...65536 ~= videoSize.width && 1...65536 ~= videoSize.height) {
      throw MediaError(.usage, "--video-size \(videoSize.width)x\(videoSize.height): each side is 1 to 65536 pixels")
    }
  }
}
