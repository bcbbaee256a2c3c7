import CLibAV
import Glibc

/// What a demuxer may open beside the input that it was handed. An input may come from anybody, and libav's demuxers follow
/// whatever files and addresses it names.
///
/// A file or a pipe opens nothing but itself. Where the user named a format that is a list of files, it opens files as well.
/// An address opens other addresses, since streams are made of many, but no file.
final class InputConfinement {
  /// Formats that are nothing but a list of other files.
  static let formatsOfOtherFiles: Set<String> = ["hls", "dash", "concat", "imf"]
  /// Formats that are recognised and open files or addresses.
  private static let playlists: [String: String] = [
    "hls": "an HLS playlist", "dash": "a DASH playlist", "concat": "a concat playlist", "imf": "an IMF playlist",
    "sdp": "a session description (SDP)", "rtsp": "an RTSP description", "vobsub": "an index of subtitles (VobSub)",
  ]
  /// Protocols that reach what is on this machine.
  private static let localProtocols: Set<String> = [
    "file", "fd", "pipe", "unix", "concat", "concatf", "subfile", "async", "cache", "md5", "tee", "bluray",
  ]

  /// Nothing but the input; nil for an address, and where other files are wished for.
  private let files: NestedFiles?
  /// For `protocol_whitelist`, which libav hands on to what it opens; nil: libav's own.
  private let protocols: String?

  /// - Parameters:
  ///   - path: As libav is told it.
  ///   - isAddress: libav opens it itself.
  ///   - format: What the user named.
  init(path: String, isAddress: Bool, format: String?, isCancelled: @escaping @Sendable () -> Bool) {
    if isAddress {
      let scheme = path.prefix { $0 != ":" && $0 != "," }
      files = nil
      protocols =
        InputConfinement.localProtocols.contains(String(scheme))
        ? nil
        : InputConfinement.allProtocols.filter { !InputConfinement.localProtocols.contains($0) }.joined(separator: ",")
    } else if let format, InputConfinement.formatsOfOtherFiles.contains(format) {
      files = nil
      protocols = "file,crypto,data"
    } else {
      files = NestedFiles { name, isForWriting in
        name == path && !isForWriting ? try .reading(path, isCancelled: isCancelled) : nil
      }
      protocols = "crypto,data"
    }
  }

  /// What a format is that was recognised and opens other files; nil for the others.
  static func playlist(_ format: String) -> FileSignature? {
    playlists[format].map { FileSignature.playlist($0, format: format) }
  }

  /// Options of the demuxer, by libav's names.
  var options: [(String, String)] { protocols.map { [("protocol_whitelist", $0)] } ?? [] }

  /// Watches what the demuxer opens as long as this object lives. Some formats of pictures open the file themselves.
  func attach(to context: UnsafeMutablePointer<AVFormatContext>) { files?.attach(to: context) }

  /// The input protocols of this libav.
  private static let allProtocols: [String] = {
    var state: UnsafeMutableRawPointer?
    var names: [String] = []
    while let name = avio_enum_protocols(&state, 0) { names.append(String(cString: name)) }
    return names
  }()
}
