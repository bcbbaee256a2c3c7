import Glibc
import Testing

@testable import MediaIO

/// Runs programs and keeps files for one test in a directory of its own.
final class Workspace {
  let directory: String

  init() throws {
    var template = Array("/tmp/fatezero-media-XXXXXX".utf8CString)
    let made = try #require(mkdtemp(&template))
    directory = String(cString: made)
    // As in the command: a broken pipe is an error code, not a signal.
    signal(SIGPIPE, SIG_IGN)
  }

  deinit { _ = try? Workspace.run("rm", ["-rf", directory]) }

  func path(_ name: String) -> String { directory + "/" + name }

  struct ProgramFailed: Error { var text: String }

  /// Starts a program; `input` and `output` are paths for its standard streams.
  static func start(
    _ program: String, _ arguments: [String], input: String = "/dev/null", output: String = "/dev/null",
    error: String = "/dev/null"
  ) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, error, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
    words.append(nil)
    defer { words.forEach { free($0) } }
    var process = pid_t()
    let code = posix_spawnp(&process, program, &actions, nil, words, environ)
    guard code == 0 else { throw ProgramFailed(text: "\(program): \(String(cString: strerror(code)))") }
    return process
  }

  /// Starts copying a file into another. The shell opens both: a FIFO would block here.
  static func startCopying(_ input: String, to output: String) throws -> pid_t {
    try start("sh", ["-c", "exec cat < \"$0\" > \"$1\"", input, output])
  }

  static func wait(_ process: pid_t) -> Int32 {
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    return status
  }

  @discardableResult
  static func run(_ program: String, _ arguments: [String]) throws -> Int32 {
    try wait(start(program, arguments))
  }

  /// Runs ffmpeg, which must succeed.
  func ffmpeg(_ arguments: String...) throws {
    let log = path("ffmpeg.log")
    let process = try Workspace.start("ffmpeg", ["-v", "error", "-nostdin", "-y"] + arguments, error: log)
    if Workspace.wait(process) != 0 {
      throw ProgramFailed(text: "ffmpeg \(arguments): \(String(decoding: try bytes("ffmpeg.log"), as: UTF8.self))")
    }
  }

  /// Runs ffprobe and gives its lines.
  func probe(_ name: String, _ arguments: String...) throws -> [String] {
    let output = path("ffprobe.out")
    let process = try Workspace.start(
      "ffprobe", ["-v", "error", "-of", "default=nk=1:nw=1"] + arguments + [path(name)], output: output)
    if Workspace.wait(process) != 0 { throw ProgramFailed(text: "ffprobe \(name)") }
    return String(decoding: try bytes("ffprobe.out"), as: UTF8.self).split(separator: "\n").map(String.init)
  }

  func video(_ name: String, _ entry: String) throws -> [String] {
    try probe(name, "-select_streams", "v:0", "-show_entries", "stream=" + entry)
  }

  /// Presentation times of the video's frames in seconds, rising.
  func times(_ name: String) throws -> [Double] {
    try probe(name, "-select_streams", "v:0", "-show_entries", "packet=pts_time").compactMap { Double($0) }.sorted()
  }

  /// The video's frames as ffmpeg decodes them, rgb24.
  func pixels(_ name: String) throws -> [UInt8] {
    try ffmpeg(
      "-i", path(name), "-map", "0:v:0", "-fps_mode", "passthrough", "-sws_flags",
      "bicubic+accurate_rnd+full_chroma_int", "-f", "rawvideo", "-pix_fmt", "rgb24", path("decoded.rgb"))
    return try bytes("decoded.rgb")
  }

  func bytes(_ name: String) throws -> [UInt8] {
    let descriptor = open(path(name), O_RDONLY)
    guard descriptor >= 0 else { throw ProgramFailed(text: "cannot read \(name)") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count <= 0 { return bytes }
      bytes += buffer[..<count]
    }
  }

  func write(_ bytes: some Collection<UInt8>, to name: String) throws {
    let descriptor = open(path(name), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard descriptor >= 0 else { throw ProgramFailed(text: "cannot write \(name)") }
    defer { close(descriptor) }
    let array = Array(bytes)
    guard Glibc.write(descriptor, array, array.count) == array.count else { throw ProgramFailed(text: name) }
  }

  /// Names in a directory of the workspace, sorted, hidden ones too.
  func names(_ directory: String = "") throws -> [String] { try ImageSequence.names(in: path(directory)).sorted() }

  /// Reads all frames of `input` and writes them to `output`; gives the frames, the warnings and what was written.
  @discardableResult
  func pass(
    _ input: String, to output: String, _ inputOptions: InputOptions = InputOptions(),
    _ outputOptions: OutputOptions = OutputOptions(), window: Int = 8
  ) throws -> Passed {
    let warnings = Lines()
    let reader = try MediaReader(path: resolve(input), options: inputOptions, warn: warnings.add)
    let writer = try MediaWriter(
      path: resolve(output), options: outputOptions, source: reader, width: reader.info.width,
      height: reader.info.height, warn: warnings.add)
    var frames: [VideoFrame] = []
    do {
      var held: [VideoFrame] = []
      while let frame = try reader.nextFrame() {
        frames.append(frame)
        held.append(frame)
        if held.count == window {
          for frame in held { try writer.write(frame) }
          held = []
        }
      }
      for frame in held { try writer.write(frame) }
      try writer.finish()
    } catch {
      writer.abandon()
      throw error
    }
    return Passed(
      frames: frames, info: reader.info, frameCount: try reader.frameCount(), warnings: warnings.lines,
      summary: writer.summary)
  }

  private func resolve(_ name: String) -> String { name == "-" || name.hasPrefix("/") ? name : path(name) }

  struct Passed {
    var frames: [VideoFrame]
    var info: VideoInformation
    /// As the reader says it.
    var frameCount: Int?
    var warnings: [String]
    var summary: String
    var pixels: [UInt8] { frames.flatMap(\.pixels) }
  }
}

/// What a callback was told.
final class Lines {
  private(set) var lines: [String] = []
  func add(_ line: String) { lines.append(line) }
}

/// The error of a call that must fail.
func mediaError(_ body: () throws -> Void) throws -> MediaError {
  do {
    try body()
  } catch let error as MediaError {
    return error
  }
  Issue.record("nothing was thrown")
  throw Workspace.ProgramFailed(text: "nothing was thrown")
}

/// The largest difference of two equally long pictures, and the mean one.
func difference(_ left: [UInt8], _ right: [UInt8]) -> (largest: Int, mean: Double) {
  guard left.count == right.count, !left.isEmpty else { return (256, 256) }
  var largest = 0
  var sum = 0
  for (a, b) in zip(left, right) {
    let distance = abs(Int(a) - Int(b))
    largest = max(largest, distance)
    sum += distance
  }
  return (largest, Double(sum) / Double(left.count))
}
