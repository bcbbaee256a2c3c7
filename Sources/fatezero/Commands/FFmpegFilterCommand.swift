import ArgumentParser
import FateZero
import FoundationEssentials
import Glibc
import MediaIO
import StableDiffusion
import Text

/// `fatezero ffmpeg-filter`: an edit as a graph for ffmpeg's `-vf`.
struct FFmpegFilterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ffmpeg-filter",
    abstract:
      "Print the filter graph that makes an edit inside ffmpeg, by the frei0r plug-in that comes with fatezero.",
    discussion: """
      ffmpeg -i in.mp4 -vf "$(fatezero ffmpeg-filter --input in.mp4 --edit "a [cat -> tiger] on the grass")" out.mp4

      The line can also be pasted between quotes of either kind, or kept in a file for -filter_script:v. Name the clip, \
      or give the size of its frames: those whose width is no multiple of 16 must be padded for ffmpeg. Where ffmpeg would \
      not find the plug-in, standard error says what to set FREI0R_PATH to.
      """)

  @Option(help: ArgumentHelp("The clip that ffmpeg will read.", valueName: "file"), completion: .file())
  var input: String?

  @Option(help: ArgumentHelp("Size of the frames that come to the graph.", valueName: "WxH"))
  var videoSize: String?

  @Option(
    help: ArgumentHelp(Knobs.named("model")?.blurb ?? "", valueName: "file|folder"), completion: .file())
  var model: String?

  @OptionGroup(title: "Settings") var settings: SettingOptions

  func run() throws {
    guard let edit = settings.edit.first, settings.edit.count == 1 else {
      throw CommandFailure(.usage, "ffmpeg-filter takes one edit: --edit \"a [cat -> tiger] on the grass\"")
    }
    let layer = settings.layer
    let modelPath = try ModelLocation.find(model)
    let directory = try Checkpoint(
      path: modelPath, options: try ModelOptions.checkpoint([("edit", edit)] + layer, model: modelPath))
    let chosen = try Settings(layers: [try ModelDefaults.layer(of: directory), [("edit", edit)] + layer])

    let reader = try input.map(reader)
    let clip = try reader.map(Self.clip) ?? videoSize.map { FFmpegGraph.Clip(size: try InputArguments.size($0)) }
    let opened = try StableDiffusionModel(directory, device: nil)
    let side = (opened.unet.configuration.sampleSize ?? 64) * opened.autoencoder.factor
    let plan = try EditPlan(
      model: opened, edits: [chosen], frameSize: clip?.size ?? FrameSize(width: side, height: side))
    plan.warnings.forEach { Self.tell("warning: \($0)") }

    var clipLength = chosen.clipLength
    if clipLength == 0 {
      guard let reader else {
        throw CommandFailure(
          .usage, "clip-length 0 is the whole clip, and ffmpeg does not tell the filter how long that is; give --input")
      }
      clipLength = try Self.frameCount(reader, fixedRate: clip?.fixedRate)
    }
    if let rate = clip?.fixedRate {
      Self.tell("the clip's frames come at varying intervals; the graph makes them \(rate.decimal) per second")
    }
    if reader?.info.isInterlaced == true { Self.tell("in ffmpeg, yadif stands before the graph: -vf \"yadif,...\"") }
    if clip == nil {
      Self.tell("without --input or --video-size the line is for frames whose width is a multiple of 16")
    }
    if let hint = Self.pluginHint() { Self.tell(hint) }

    let place = try model.map { [(name: "model", text: try Self.absolute($0))] } ?? []
    let given = (layer + place).filter { $0.name != "clip-length" }
    let graph = FFmpegGraph(clip: clip, edit: edit, settings: given, clipLength: clipLength)
    try StandardOutput.line(graph.text)
  }

  private static func tell(_ text: String) { StandardError.line("fatezero: \(text)") }

  // MARK: - The clip

  private func reader(_ path: String) throws -> MediaReader {
    if videoSize != nil {
      throw CommandFailure(.usage, "--input and --video-size exclude each other: the clip has its size")
    }
    if path == "-" { throw CommandFailure(.usage, "--input names a file; for a pipe give --video-size") }
    return try MediaReader(path: path, warn: { Self.tell("warning: \($0)") })
  }

  private static func clip(_ reader: MediaReader) throws -> FFmpegGraph.Clip {
    let info = reader.info
    return FFmpegGraph.Clip(
      size: FrameSize(width: info.width, height: info.height),
      fixedRate: try reader.isVariableRate() == true ? info.frameRate : nil, pixelFormat: info.pixelFormat,
      colorMatrix: info.colorMatrix, colorRange: info.colorRange)
  }

  /// Frames that ffmpeg will hand to the graph.
  private static func frameCount(_ reader: MediaReader, fixedRate: Rational?) throws -> Int {
    guard let census = try reader.census() else {
      throw CommandFailure(.usage, "--input \(reader.name): it can be read only once; name a file, or set clip-length")
    }
    guard let fixedRate else { return census.count }
    // One more where rounding would take a frame off; a window that stays short is no harm.
    let frames = (census.end * fixedRate.value).rounded(.up) + 1
    guard frames < 1e9 else {
      throw CommandFailure(.data, "\(reader.name) lasts \(census.end) seconds; set clip-length")
    }
    return max(census.count, Int(frames))
  }

  // MARK: - Places

  /// Where ffmpeg looks by itself.
  private static let defaultFolders = ["/usr/local/lib/frei0r-1", "/usr/lib/frei0r-1"]

  /// How ffmpeg finds the plug-in; nil where it does by itself.
  private static func pluginHint() -> String? {
    guard let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else { return nil }
    let folder = program.pieces(at: "/").dropLast().map { "/\($0)" }.joined()
    let parent = folder.pieces(at: "/").dropLast().map { "/\($0)" }.joined()
    // Beside the program where it was built, else under the same prefix.
    let places = ["\(folder)/frei0r-1", "\(parent)/lib/frei0r-1"]
    guard let place = places.first(where: { access($0 + "/fatezero.so", R_OK) == 0 }) else {
      return "the frei0r plug-in is not at \(places.joined(separator: " nor at ")); ffmpeg finds it in $FREI0R_PATH"
    }
    return defaultFolders.contains(place) ? nil : "ffmpeg finds the plug-in with FREI0R_PATH=\(place)"
  }

  private static func absolute(_ path: String) throws -> String {
    guard let resolved = realpath(path, nil) else {
      throw CommandFailure(.noModel, "--model \(path): \(String(cString: strerror(errno)))")
    }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}

extension Rational {
  /// `25`, `29.97`.
  fileprivate var decimal: String { Numerals.fixed(value, digits: value == value.rounded() ? 0 : 2) }
}
