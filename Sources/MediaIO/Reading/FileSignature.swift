import CLibAV
import Text

/// What a file is that was given as a clip, told by its first bytes.
struct FileSignature: Equatable {
  enum Kind: Equatable {
    /// Not a clip, whatever a demuxer makes of its bytes.
    case other
    /// A list of files and addresses, which libav would open.
    case playlist
    /// Pictures that not every libav decodes.
    case picture
    /// Text, of which libav knows some kinds that hold pictures.
    case text
  }

  let kind: Kind
  /// With its article: "an animated WebP".
  let name: String
  /// What to do instead.
  let advice: String

  /// As many first bytes as are looked at.
  static let length = 4096

  func error(_ file: String) -> MediaError {
    MediaError(
      .badData, "\(file) is \(name)\(kind == .picture ? ", which this libav cannot decode" : ", not a clip"): \(advice)"
    )
  }

  /// - Parameter head: The first bytes, `length` of them or all there are.
  /// - Returns: nil for what may be a clip.
  init?(head: [UInt8]) {
    guard let found = FileSignature.binary(head) ?? FileSignature.text(head) else { return nil }
    self = found
  }

  private init(_ kind: Kind, _ name: String, _ advice: String) {
    (self.kind, self.name, self.advice) = (kind, name, advice)
  }

  /// A file of a format that opens other files.
  static func playlist(_ name: String, format: String) -> FileSignature {
    let advice = "give the clip itself"
    guard InputConfinement.formatsOfOtherFiles.contains(format) else {
      return FileSignature(.playlist, name, "\(advice); the addresses in it are not opened")
    }
    return FileSignature(
      .playlist, name,
      "\(advice), or --input-format \(format), which opens the files that it names, but no address")
  }

  // MARK: Binary files

  private static func binary(_ head: [UInt8]) -> FileSignature? {
    let has = { (text: String, offset: Int) in
      head.count >= offset + text.utf8.count && head[offset...].starts(with: text.utf8)
    }
    let begins = { (bytes: [UInt8]) in head.starts(with: bytes) }

    if isSafetensors(head) { return checkpoint("a checkpoint (safetensors)") }
    if has("GGUF", 0) { return FileSignature(.other, "a checkpoint (GGUF)", "INPUT is a clip or pictures") }
    if begins([0x80]), head.count > 2, 2...5 ~= head[1], [0x8a, 0x95, 0x63, 0x5d, 0x7d, 0x28].contains(head[2]) {
      return checkpoint("a checkpoint (pickle)")
    }
    if begins([0x89]), has("HDF\r\n", 1) { return checkpoint("an HDF5 file") }
    if begins([0x93]), has("NUMPY", 1) {
      return FileSignature(.other, "a NumPy array", "write its pictures to PNG files and give their folder")
    }
    if has("PK\u{3}\u{4}", 0) {
      if contains(head, "data.pkl") { return checkpoint("a checkpoint (PyTorch)") }
      return archive("a ZIP archive")
    }
    if begins([0x1f, 0x8b]) { return archive("a gzip archive") }
    if has("BZh", 0), head.count > 3, 0x31...0x39 ~= head[3] { return archive("a bzip2 archive") }
    if begins([0xfd]), has("7zXZ", 1) { return archive("an xz archive") }
    if begins([0x28, 0xb5, 0x2f, 0xfd]) { return archive("a Zstandard archive") }
    if begins([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]) { return archive("a 7z archive") }
    if has("Rar!", 0) { return archive("a RAR archive") }
    if has("ustar", 257) { return archive("a tar archive") }
    if has("%PDF-", 0) || has("%!PS", 0) {
      return FileSignature(.other, has("%PDF-", 0) ? "a PDF" : "a PostScript file", "make pictures of its pages")
    }
    if begins([0x7f]), has("ELF", 1) {
      return FileSignature(.other, "a program", "give a clip or a folder of pictures")
    }
    if has("gimp xcf", 0) || has("BLENDER", 0) {
      return FileSignature(
        .other, has("BLENDER", 0) ? "a Blender file" : "a GIMP picture", "export it as PNG or as a clip")
    }

    if has("RIFF", 0), has("WEBPVP8X", 8), head.count > 20, head[20] & 2 != 0 {
      return FileSignature(.picture, "an animated WebP", "make a GIF, an APNG or pictures of it")
    }
    if has("FUJIFILMCCD-RAW", 0) || has("ftypcrx ", 4) || (has("II*", 0) && has("CR", 8)) {
      return FileSignature(.picture, "a raw picture of a camera", "develop it to PNG or TIFF")
    }
    for brand in ["heic", "heix", "hevc", "heim", "heis", "mif1", "msf1"] where has("ftyp" + brand, 4) {
      return FileSignature(.picture, "a HEIF picture", "convert it to PNG or JPEG")
    }
    for brand in ["avif", "avis"] where has("ftyp" + brand, 4) {
      return FileSignature(.picture, "an AVIF picture", "convert it to PNG, or to a clip where it moves")
    }
    return nil
  }

