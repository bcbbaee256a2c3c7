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

  /// The path, as the demuxer is told it; nil for an address, and where other files are wished for.
  private let onlyFile: String?
  private let isCancelled: @Sendable () -> Bool
  /// For `protocol_whitelist`, which libav hands on to what it opens; nil: libav's own.
  private let protocols: String?
  private var opened: [UnsafeMutablePointer<AVIOContext>: DescriptorIO] = [:]

  /// - Parameters:
  ///   - path: As libav is told it.
  ///   - isAddress: libav opens it itself.
  ///   - format: What the user named.
  init(path: String, isAddress: Bool, format: String?, isCancelled: @escaping @Sendable () -> Bool) {
    self.isCancelled = isCancelled
    if isAddress {
      let scheme = path.prefix { $0 != ":" && $0 != "," }
      onlyFile = nil
      protocols =
        InputConfinement.localProtocols.contains(String(scheme))
        ? nil
        : InputConfinement.allProtocols.filter { !InputConfinement.localProtocols.contains($0) }.joined(separator: ",")
    } else if let format, InputConfinement.formatsOfOtherFiles.contains(format) {
      onlyFile = nil
      protocols = "file,crypto,data"
    } else {
      onlyFile = path
      protocols = "crypto,data"
    }
  }

  /// What a format is that was recognised and opens other files; nil for the others.
  static func playlist(_ format: String) -> FileSignature? {
    playlists[format].map { FileSignature.playlist($0, format: format) }
  }

  /// Options of the demuxer, by libav's names.
  var options: [(String, String)] { protocols.map { [("protocol_whitelist", $0)] } ?? [] }

  /// Watches what the demuxer opens as long as this object lives.
  func attach(to context: UnsafeMutablePointer<AVFormatContext>) {
    guard onlyFile != nil else { return }
    context.pointee.opaque = Unmanaged.passUnretained(self).toOpaque()
    context.pointee.io_open = { context, result, url, flags, _ in
      guard let context, let result, let url else { return -EINVAL }
      return InputConfinement.of(context).open(String(cString: url), flags: flags, result)
    }
    context.pointee.io_close2 = { context, pb in
      guard let context, let pb else { return 0 }
      InputConfinement.of(context).opened[pb] = nil
      return 0
    }
  }

  private static func of(_ context: UnsafeMutablePointer<AVFormatContext>) -> InputConfinement {
    Unmanaged<InputConfinement>.fromOpaque(context.pointee.opaque).takeUnretainedValue()
  }

  /// Some formats of pictures open the file themselves.
  private func open(
    _ url: String, flags: Int32, _ result: UnsafeMutablePointer<UnsafeMutablePointer<AVIOContext>?>
  ) -> Int32 {
    guard url == onlyFile, flags & AVIO_FLAG_WRITE == 0 else { return -EACCES }
    guard let file = try? DescriptorIO.reading(url, isCancelled: isCancelled), let context = file.context else {
      return -EIO
    }
    opened[context] = file
    result.pointee = context
    return 0
  }

  /// The input protocols of this libav.
  private static let allProtocols: [String] = {
    var state: UnsafeMutableRawPointer?
    var names: [String] = []
    while let name = avio_enum_protocols(&state, 0) { names.append(String(cString: name)) }
    return names
  }()
}
