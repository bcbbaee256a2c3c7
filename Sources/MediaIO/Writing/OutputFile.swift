import CLibAV
import Files
import Glibc
import Text

/// Where an output goes, and how it gets there: pipes and devices directly, files and pictures in a folder of a temporary
/// name until they are complete.
final class OutputFile {
  /// The path, or "standard output".
  let name: String
  let format: UnsafePointer<AVOutputFormat>
  /// One picture in one file.
  let isSinglePicture: Bool

  private enum Destination {
    case standardOutput
    case direct(String)
    /// The file is written in the directory `temporary`, and whatever else the muxer writes beside it.
    case file(temporary: String, final: String)
    /// Pictures are written to `temporary`, a directory, and then moved into `final`.
    case pictures(temporary: String, final: ImageSequence.Pattern, isNew: Bool)
  }

  private let destination: Destination
  private let overwrite: OutputOptions.Overwrite
  private let isCancelled: @Sendable () -> Bool
  private var io: DescriptorIO?
  /// Files that the muxer opens itself.
  private var nested: NestedFiles?
  /// What is not complete; nil before the output is opened, after its end, and for what is written directly.
  private var unfinished: HeldFolder?

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

    let mark = "\(OutputFile.mark)\(getpid())-\(UInt32.random(in: .min ... .max))"
    if path == "-" {
      if isatty(STDOUT_FILENO) == 1 {
        throw MediaError(.usage, "standard output is a terminal: send it to a file or a program, or name an output")
      }
      destination = .standardOutput
    } else if kind == S_IFSOCK {
      throw MediaError(.cannotCreate, "\(path): this is a socket, which nothing can be written to as to a file")
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
    case .file(let temporary, let final): temporary + "/" + OutputFile.fileName(final)
    case .pictures(let temporary, let final, _):
      (temporary + "/").exchanging("%", for: "%%")
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
    case .file(let temporary, let final):
      let folder = try makeFolder(temporary)
      if !opensItself {
        let file = OutputFile.fileName(final)
        try OutputFile.claim(file, in: folder)
        io = try .writing(temporary + "/" + file, .new, named: name, isCancelled: isCancelled)
      }
    case .pictures(let temporary, _, _): _ = try makeFolder(temporary)
    }
    context.pointee.pb = opensItself ? nil : io?.context
    nested = NestedFiles { [unowned self] path, isForWriting in try openNested(path, isForWriting) }
    nested?.attach(to: context)
  }

  /// Makes the folder of what is not complete; what killed processes left of the same output goes.
  private func makeFolder(_ path: String) throws -> ClaimedFolder {
    var beginning = OutputFile.fileName(path)[...]
    while let last = beginning.unicodeScalars.last, last.isDigit || last == "-" {
      beginning.unicodeScalars.removeLast()
    }
    HeldFolder.removeLeft(in: OutputFile.folder(of: path)) { $0.begins(with: "\(beginning)-") }
    let folder: HeldFolder
    do throws(FileError) { folder = try HeldFolder(making: path) } catch {
      throw error.code == 0
        ? MediaError(.cannotCreate, "\(self.name): \(error)")
        : MediaError(code: -error.code, self.name, as: .cannotCreate)
    }
    unfinished = folder
    TemporaryOutputs.add(folder)
    return folder.files
  }

  private static func claim(_ file: String, in folder: ClaimedFolder) throws {
    do { try folder.claim(file) } catch { throw MediaError(.io, "\(error)") }
  }

  private func openNested(_ path: String, _ isForWriting: Bool) throws -> DescriptorIO {
    guard isForWriting else { return try .reading(path, isCancelled: isCancelled) }
    if let unfinished, let file = path.dropping(prefix: unfinished.path + "/") {
      try OutputFile.claim(String(file), in: unfinished.files)
      // Some write a file under this ending before it gets its name.
      if file.ends(with: ".tmp") { try OutputFile.claim(String(file.dropLast(4)), in: unfinished.files) }
    }
    return try .writing(path, .emptied, isCancelled: isCancelled)
  }

  // MARK: Closing

  /// - Throws: an error that a write met and libav swallowed.
  func checkWrites() throws {
    let code = [io?.writeError, nested?.error].compactMap(\.self).first { $0 != 0 }
    if let code { throw MediaError(code: code, "writing \(name)", as: .io) }
  }

  /// Everything is written: gives the output its name.
  func commit() throws {
    if let context = io?.context { avio_flush(context) }
    try checkWrites()
    io = nil
    switch destination {
    case .standardOutput, .direct: break
    case .file(let temporary, let final):
      let file = OutputFile.fileName(final)
      for other in written where other != file {
        try move(temporary + "/" + other, to: OutputFile.folder(of: final) + "/" + other)
      }
      try move(temporary + "/" + file, to: final)
    case .pictures(_, let final, true):
      try checkIsFree(final.directory)
      do throws(FileError) { try unfinished?.files.handOver(to: final.directory) } catch {
        throw MediaError(code: -error.code, final.directory, as: .cannotCreate)
      }
    case .pictures(let temporary, let final, false):
      for file in written { try move(temporary + "/" + file, to: final.directory + "/" + file) }
    }
    discard()
  }

  /// The names of the files that are complete.
  private var written: [String] {
    guard let folder = unfinished?.files.folder else { return [] }
    return folder.names.filter { $0 != ClaimedFolder.listName && folder.isFile($0) }
  }

  /// Somebody else may have made it since it was looked for.
  private func checkIsFree(_ final: String) throws {
    if overwrite == .refuse, access(final, F_OK) == 0 {
      throw MediaError(.cannotCreate, "\(final): it exists already; -y replaces it")
    }
  }

  private func move(_ temporary: String, to final: String) throws {
    try checkIsFree(final)
    if rename(temporary, final) != 0 { throw MediaError(code: -errno, final, as: .cannotCreate) }
  }

  /// Removes what is not complete.
  func discard() {
    io = nil
    nested?.closeAll()
    guard let unfinished else { return }
    TemporaryOutputs.forget(unfinished)
    self.unfinished = nil
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
    path != "-" && (path.ends(with: "/") || ImageSequence.isDirectory(path))
  }

  private static func trimmed(_ path: String) -> String {
    var path = path
    while path.ends(with: "/") && path.utf8.count > 1 { path.unicodeScalars.removeLast() }
    return path
  }

  /// Begins what is not complete gets behind its name.
  private static let mark = ".fatezero-"

  /// `directory/name` becomes `directory/.name.fatezero-PID-random`.
  private static func beside(_ path: String, mark: String) -> String {
    folder(of: path) + "/." + fileName(path) + mark
  }

  private static func fileName(_ path: String) -> String {
    path.lastPlace(ofScalar: "/").map { String(path[path.place(behind: $0)...]) } ?? path
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.lastPlace(ofScalar: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }
}
