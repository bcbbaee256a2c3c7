/// How an output is written.
public struct OutputOptions: Sendable {
  public enum Overwrite: Sendable {
    /// An existing file is an error.
    case refuse
    /// An existing file is replaced once the new one is complete.
    case replace
  }

  /// Name of libav's muxer; nil: by the name of the file, y4m on standard output.
  public var format: String?
  /// Pixel format of the encoder, by libav's name; nil: what suits encoder and source.
  public var pixelFormat: String?
  /// Name of libav's encoder; nil: `MediaWriter.defaultCodec(for:)`.
  public var videoCodec: String?
  /// Options of the encoder; those it does not know go to the muxer.
  public var encoderOptions: [(String, String)]
  /// A libavfilter graph with one input and one output that every frame passes before the encoder.
  public var filter: String?
  public var overwrite: Overwrite
  /// Added to the metadata copied from the source; below it, on a line of its own, where the source has the name too.
  public var metadata: [(String, String)]

  /// Whether frames keep what they carry beside their colours: transparency, captions. A mask of a clip does not.
  public var keepsAttachments: Bool

  public init(
    format: String? = nil, pixelFormat: String? = nil, videoCodec: String? = nil,
    encoderOptions: [(String, String)] = [], filter: String? = nil, overwrite: Overwrite = .refuse,
    metadata: [(String, String)] = [], keepsAttachments: Bool = true
  ) {
    self.format = format
    self.pixelFormat = pixelFormat
    self.videoCodec = videoCodec
    self.encoderOptions = encoderOptions
    self.filter = filter
    self.overwrite = overwrite
    self.metadata = metadata
    self.keepsAttachments = keepsAttachments
  }
}
