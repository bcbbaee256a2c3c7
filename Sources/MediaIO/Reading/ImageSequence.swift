import CLibAV
import Glibc
import Text

/// Numbered or listed picture files: where they are and what the next one is called.
enum ImageSequence {
  /// A file name with one number in it: `frame%05d.png`.
  struct Pattern {
    var directory: String
    var prefix: String
    var suffix: String
    /// Digits the number is filled up to with zeros; 0: none.
    var width: Int

    /// nil if the last component has no `%d` or `%0Nd`.
    init?(_ path: String) {
      let slash = path.lastPlace(ofScalar: "/")
      directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
      let name = slash.map { path[path.place(behind: $0)...] } ?? path[...]
      guard let percent = name.firstPlace(ofScalar: "%") else { return nil }
      let digits = name[name.place(behind: percent)...].unicodeScalars.prefix { $0.isDigit }
      guard let last = name[digits.endIndex...].unicodeScalars.first, last == "d", digits.first ?? "0" == "0",
        let width = digits.isEmpty ? 0 : Int(Substring(digits)), width <= 20
      else { return nil }
      self.width = width
      prefix = String(name[..<percent])
      suffix = String(name[name.place(behind: digits.endIndex)...])
    }

    func name(_ number: Int) -> String {
      let digits = String(number)
      return prefix + String(repeating: "0", count: max(0, width - digits.count)) + digits + suffix
    }

    /// The number in a file name of this pattern.
    func number(in name: String) -> Int? {
      guard name.begins(with: prefix), name.ends(with: suffix), name.utf8.count > prefix.utf8.count + suffix.utf8.count
      else { return nil }
      let digits = name.utf8.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)
      guard digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let number = Int(Substring(digits))
      else {
        return nil
      }
      return self.name(number) == name ? number : nil
    }
  }

  /// The files a directory or pattern stands for, in order; nil if `path` is neither.
  static func files(at path: String) throws -> [String]? {
    if isDirectory(path) {
      let files = try names(in: path).filter { !$0.begins(with: ".") && isPicture($0) }.sorted { precedes($0, $1) }
      if files.isEmpty { throw MediaError(.noInput, "\(path): there are no pictures in this directory") }
      return files.map { path + "/" + $0 }
    }
    guard access(path, F_OK) != 0, let pattern = Pattern(path) else { return nil }
    var numbered: [(number: Int, name: String)] = []
    for name in try names(in: pattern.directory) {
      if let number = pattern.number(in: name) { numbered.append((number, name)) }
    }
    if numbered.isEmpty { throw MediaError(.noInput, "\(path): no file has a name of this pattern") }
    return numbered.sorted { $0.number < $1.number }.map { pattern.directory + "/" + $0.name }
  }

  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// By its extension, as libav's own picture formats have it.
  static func isPicture(_ name: String) -> Bool {
    // libav takes a numbered name for pictures where it knows the extension.
    let file = name.lastPlace(ofScalar: "/").map { name[name.place(behind: $0)...] } ?? name[...]
    guard let dot = file.lastPlace(ofScalar: "."), let format = av_guess_format(nil, "%d" + file[dot...], nil) else {
      return false
    }
    return String(cString: format.pointee.name) == "image2"
  }

  static func names(in directory: String) throws -> [String] {
    guard let handle = opendir(directory) else { throw MediaError(code: -errno, directory, as: .noInput) }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      names.append(
        withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
    }
    return names.filter { $0 != "." && $0 != ".." }
  }

  /// By bytes, so that no locale changes the order of frames.
  private static func precedes(_ left: String, _ right: String) -> Bool {
    left.utf8.lexicographicallyPrecedes(right.utf8)
  }
}

/// Decoded pictures of an image sequence, one file at a time.
final class ImageSequenceSource: DecodedFrames {
  let timeBase: AVRational
  let frameRate: AVRational
  let count: Int
  /// The first picture's container: what the clip is made of.
  let formatName: String
  let codecName: String
  private let files: [String]
  private let options: [(String, String)]
  private let maximumPixels: Int?
  private let isCancelled: @Sendable () -> Bool
  private var next = 0
  private var matrix: [Int32] = []

  init(files: [String], options: InputOptions, isCancelled: @escaping @Sendable () -> Bool) throws {
    self.files = files
    self.options = options.demuxerOptions
    maximumPixels = options.maximumPixels
    self.isCancelled = isCancelled
    count = files.count
    var rate = AVRational(num: 25, den: 1)
    if let framerate = options.framerate, av_parse_video_rate(&rate, framerate) < 0 {
      throw MediaError(.usage, "--framerate \(framerate): give frames per second, like 25 or 30000/1001")
    }
    frameRate = rate
    timeBase = AVRational(num: rate.den, den: rate.num)
    let first = try Demuxer(
      path: files[0], format: nil, options: self.options, maximumPixels: maximumPixels, isCancelled: isCancelled)
    formatName = first.formatName
    codecName = String(cString: avcodec_get_name(try first.videoStream().pointee.codecpar.pointee.codec_id))
  }

  func next(into frame: Frame) throws -> Bool {
    guard next < files.count else { return false }
    let file = files[next]
    let demuxer = try Demuxer(
      path: file, format: nil, options: options, maximumPixels: maximumPixels, isCancelled: isCancelled)
    let stream = try demuxer.videoStream()
    let decoder = try Decoder(stream: stream, in: file, maximumPixels: maximumPixels)
    let packet = try Packet()
    while demuxer.read(into: packet) >= 0 {
      if packet.pointer.pointee.stream_index == stream.pointee.index {
        try check(decoder.send(packet), file, as: .badData)
        break
      }
    }
    _ = decoder.send(nil)
    try check(decoder.receive(into: frame), file, as: .badData)
    matrix = DisplayMatrix.matrix(of: frame, in: stream)
    frame.pointer.pointee.pts = Int64(next)
    frame.pointer.pointee.pkt_duration = 1
    next += 1
    return true
  }

  func displayMatrix(of frame: Frame) -> [Int32] { matrix }
}
