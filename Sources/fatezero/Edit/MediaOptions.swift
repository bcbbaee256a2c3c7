import ArgumentParser
import FateZero
import MediaIO
import Text

/// How the clip is read and which part of it.
struct InputArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Format of INPUT, by libav's name, like rawvideo, y4m, nut; recognised where it says what it is.",
      valueName: "format"))
  var inputFormat: String?

  @Option(help: ArgumentHelp("Size of raw frames in pixels.", valueName: "WxH"))
  var videoSize: String?

  @Option(help: ArgumentHelp("Pixel format of raw frames, like rgb24.", valueName: "name"))
  var pixelFormat: String?

  @Option(help: ArgumentHelp("Frames per second of raw frames or pictures, like 25 or 30000/1001.", valueName: "rate"))
  var framerate: String?

  @Option(
    help: ArgumentHelp(
      "A libavfilter graph that every frame passes first, like crop=512:512,fps=12.", valueName: "graph"))
  var inputFilter: String?

  @Option(help: ArgumentHelp("Where the part to edit begins, in seconds or [HH:]MM:SS.", valueName: "time"))
  var start: ClockTime?

  @Option(help: ArgumentHelp("Length of the part to edit, in seconds or [HH:]MM:SS.", valueName: "time"))
  var duration: ClockTime?

  @Option(help: ArgumentHelp("Edit at most so many frames.", valueName: "n"))
  var frames: Int?

  func options() throws -> InputOptions {
    var options = InputOptions(
      format: inputFormat, pixelFormat: pixelFormat, framerate: framerate, filter: inputFilter, start: start?.seconds,
      duration: duration?.seconds, frames: frames)
    if let size = try videoSize.map(Self.size) { options.videoSize = (size.width, size.height) }
    return options
  }

  /// The value of `--video-size`.
  static func size(_ text: String) throws -> FrameSize {
    let sides = text.pieces(at: "x", keepingEmpty: true).map { Int($0) }
    guard sides.count == 2, let width = sides[0], let height = sides[1] else {
      throw CommandFailure(.usage, "--video-size \(text): write it like 640x360, in pixels")
    }
    return FrameSize(width: width, height: height)
  }
}

/// How the result is written.
struct OutputArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Format of OUTPUT, by libav's name; by default from its name, y4m on standard output.", valueName: "format"))
  var outputFormat: String?

  @Option(
    help: ArgumentHelp(
      "Pixel format of OUTPUT; by default what suits codec and input, rgb24 for raw frames.", valueName: "name"))
  var outputPixelFormat: String?

  @Option(
    help: ArgumentHelp(
      "A libavfilter graph that every edited frame passes, like pad=ceil(iw/2)*2:ceil(ih/2)*2.", valueName: "graph"))
  var outputFilter: String?

  @Option(
    help: ArgumentHelp(
      "Video encoder, by libav's name; the default depends on the container and is printed.", valueName: "name"))
  var videoCodec: String?

  @Option(help: ArgumentHelp("An option of the encoder, like crf=18. May be repeated.", valueName: "name=value"))
  var encoderOption: [String] = []

  @Flag(name: .customShort("y"), help: "Overwrite an existing OUTPUT.")
  var overwrite = false

  @Flag(name: .customShort("n"), help: "Never overwrite an existing OUTPUT (the default).")
  var keep = false

  func validate() throws {
    if overwrite && keep { throw ValidationError("-y and -n exclude each other") }
    for option in encoderOption where !(option.firstPlace(ofScalar: "=").map { $0 > option.startIndex } ?? false) {
      throw ValidationError("--encoder-option \(option): write it as name=value")
    }
  }

  func options(metadata: [(String, String)]) -> OutputOptions {
    OutputOptions(
      format: outputFormat, pixelFormat: outputPixelFormat, videoCodec: videoCodec,
      encoderOptions: encoderOption.map { option in
        let parts = option.pieces(at: "=", maxSplits: 1, keepingEmpty: true)
        return (String(parts[0]), String(parts[1]))
      },
      filter: outputFilter, overwrite: overwrite ? .replace : .refuse, metadata: metadata)
  }
}

/// A moment or a length: `12.5`, `1:30`, `1:02:03.5`.
struct ClockTime: ExpressibleByArgument, Equatable {
  var seconds: Double

  init?(argument: String) {
    let parts = argument.pieces(at: ":", keepingEmpty: true).map { Double($0) }
    guard (1...3).contains(parts.count) else { return nil }
    var total = 0.0
    for (index, part) in parts.enumerated() {
      guard let part, part.isFinite, part >= 0, index == 0 || part < 60 else { return nil }
      total = total * 60 + part
    }
    seconds = total
  }
}