  /// The length of a header of JSON in eight bytes, then the header.
  private static func isSafetensors(_ head: [UInt8]) -> Bool {
    guard head.count > 9, head[8] == UInt8(ascii: "{") else { return false }
    guard [UInt8(ascii: "\""), UInt8(ascii: "}"), UInt8(ascii: " "), UInt8(ascii: "\n")].contains(head[9]) else {
      return false
    }
    // No header has 4 GiB.
    return head[4..<8].allSatisfy { $0 == 0 } && head[0..<4].contains { $0 != 0 }
  }

  private static func checkpoint(_ name: String) -> FileSignature {
    FileSignature(.other, name, "--model, --lora, --vae and --embedding take checkpoints; INPUT is a clip or pictures")
  }

  private static func archive(_ name: String) -> FileSignature {
    FileSignature(.other, name, "unpack it and give the clip or the folder of pictures that is in it")
  }

  private static func contains(_ head: [UInt8], _ text: String) -> Bool {
    let wanted = Array(text.utf8)
    guard head.count >= wanted.count else { return false }
    return (0...head.count - wanted.count).contains { head[$0...].starts(with: wanted) }
  }

  // MARK: Text

  private static func text(_ head: [UInt8]) -> FileSignature? {
    guard let text = readable(head) else { return nil }
    let lower = text.lowercased()
    let trimmed = lower.drop { $0.isWhitespace }
    if trimmed.begins(with: "#extm3u") {
      return lower.contains("#ext-x-")
        ? playlist("an HLS playlist", format: "hls") : playlist("an M3U playlist", format: "m3u")
    }
    if trimmed.begins(with: "ffconcat version") { return playlist("a concat playlist", format: "concat") }
    if trimmed.begins(with: "[playlist]") { return playlist("a PLS playlist", format: "pls") }
    if trimmed.begins(with: "<asx") || trimmed.begins(with: "[reference]") {
      return playlist("an ASX playlist", format: "asx")
    }
    if trimmed.begins(with: "<") {
      // In the first element, or in one behind the declaration and comments.
      let names = [
        ("<mpd", "a DASH playlist", "dash"), ("<compositionplaylist", "an IMF playlist", "imf"),
        ("http://xspf.org/ns", "an XSPF playlist", "xspf"), ("<smil", "a SMIL playlist", "smil"),
        ("<smoothstreamingmedia", "a Smooth Streaming playlist", "ism"),
      ]
      for (mark, name, format) in names where lower.contains(mark) { return playlist(name, format: format) }
    }
    if trimmed.begins(with: "v=0"), lower.contains("\no=") || lower.contains("\nm=") {
      return playlist("a session description (SDP)", format: "sdp")
    }
    if trimmed.begins(with: "<!doctype html") || trimmed.begins(with: "<html") {
      return FileSignature(.other, "a web page", "the download was not the clip; see it in a browser")
    }
    if trimmed.begins(with: "version https://git-lfs") {
      return FileSignature(.other, "a Git LFS pointer", "get the file itself with git lfs pull")
    }
    if trimmed.begins(with: "webvtt") || trimmed.begins(with: "[script info]")
      || lower.contains("-->") && isNumbered(trimmed)
    {
      return FileSignature(.text, "a subtitle file", "give the clip that it belongs to")
    }
    if trimmed.begins(with: "{\"") || trimmed.begins(with: "[{") || trimmed.begins(with: "{\n")
      || trimmed.begins(with: "{\r")
    {
      return FileSignature(.text, "a JSON file", "give a clip or a folder of pictures")
    }
    return FileSignature(.text, "a text file", "give a clip or a folder of pictures")
  }

  private static func isNumbered(_ text: Substring) -> Bool { text.first.map { $0.isASCII && $0.isNumber } ?? false }

  /// The bytes as text; nil where they are none.
  private static func readable(_ head: [UInt8]) -> String? {
    var bytes = head[...]
    if bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]) {
      let low = bytes.first == 0xff ? 0 : 1
      var units: [UInt16] = []
      for index in stride(from: 2, to: head.count - 1, by: 2) {
        units.append(UInt16(head[index + 1 - low]) << 8 + UInt16(head[index + low]))
      }
      return String(decoding: units, as: UTF16.self)
    }
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes = bytes.dropFirst(3) }
    guard !bytes.isEmpty else { return nil }
    let blanks: Set<UInt8> = [0x09, 0x0a, 0x0c, 0x0d]
    guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || blanks.contains($0) }) else { return nil }
    // What is cut within a character is still text.
    for cut in 0...min(3, bytes.count - 1) {
      if let text = String(validating: bytes.dropLast(cut), as: UTF8.self) { return text }
    }
    return nil
  }
}
