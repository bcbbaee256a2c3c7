import FoundationEssentials
import Glibc

/// A folder of its own in which a test runs shell scripts; removed at the end.
///
/// Scripts see `$FATEZERO` (the built command), `$MODEL` (a tiny random model) and a function `edit` that calls the
/// command with that model, 64x64 pixels, two steps and one edit. They stop at the first error.
public final class Workbench {
  public let folder: String

  public static let root = Fixtures.repository.path
  public static let model = Fixtures.oracle.appendingPathComponent("models/tinyA").path

  /// The command that was built with these tests: it lies beside them.
  public static func command() throws -> String {
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let command = tests.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/fatezero"
    guard access(command, X_OK) == 0 else { throw WorkbenchError.noCommand(command) }
    return command
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

  public init() throws {
    var template = Array("/tmp/fatezero-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw WorkbenchError.system("mkdtemp", errno) }
    folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit {
    try? FileManager.default.removeItem(atPath: folder)
  }

  // MARK: Scripts

  /// Starts `script` in bash.
  public func start(_ script: String) throws -> Job {
    let environment = try Self.environment()
    let job = "\(folder)/.\(UInt32.random(in: 0 ... .max))"
    return try Job(
      arguments: ["/bin/bash", "-c", "cd '\(folder)'\n" + Self.prelude + script], environment: environment,
      output: job + ".out", errors: job + ".err")
  }

  /// Runs `script` and waits for it.
  /// - Parameter seconds: After so many it is killed, which is an error.
  @discardableResult
  public func run(_ script: String, seconds: Int = 400) throws -> Outcome {
    try start(script).wait(seconds: seconds)
  }

  /// Runs `script`, which must succeed.
  @discardableResult
  public func succeed(_ script: String, seconds: Int = 400) throws -> Outcome {
    let outcome = try run(script, seconds: seconds)
    guard outcome.status == 0 else { throw WorkbenchError.failed(script, outcome.errors) }
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

  public func path(_ name: String) -> String { "\(folder)/\(name)" }

  public func exists(_ name: String) -> Bool { access(path(name), F_OK) == 0 }

  public func contents(_ name: String) throws -> Data {
    try Data(contentsOf: URL(filePath: path(name)))
  }

  public func write(_ bytes: Data, to name: String) throws {
    try bytes.write(to: URL(filePath: path(name)))
  }

  /// Names in a folder, without hidden ones.
  public func names(in name: String = ".") throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path(name)).filter { !$0.hasPrefix(".") }.sorted()
  }

  /// Hidden and temporary leftovers beside the outputs; the files of `Job` are no leftovers.
  public func leftovers() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).filter { name in
      name.hasPrefix(".") && !name.hasSuffix(".out") && !name.hasSuffix(".err")
    }
  }

  // MARK: Clips

  /// What ffprobe says about a file.
  public func probe(_ name: String) throws -> Probe {
    let script = """
      ffprobe -v error -count_frames -show_streams -show_format -show_chapters -show_entries \
        frame=pts_time,media_type -of json '\(name)'
      """
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Probe.self, from: succeed(script).output)
  }

  /// The decoded frames as packed rgb24.
  public func pixels(_ name: String) throws -> Data {
    try succeed("ffmpeg -v error -i '\(name)' -map 0:v:0 -fps_mode passthrough -f rawvideo -pix_fmt rgb24 -").output
  }
}

/// ffprobe's JSON, as far as the tests read it.
public struct Probe: Decodable {
  public struct Stream: Decodable {
    public let codecType: String
    public let codecName: String?
    public let width: Int?
    public let height: Int?
    public let pixFmt: String?
    public let rFrameRate: String?
    public let sampleAspectRatio: String?
    public let colorRange: String?
    public let colorSpace: String?
    public let duration: String?
    public let sideDataList: [SideData]?
    public let tags: [String: String]?
  }

  public struct SideData: Decodable {
    public let rotation: Int?
  }

  public struct Frame: Decodable {
    public let mediaType: String?
    public let ptsTime: String?
  }

  public struct Format: Decodable {
    public let formatName: String
    public let duration: String?
    public let tags: [String: String]?
  }

  public struct Chapter: Decodable {
    public let startTime: String
    public let tags: [String: String]?
  }

  public let streams: [Stream]
  public let frames: [Frame]
  public let format: Format
  public let chapters: [Chapter]

  public var video: Stream? { streams.first { $0.codecType == "video" } }
  public var audio: Stream? { streams.first { $0.codecType == "audio" } }

  /// Presentation times of the video frames in seconds, from the first one on.
  public var times: [Double] {
    let times = frames.filter { $0.mediaType == "video" }.compactMap { $0.ptsTime.flatMap(Double.init) }
    return times.map { $0 - (times.first ?? 0) }
  }

  public var videoFrames: Int { frames.count { $0.mediaType == "video" } }
}

public enum WorkbenchError: Error, CustomStringConvertible {
  case system(String, Int32)
  case noCommand(String)
  case failed(String, String)
  case hangs(seconds: Int, errors: String)

  public var description: String {
    switch self {
    case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
    case .noCommand(let path): "there is no built command at \(path)"
    case .failed(let script, let errors): "\(script)\n\(errors)"
    case .hangs(let seconds, let errors): "not ended after \(seconds) s:\n\(errors)"
    }
  }
}
