import ArgumentParser
import FateZero
import FoundationEssentials
import Glibc
import MediaIO
import Metrics
import StableDiffusion
import Tensors
import Text

/// `fatezero metrics`: how an edited clip compares with the clip that it was made of.
struct MetricsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "metrics",
    abstract: "Measure an edited clip against its source: what was kept, whether it moves alike, what CLIP says of it.",
    discussion: """
      fatezero metrics in.mp4 out.mp4 --mask mask.png
      fatezero metrics in.mp4 out.mp4 --clip openai/clip-vit-base-patch32 --edit "a [cat -> tiger] on the grass"
      fatezero metrics in.mp4 out.mp4 --json - | jq .metrics.warp_error.mean

      Prints a table; docs/metrics.md defines each measure. The motion between the source's frames is found by \
      libavfilter's mestimate (block matching, enhanced predictive zonal search). SOURCE and RESULT must have the same \
      number of frames and the same size. CLIP is a folder in the layout of Hugging Face's transformers.
      """)

  @Argument(
    help: ArgumentHelp(
      "The clip before the edit: any file libav reads, a folder or pattern of pictures, or - for standard input.",
      valueName: "source"), completion: .file())
  var source: String

  @Argument(
    help: ArgumentHelp("The clip after the edit, given in the same ways.", valueName: "result"), completion: .file())
  var result: String

  @Option(
    help: ArgumentHelp(
      "What the edit was to change, a picture or one for each frame: white is the edit, black the background, whose "
        + "error is measured. Scaled to the clip.", valueName: "file|folder"), completion: .file())
  var mask: String?

  @Option(
    help: ArgumentHelp(
      "A CLIP, as a folder with config.json, preprocessor_config.json, model.safetensors and its vocabulary, or "
        + "ORG/NAME in the Hugging Face cache.", valueName: "folder"), completion: .directory)
  var clip: String?

  @Option(
    help: ArgumentHelp(
      "What the result should show, for CLIP; in the form \"a [cat -> tiger]\" it says the source's prompt as well.",
      valueName: "prompt"))
  var edit: String?

  @Option(
    name: .customLong("source"), help: ArgumentHelp("What the source shows, for CLIP's Fram-Acc.", valueName: "prompt"))
  var sourcePrompt: String?

  @Option(
    help: ArgumentHelp(
      "Write all numbers as JSON, those of every frame too; - writes them to standard output in place of the table.",
      valueName: "file"), completion: .file(extensions: ["json"]))
  var json: String?

  func validate() throws {
    if source == "-", result == "-" { throw ValidationError("only one of SOURCE and RESULT can be standard input") }
    if edit != nil, clip == nil { throw ValidationError("--edit needs --clip FOLDER") }
    if sourcePrompt != nil, edit == nil { throw ValidationError("--source needs --edit PROMPT") }
  }

  func run() throws {
    try Interruption.watch()
    let prompts = try prompts()
    try checkOutput()
    let warn = { (text: String) in StandardError.line("fatezero: warning: \(text)") }
    let memoryLimit = Settings().usableMemory
    let reading = InputOptions(maximumPixels: memoryLimit.map(InputOptions.pixels))
    let sourceReader = try MediaReader(
      path: source, options: reading, warn: warn, isCancelled: { Interruption.isRequested })
    let resultReader = try MediaReader(
      path: result, options: reading, warn: warn, isCancelled: { Interruption.isRequested })
    let maskInput = try mask.map {
      try MaskInput(
        path: $0, size: FrameSize(width: sourceReader.info.width, height: sourceReader.info.height),
        memoryLimit: memoryLimit, warn: warn)
    }
    let cancellation = Interruption.cancellation
    let device = try clip.map { _ in try Device() }
    var score: CLIPScore?
    if let clip, let device {
      score = try device.perform(cancellation: cancellation) {
        try CLIPScore(
          model: try CLIPModel(clip, device: device), device: device, edit: prompts.edit, source: prompts.source)
      }
    }
    for text in score?.lostTexts ?? [] { warn("CLIP reads 77 tokens; \"\(text)\" was cut off") }

    var pictures = PictureMetrics(), warp = WarpError(), consistency = TemporalConsistency()
    var background = mask.map { _ in BackgroundError() }
    var motion: MotionEstimator?
    var count = 0
    while let pair = try nextPair(sourceReader, resultReader, count: count) {
      try cancellation.check()
      count += 1
      pictures.add(pair)
      if let maskInput { try background?.add(pair, mask: try maskInput.nextFrame().pixels) }
      if motion == nil { motion = try MotionEstimator(width: pair.source.width, height: pair.source.height) }
      warp.add(pair, motion: try motion?.push(pair.source))
      consistency.add(pair)
      if let device { try device.perform(cancellation: cancellation) { try score?.add(pair.result) } }
    }
    try maskInput?.finish(warn: warn)

    let report = MetricsReport(
      source: sourceReader.name, result: resultReader.name, mask: mask, clip: clip, edit: prompts.edit,
      sourcePrompt: prompts.source, frames: count, width: sourceReader.info.width, height: sourceReader.info.height,
      measures: MetricsReport.measures(
        pictures: pictures, background: background, warp: warp, consistency: consistency, score: score))
    if json != "-" { try StandardOutput.write(report.table.visibleText) }
    if let json { try write(try report.json(), to: json) }
  }

  // MARK: - Input

  private func prompts() throws -> (edit: String?, source: String?) {
    guard let edit else { return (nil, nil) }
    guard let inline = try InlineEdit.parse(edit) else { return (InlineEdit.plain(edit), sourcePrompt) }
    return (inline.target, sourcePrompt ?? inline.source)
  }

  /// - Throws: `CommandFailure` where one clip ends before the other.
  private func nextPair(_ source: MediaReader, _ result: MediaReader, count: Int) throws -> FramePair? {
    let frames = (try source.nextFrame(), try result.nextFrame())
    switch frames {
    case (let first?, let second?): return try FramePair(source: first, result: second)
    case (nil, nil): return nil
    default:
      let (short, long) = frames.0 == nil ? (source.name, result.name) : (result.name, source.name)
      throw CommandFailure(
        .data,
        "\(short) ends after \(Numerals.count(count, "frame")) and \(long) goes on; compare the same part of both, for "
          + "instance with ffmpeg -i \(long) -frames:v \(count)")
    }
  }

  // MARK: - Output

  /// Finds out before the work what would spoil it at its end.
  private func checkOutput() throws {
    guard let json, json != "-" else { return }
    if [source, result, mask].contains(json) {
      throw CommandFailure(.usage, "--json \(json): that is an input; name another file")
    }
    try OutputName.checkFolder(of: json, option: "--json")
  }

  private func write(_ text: String, to path: String) throws {
    if path == "-" { return try StandardOutput.write(text) }
    do {
      try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
    } catch {
      throw CommandFailure(.inputOutput, "--json \(path): it cannot be written")
    }
  }
}
