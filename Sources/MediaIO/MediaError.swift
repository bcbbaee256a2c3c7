import CLibAV
import Glibc

/// What went wrong with a clip on its way in or out: where, why, and what to do where that is known.
public struct MediaError: Error, Sendable, CustomStringConvertible {
  public enum Kind: Sendable {
    /// The input does not exist or cannot be opened.
    case noInput
    /// The input exists but is not what it should be.
    case badData
    /// An option, codec, format or filter that does not exist or does not fit.
    case usage
    /// The reader at the other end of a pipe has gone.
    case brokenPipe
    /// The output may not or cannot be made.
    case cannotCreate
    /// Reading or writing failed on the way: a full disk, a lost device.
    case io
    /// A picture is larger than the memory that may be used.
    case memory
    /// `isCancelled` said so.
    case cancelled
  }

  public var kind: Kind
  public var description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}

extension MediaError {
  /// An error code of libav with what libav logged about it on this thread.
  /// - Parameter kind: what the code means here; a broken pipe, a full disk and a cancellation keep their own kind.
  init(code: Int32, _ what: String, as kind: Kind) {
    let logged = LibAVLog.takeErrors()
    let known = MediaError.kind(ofCode: code)
    // What the system says needs no explanation; what was logged may be about something earlier.
    let lines = known == nil || known == .usage ? logged : []
    self.init(
      known ?? kind,
      "\(what): \(MediaError.reason(ofCode: code))" + (lines.isEmpty ? "" : " (\(lines.joined(separator: "; ")))"))
  }

  static func reason(ofCode code: Int32) -> String {
    var text = [CChar](repeating: 0, count: 128)
    av_strerror(code, &text, text.count)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func kind(ofCode code: Int32) -> Kind? {
    switch code {
    case -EPIPE: .brokenPipe
    case -ENOSPC, -EIO, -EDQUOT: .io
    case FATEZERO_AVERROR_EXIT: .cancelled
    case FATEZERO_AVERROR_OPTION_NOT_FOUND, FATEZERO_AVERROR_FILTER_NOT_FOUND, FATEZERO_AVERROR_MUXER_NOT_FOUND,
      FATEZERO_AVERROR_DEMUXER_NOT_FOUND, FATEZERO_AVERROR_ENCODER_NOT_FOUND, FATEZERO_AVERROR_PROTOCOL_NOT_FOUND:
      .usage
    default: nil
    }
  }
}

/// Throws where a libav call answered with an error code; otherwise its value.
@discardableResult
func check(_ code: Int32, _ what: @autoclosure () -> String, as kind: MediaError.Kind) throws -> Int32 {
  if code < 0 { throw MediaError(code: code, what(), as: kind) }
  return code
}
