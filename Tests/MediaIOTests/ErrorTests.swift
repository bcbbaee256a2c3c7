import Glibc
import Testing

@testable import MediaIO

/// Bad inputs, bad options, and what is left behind.
@Suite struct ErrorTests {
  private func clip(_ workspace: Workspace, _ name: String = "in.mp4", _ more: String...) throws {
    let arguments = ["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2", "-pix_fmt", "yuv420p"]
    #expect(try Workspace.run("ffmpeg", arguments + more + [workspace.path(name)]) == 0)
  }

  private func readError(_ workspace: Workspace, _ name: String, _ options: InputOptions = InputOptions()) throws
    -> MediaError
  {
    try mediaError {
      let reader = try MediaReader(path: workspace.path(name), options: options)
      while try reader.nextFrame() != nil {}
    }
  }

  @Test func inputsThatAreNone() throws {
    let workspace = try Workspace()
    try workspace.write([], to: "empty")
    try workspace.write((0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }, to: "garbage")
    try workspace.ffmpeg("-f", "lavfi", "-i", "sine=440:d=0.2", workspace.path("sound.wav"))
    try clip(workspace)
    let whole = try workspace.bytes("in.mp4")
    try workspace.write(whole.prefix(whole.count / 2), to: "half.mp4")
    #expect(mkdir(workspace.path("folder"), 0o700) == 0)

    for (name, kind, words) in [
      ("missing.mp4", .noInput, "No such file"), ("empty", .badData, "empty"), ("garbage", .badData, "Invalid data"),
      ("sound.wav", .badData, "no video"), ("half.mp4", .badData, "moov atom not found"),
      ("folder", .noInput, "no pictures"),
    ] as [(String, MediaError.Kind, String)] {
      let error = try readError(workspace, name)
      print(error)
      #expect(error.kind == kind && error.description.contains(words), "\(error)")
      #expect(error.description.contains(name))
    }
    #expect(
      try readError(workspace, "empty", InputOptions(format: "rawvideo", videoSize: (8, 8), pixelFormat: "rgb24")).kind
        == .badData)
  }

  @Test func truncatedInputsGiveWhatTheyHave() throws {
    let workspace = try Workspace()
    // Raw: the short last frame is left out.
    try workspace.write([UInt8](repeating: 7, count: 16 * 16 * 3 * 5 + 100), to: "in.rgb")
    let raw = try workspace.pass(
      "in.rgb", to: "raw.nut", InputOptions(format: "rawvideo", videoSize: (16, 16), pixelFormat: "rgb24"))
    #expect(raw.frames.count == 5)
    #expect(raw.warnings.count == 1 && raw.warnings.first?.contains("within a frame") == true)

    try clip(workspace, "in.mkv")
    try clip(workspace, "fast.mp4", "-movflags", "+faststart")
    try clip(workspace, "in.y4m")
    try clip(workspace, "in.nut", "-c:v", "rawvideo")
    for name in ["in.mkv", "fast.mp4", "in.y4m", "in.nut"] {
      let whole = try workspace.bytes(name)
      try workspace.write(whole.prefix(whole.count * 2 / 3), to: "cut-" + name)
      let passed = try workspace.pass("cut-" + name, to: "out-\(name).nut")
      print("\(name): \(passed.frames.count) of 50 frames, warnings \(passed.warnings)")
      #expect(passed.warnings.count == 1)
      #expect(20..<45 ~= passed.frames.count)
      #expect(try workspace.times("out-\(name).nut").count == passed.frames.count)
    }
  }

  @Test func optionsThatAreNone() throws {
    let workspace = try Workspace()
    try clip(workspace)
    try workspace.write([UInt8](repeating: 7, count: 768), to: "in.rgb")
    let readers = [
      InputOptions(format: "nosuch"), InputOptions(demuxerOptions: [("nosuch", "1")]), InputOptions(framerate: "30"),
      InputOptions(filter: "nosuch"), InputOptions(filter: "crop=1000:1000"), InputOptions(frames: 0),
    ]
    for options in readers { #expect(try readError(workspace, "in.mp4", options).kind == .usage) }
    for options in [
      InputOptions(format: "rawvideo"), InputOptions(format: "rawvideo", videoSize: (16, 16)),
      InputOptions(format: "rawvideo", videoSize: (16, 16), pixelFormat: "nosuch"),
      InputOptions(format: "rawvideo", videoSize: (70000, 16), pixelFormat: "rgb24"),
    ] {
      let error = try readError(workspace, "in.rgb", options)
      print(error)
      #expect(error.kind == .usage)
    }

    for (output, options) in [
      ("x.mp4", OutputOptions(format: "nosuch")), ("x.mp4", OutputOptions(videoCodec: "nosuch")),
      ("x.mp4", OutputOptions(encoderOptions: [("nosuch", "1")])), ("x.mp4", OutputOptions(filter: "nosuch=1")),
      ("x.mp4", OutputOptions(pixelFormat: "nosuch")), ("x.mp4", OutputOptions(pixelFormat: "rgb24")),
      ("x.mp4", OutputOptions(encoderOptions: [("crf", "many")])), ("x.nosuch", OutputOptions()),
      ("x.wav", OutputOptions()),
    ] {
      let error = try mediaError { try workspace.pass("in.mp4", to: output, InputOptions(), options) }
      print(error)
      #expect(error.kind == .usage, "\(error)")
    }
    #expect(try mediaError { try workspace.pass("in.mp4", to: "nowhere/x.mp4") }.kind == .cannotCreate)
    #expect(
      try mediaError {
        try workspace.pass("in.mp4", to: "x.webm", InputOptions(), OutputOptions(videoCodec: "libx264"))
      }.kind != .badData)
    #expect(try workspace.names().filter { $0.hasPrefix("x") || $0.contains("fatezero") } == [])
  }

  @Test func existingFilesAndTheInputAreSafe() throws {
    let workspace = try Workspace()
    try clip(workspace)
    let input = try workspace.bytes("in.mp4")
    try workspace.write([1, 2, 3], to: "out.mp4")
    #expect(try mediaError { try workspace.pass("in.mp4", to: "out.mp4") }.kind == .cannotCreate)
    #expect(try workspace.bytes("out.mp4") == [1, 2, 3])
    #expect(symlink(workspace.path("in.mp4"), workspace.path("link.mp4")) == 0)
    for name in ["in.mp4", "link.mp4", "./in.mp4"] {
      let error = try mediaError {
        try workspace.pass("in.mp4", to: name, InputOptions(), OutputOptions(overwrite: .replace))
      }
      #expect(error.kind == .usage && error.description.contains("same file"))
    }
    #expect(try workspace.bytes("in.mp4") == input)
    // Until it is finished, an output has another name; abandoned, none.
    let reader = try MediaReader(path: workspace.path("in.mp4"))
    var writer: MediaWriter? = try MediaWriter(
      path: workspace.path("out.mp4"), options: OutputOptions(overwrite: .replace), source: reader, width: 96,
      height: 64)
    if let frame = try reader.nextFrame() { try writer?.write(frame) }
    #expect(try workspace.bytes("out.mp4") == [1, 2, 3])
    #expect(try workspace.names().filter { $0.hasPrefix(".out.mp4.fatezero-") }.count == 1)
    writer = nil
    #expect(try workspace.names().sorted() == ["in.mp4", "link.mp4", "out.mp4"])
    try workspace.pass("in.mp4", to: "out.mp4", InputOptions(), OutputOptions(overwrite: .replace))
    #expect(try workspace.times("out.mp4").count == 50)
  }

  @Test func defaultCodecs() throws {
    for (path, codec) in [
      ("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mov", "libx264"), ("a.webm", "libvpx-vp9"), ("a.nut", "rawvideo"),
      ("-", "wrapped_avframe"), ("a%03d.png", "png"), ("a.jpg", "mjpeg"), ("folder/", "png"), ("a.gif", "gif"),
      ("a.avi", "mpeg4"),
    ] {
      #expect(try MediaWriter.defaultCodec(for: path) == codec, "\(path)")
    }
    #expect(try MediaWriter.defaultCodec(for: "-", format: "mkv") == "libx264")
  }
}
