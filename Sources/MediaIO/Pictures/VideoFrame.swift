import CLibAV

/// One picture of a clip, upright, packed rgb24.
public struct VideoFrame: Sendable {
  public var width: Int
  public var height: Int
  /// `height * width * 3` bytes, row by row, red first.
  public var pixels: [UInt8]
  /// When it is shown, in the reader's `timeBase`.
  public var timestamp: Int64
  /// How long it is shown, in the reader's `timeBase`.
  public var duration: Int64
  /// What it carries beside its colours.
  public var attachments: FrameAttachments

  public init(
    width: Int, height: Int, pixels: [UInt8], timestamp: Int64, duration: Int64,
    attachments: FrameAttachments = FrameAttachments()
  ) {
    self.width = width
    self.height = height
    self.pixels = pixels
    self.timestamp = timestamp
    self.duration = duration
    self.attachments = attachments
  }
}

/// A fraction, as clips give their rates and aspects. 0/1 is "unknown".
public struct Rational: Sendable, Equatable, CustomStringConvertible {
  public var numerator: Int
  public var denominator: Int

  public init(_ numerator: Int, _ denominator: Int) {
    self.numerator = numerator
    self.denominator = denominator
  }

  public var value: Double { Double(numerator) / Double(denominator) }
  public var description: String { "\(numerator)/\(denominator)" }
}

extension Rational {
  init(_ rational: AVRational) { self.init(Int(rational.num), Int(max(rational.den, 1))) }
}
