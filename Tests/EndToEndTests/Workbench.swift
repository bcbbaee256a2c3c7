import FoundationEssentials
import Glibc
import TestSupport
import Testing

/// A folder of its own in which a test runs shell scripts; removed at the end.
///
/// Scripts see `$FATEZERO` (the built command), `$MODEL` (a tiny random model) and a function `edit` that calls the
/// command with that model, 64x64 pixels, two steps and one edit. They stop at the first error.
final class Workbench {
  let folder: String

  static let root = Fixtures.repository.path
  static let model = Fixtures.oracle.appendingPathComponent("models/tinyA").path

  /// The command that was built with these tests: it lies beside them.
  static func command() throws -> String {
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let command = tests.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/fatezero"
    return try #require(access(command, X_OK) == 0 ? command : nil, "there is no built command at \(command)")
  }

  private static let prelude = """
    set -euo pipefail
    edit() {
      "$FATEZERO" edit --model "$MODEL" --size 64x64 --steps 2 --edit "a [cat -> tiger] on the grass" "$@"
    }
    # frames RATE COUNT [SIZE]: moving pictures as lossless NUT.
    frames() {
      ffmpeg -v error -f lavfi -i "testsrc=size=${3:-96x64}:rate=$1" -frames:v "$2" \
        -c:v rawvideo -pix_fmt rgb24 -f nut -
    }

    """

  init() throws {
    var template = Array("/tmp/fatezero-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw WorkbenchError.system("mkdtemp", errno) }
    folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit {
    try? FileManager.default.removeItem(atPath: folder)
  }

  // MARK: Scripts

  /// Starts `script` in bash.
  func start(_ script: String) throws -> Job {
    let environment = try Self.environment()
    let job = "\(folder)/.\(UInt32.random(in: 0 ... .max))"
    return try Job(
      arguments: ["/bin/bash", "-c", "cd '\(folder)'\n" + Self.prelude + script], environment: environment,
      output: job + ".out", errors: job + ".err")
  }

  /// Runs `script` and waits for it.
  @discardableResult
  func run(_ script: String) throws -> Outcome {
    try start(script).wait()
  }

  /// Runs `script`, which must succeed.
  @discardableResult
  func succeed(_ script: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Outcome {
    let outcome = try run(script)
    try #require(outcome.status == 0, "\(script)\n\(outcome.errors)", sourceLocation: sourceLocation)
    return outcome
  }

  private static func environment() throws -> [String] {
    var variables = ProcessInfo.processInfo.environment
    variables["FATEZERO"] = try command()
    variables["MODEL"] = model
    variables.removeValue(forKey: "FATEZERO_MODEL")
    return variables.map { "\($0.key)=\($0.value)" }
  }

  // MARK: Files

  func path(_ name: String) -> String { "\(folder)/\(name)" }

  func exists(_ name: String) -> Bool { access(path(name), F_OK) == 0 }

  func contents(_ name: String) throws -> Data {
    try Data(contentsOf: URL(filePath: path(name)))
  }

  func write(_ bytes: Data, to name: String) throws {
    try bytes.write(to: URL(filePath: path(name)))
  }

  /// Names in a folder, without hidden ones.
  func names(in name: String = ".") throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path(name)).filter { !$0.hasPrefix(".") }.sorted()
  }

  /// Hidden and temporary leftovers beside the outputs; the files of `Job` are no leftovers.
  func leftovers() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).filter { name in
      name.hasPrefix(".") && !name.hasSuffix(".out") && !name.hasSuffix(".err")
    }
  }

  // MARK: Clips

  /// What ffprobe says about a file.
  func probe(_ name: String) throws -> Probe {
    let script = """
      ffprobe -v error -count_frames -show_streams -show_format -show_chapters -show_entries \
        frame=pts_time,media_type -of json '\(name)'
      """
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Probe.self, from: succeed(script).output)
  }

  /// The decoded frames as packed rgb24.
  func pixels(_ name: String) throws -> Data {
    try succeed("ffmpeg -v error -i '\(name)' -map 0:v:0 -fps_mode passthrough -f rawvideo -pix_fmt rgb24 -").output
  }
}

/// ffprobe's JSON, as far as the tests read it.
struct Probe: Decodable {
  struct Stream: Decodable {
    let codecType: String
    let codecName: String?
    let width: Int?
    let height: Int?
    let pixFmt: String?
    let rFrameRate: String?
    let sampleAspectRatio: String?
    let colorRange: String?
    let colorSpace: String?
    let duration: String?
    let sideDataList: [SideData]?
    let tags: [String: String]?
  }

  struct SideData: Decodable {
    let rotation: Int?
  }

  struct Frame: Decodable {
    let mediaType: String?
    let ptsTime: String?
  }

  struct Format: Decodable {
    let formatName: String
    let duration: String?
    let tags: [String: String]?
  }

  struct Chapter: Decodable {
    let startTime: String
    let tags: [String: String]?
  }

  let streams: [Stream]
  let frames: [Frame]
  let format: Format
  let chapters: [Chapter]

  var video: Stream? { streams.first { $0.codecType == "video" } }
  var audio: Stream? { streams.first { $0.codecType == "audio" } }

  /// Presentation times of the video frames in seconds, from the first one on.
  var times: [Double] {
    let times = frames.filter { $0.mediaType == "video" }.compactMap { $0.ptsTime.flatMap(Double.init) }
    return times.map { $0 - (times.first ?? 0) }
  }

  var videoFrames: Int { frames.count { $0.mediaType == "video" } }
}

enum WorkbenchError: Error, CustomStringConvertible {
  case system(String, Int32)

  var description: String {
    switch self {
    case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
    }
  }
}
