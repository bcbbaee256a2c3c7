import CLibAV
import Glibc

/// Where an output goes, and how it gets there: pipes and devices directly, files and pictures under a temporary name
/// until they are complete.
final class OutputFile {
  /// The path, or "standard output".
  let name: String
  let format: UnsafePointer<AVOutputFormat>
  /// One picture in one file.
  let isSinglePicture: Bool

  private enum Destination {
    case standardOutput
    case direct(String)
    case file(temporary: String, final: String)
    /// Pictures are written to `temporary`, a directory, and then moved into `final`.
    case pictures(temporary: String, final: ImageSequence.Pattern, isNew: Bool)
  }

  private let destination: Destination
  private let overwrite: OutputOptions.Overwrite
  private let isCancelled: @Sendable () -> Bool
  private var io: DescriptorIO?
  /// Files that the muxer opened itself.
  private var nested: [UnsafeMutablePointer<AVIOContext>: DescriptorIO] = [:]
  /// The first error of a nested file; muxers do not look.
  private var nestedError: Int32 = 0
  private var exists = false

  /// Decides and checks; nothing is created yet.
  /// - Parameter input: the input, which must not be the output as well.
  init(
    path: String, options: OutputOptions, input: FileIdentity?, isCancelled: @escaping @Sendable () -> Bool
  ) throws {
    LibAVLog.start()
    self.isCancelled = isCancelled
    overwrite = options.overwrite
    name = path == "-" ? "standard output" : path
    format = try OutputFile.format(for: path, named: options.format)
    let kind = path == "-" ? nil : OutputFile.kind(of: path)
    let isPictures = String(cString: format.pointee.name) == "image2"
    isSinglePicture = isPictures && !OutputFile.isDirectoryName(path) && ImageSequence.Pattern(path) == nil

    let mark = ".fatezero-\(getpid())-\(UInt32.random(in: .min ... .max))"
    if path == "-" {
      if isatty(STDOUT_FILENO) == 1 {
        throw MediaError(.usage, "standard output is a terminal: send it to a file or a program, or name an output")
      }
      destination = .standardOutput
    } else if let kind, kind != S_IFREG, kind != S_IFDIR {
      destination = .direct(path)
    } else if isPictures && !isSinglePicture {
      let pattern = ImageSequence.Pattern(path) ?? ImageSequence.Pattern(OutputFile.trimmed(path) + "/%05d.png")
      guard let pattern else { throw MediaError(.usage, "\(path): the pattern is not understood; use like %05d.png") }
      let isNew = OutputFile.kind(of: pattern.directory) == nil
      if isNew, ImageSequence.Pattern(path) != nil {
        throw MediaError(.cannotCreate, "\(path): there is no directory \(pattern.directory)")
      }
      destination = .pictures(
        temporary: isNew ? OutputFile.beside(pattern.directory, mark: mark) : pattern.directory + "/" + mark,
        final: pattern, isNew: isNew)
      if !isNew {
        if let input, input == FileIdentity(path: pattern.directory) {
          throw MediaError(.usage, "\(path): input and output are the same directory")
        }
        if overwrite == .refuse,
          try ImageSequence.names(in: pattern.directory).contains(where: { pattern.number(in: $0) != nil })
        {
          throw MediaError(.cannotCreate, "\(path): there are such pictures already; -y replaces them")
        }
      }
    } else {
      if kind == S_IFDIR { throw MediaError(.cannotCreate, "\(path): this is a directory") }
      if kind != nil {
        if let input, input == FileIdentity(path: path) {
          throw MediaError(.usage, "\(path): input and output are the same file")
        }
        if overwrite == .refuse { throw MediaError(.cannotCreate, "\(path): it exists already; -y replaces it") }
      }
      // A link stays a link: what it points to is replaced.
      let final = kind == nil ? path : OutputFile.resolved(path)
      destination = .file(temporary: OutputFile.beside(final, mark: mark), final: final)
    }
  }

  /// The muxer's name for it: a path it may open again, or a pattern.
  var url: String {
    switch destination {
    case .standardOutput: "-"
    case .direct(let path): path
    case .file(let temporary, _): temporary
    case .pictures(let temporary, let final, _):
      (temporary + "/").split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%")
        + final.prefix + "%0\(final.width)d" + final.suffix
    }
  }

  var isSeekable: Bool { io?.isRegularFile ?? false }

  // MARK: Opening

  /// Creates the file, or opens what is there, and hands it to a muxer.
  func open(for context: UnsafeMutablePointer<AVFormatContext>) throws {
    let opensItself = format.pointee.flags & AVFMT_NOFILE != 0
    switch destination {
    case .standardOutput: io = try .standardOutput(isCancelled: isCancelled)
    case .direct(let path):
      let io = try DescriptorIO.writing(path, .existing, isCancelled: isCancelled)
      if isatty(io.descriptor) == 1 { throw MediaError(.usage, "\(path) is a terminal: a clip cannot go there") }
      self.io = io
    case .file(let temporary, _):
      if !opensItself { io = try .writing(temporary, .new, named: name, isCancelled: isCancelled) }
    case .pictures(let temporary, _, _):
      if mkdir(temporary, 0o777) != 0 { throw MediaError(code: -errno, name, as: .cannotCreate) }
    }
    exists = true
    if let temporary { TemporaryOutputs.add(temporary) }
    context.pointee.pb = opensItself ? nil : io?.context
    context.pointee.opaque = Unmanaged.passUnretained(self).toOpaque()
    context.pointee.io_open = { context, result, url, flags, _ in
      guard let context, let result, let url else { return -EINVAL }
      return OutputFile.of(context).openNested(String(cString: url), flags: flags, result)
    }
    context.pointee.io_close2 = { context, pb in
      guard let context, let pb else { return 0 }
      return OutputFile.of(context).closeNested(pb)
    }
  }

  private static func of(_ context: UnsafeMutablePointer<AVFormatContext>) -> OutputFile {
    Unmanaged<OutputFile>.fromOpaque(context.pointee.opaque).takeUnretainedValue()
  }

  private func openNested(
    _ path: String, flags: Int32, _ result: UnsafeMutablePointer<UnsafeMutablePointer<AVIOContext>?>
  ) -> Int32 {
    do {
      let file =
        flags & AVIO_FLAG_WRITE != 0
        ? try DescriptorIO.writing(path, .emptied, isCancelled: isCancelled)
        : try DescriptorIO.reading(path, isCancelled: isCancelled)
      guard let context = file.context else { return -ENOMEM }
      nested[context] = file
      result.pointee = context
      return 0
    } catch {
      if nestedError == 0 { nestedError = -EIO }
      return -EIO
    }
  }

  private func closeNested(_ context: UnsafeMutablePointer<AVIOContext>) -> Int32 {
    guard let file = nested.removeValue(forKey: context) else { return 0 }
    if context.pointee.write_flag != 0 { avio_flush(context) }
    if file.writeError != 0 && nestedError == 0 { nestedError = file.writeError }
    return file.writeError
  }

  // MARK: Closing

  /// - Throws: an error that a write met and libav swallowed.
  func checkWrites() throws {
    let code = [io?.writeError ?? 0, nestedError].first { $0 != 0 }
    if let code { throw MediaError(code: code, "writing \(name)", as: .io) }
  }

  /// Everything is written: gives the output its name.
  func commit() throws {
    if let context = io?.context { avio_flush(context) }
    try checkWrites()
    io = nil
    switch destination {
    case .standardOutput, .direct: break
    case .file(let temporary, let final): try move(temporary, to: final)
    case .pictures(let temporary, let final, true): try move(temporary, to: final.directory)
    case .pictures(let temporary, let final, false):
      for file in try ImageSequence.names(in: temporary) {
        try move(temporary + "/" + file, to: final.directory + "/" + file)
      }
      rmdir(temporary)
    }
    exists = false
    if let temporary { TemporaryOutputs.forget(temporary) }
  }

  private func move(_ temporary: String, to final: String) throws {
    // Somebody else may have made it since it was looked for.
    if overwrite == .refuse, access(final, F_OK) == 0 {
      throw MediaError(.cannotCreate, "\(final): it exists already; -y replaces it")
    }
    if rename(temporary, final) != 0 { throw MediaError(code: -errno, final, as: .cannotCreate) }
  }

  /// Removes what is not complete.
  func discard() {
    io = nil
    nested = [:]
    guard exists else { return }
    exists = false
    if let temporary { TemporaryOutputs.remove(temporary) }
  }

  /// Where it is until it is complete; nil for what is written directly.
  private var temporary: String? {
    switch destination {
    case .standardOutput, .direct: nil
    case .file(let temporary, _), .pictures(let temporary, _, _): temporary
    }
  }

  // MARK: Names

  /// The container for a path: what was asked for, y4m for pipes, pictures for directories, else by the extension.
  static func format(for path: String, named name: String?) throws -> UnsafePointer<AVOutputFormat> {
    let isPipe = path == "-" || kind(of: path).map { $0 != S_IFREG && $0 != S_IFDIR } == true
    if let name {
      // libav's name, or an extension like "mkv" or "y4m".
      guard var format = av_guess_format(name, nil, nil) ?? av_guess_format(nil, "x." + name, nil) else {
        throw MediaError(.usage, "--output-format \(name): libav has no such format")
      }
      if isPipe, String(cString: format.pointee.name) == "image2" {
        format = av_guess_format("image2pipe", nil, nil) ?? format
      }
      return format
    }
    if isDirectoryName(path) || (path != "-" && ImageSequence.Pattern(path) != nil && ImageSequence.isPicture(path)) {
      if let format = av_guess_format("image2", nil, nil) { return format }
    }
    if path != "-", let format = av_guess_format(nil, path, nil) {
      if isPipe, String(cString: format.pointee.name) == "image2", let pipe = av_guess_format("image2pipe", nil, nil) {
        return pipe
      }
      return format
    }
    if isPipe, let format = av_guess_format("yuv4mpegpipe", nil, nil) { return format }
    throw MediaError(
      .usage, "\(path): no container has this extension; give --output-format, or end the name with / for pictures")
  }

  private static func kind(of path: String) -> mode_t? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
  }

  private static func isDirectoryName(_ path: String) -> Bool {
    path != "-" && (path.hasSuffix("/") || ImageSequence.isDirectory(path))
  }

  private static func trimmed(_ path: String) -> String {
    var path = path
    while path.hasSuffix("/") && path.utf8.count > 1 { path.removeLast() }
    return path
  }

  /// `directory/name` becomes `directory/.name.fatezero-PID-random`.
  private static func beside(_ path: String, mark: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." + path + mark }
    return path[...slash] + "." + path[path.index(after: slash)...] + mark
  }

  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }
}
