import Glibc
import Synchronization
import Testing

@testable import MediaIO

/// Standard streams, FIFOs and devices. One test at a time: standard input and output belong to the process.
@Suite(.serialized) struct PipeTests {
  private func clip(_ workspace: Workspace) throws {
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1", "-f", "lavfi", "-i", "sine=440:d=1", "-pix_fmt", "yuv420p",
      workspace.path("in.mp4"))
  }

  private func fifo(_ workspace: Workspace, _ name: String) -> String {
    #expect(mkfifo(workspace.path(name), 0o600) == 0)
    return workspace.path(name)
  }

  /// Runs `body` with standard input from a descriptor.
  private func withStandardInput<Result>(_ descriptor: Int32, _ body: () throws -> Result) throws -> Result {
    let kept = dup(STDIN_FILENO)
    dup2(descriptor, STDIN_FILENO)
    close(descriptor)
    defer {
      dup2(kept, STDIN_FILENO)
      close(kept)
    }
    return try body()
  }

  @Test func y4mAndNUTAreRecognisedOnAPipe() throws {
    let workspace = try Workspace()
    try clip(workspace)
    let file = try workspace.pass("in.mp4", to: "file.nut")
    for (format, more) in [("yuv4mpegpipe", []), ("nut", ["-c:v", "rawvideo", "-c:a", "copy"]), ("matroska", [])] {
      let pipe = fifo(workspace, "in-\(format)")
      let process = try Workspace.start(
        "ffmpeg", ["-v", "error", "-y", "-i", workspace.path("in.mp4")] + more + ["-f", format, pipe])
      let input = open(pipe, O_RDONLY)
      let passed = try withStandardInput(input) { try workspace.pass("-", to: "out-\(format).nut") }
      #expect(Workspace.wait(process) == 0)
      #expect(passed.frames.count == 25)
      #expect(try workspace.times("out-\(format).nut").count == 25)
      if format != "matroska" { #expect(passed.pixels == file.pixels) }
      let sound = try workspace.probe("out-\(format).nut", "-select_streams", "a", "-show_entries", "stream=codec_name")
      #expect(sound.isEmpty == (format == "yuv4mpegpipe"))
    }
  }

  @Test func rawFramesThroughPipes() throws {
    let workspace = try Workspace()
    let raw = (0..<96 * 64 * 3 * 11).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
    try workspace.write(raw, to: "in.rgb")
    let (input, output) = (fifo(workspace, "in"), fifo(workspace, "out"))
    let feeder = try Workspace.startCopying(workspace.path("in.rgb"), to: input)
    let taker = try Workspace.startCopying(output, to: workspace.path("out.rgb"))
    let passed = try workspace.pass(
      "in", to: "out", InputOptions(format: "rawvideo", videoSize: (96, 64), pixelFormat: "rgb24", framerate: "25"),
      OutputOptions(format: "rawvideo"))
    #expect(Workspace.wait(feeder) == 0)
    #expect(Workspace.wait(taker) == 0)
    #expect(passed.frames.count == 11)
    #expect(try workspace.bytes("out.rgb") == raw)
  }

  @Test func redirectedStandardInputCanSeek() throws {
    let workspace = try Workspace()
    try clip(workspace)
    let passed = try withStandardInput(open(workspace.path("in.mp4"), O_RDONLY)) {
      try workspace.pass("-", to: "out.mp4", InputOptions(start: 0.4))
    }
    #expect(passed.frames.count == 15)
  }

  @Test func fifosAreY4MUnlessToldOtherwise() throws {
    let workspace = try Workspace()
    try clip(workspace)
    let output = fifo(workspace, "out")
    let taker = try Workspace.startCopying(output, to: workspace.path("out.y4m"))
    let passed = try workspace.pass("in.mp4", to: "out")
    #expect(Workspace.wait(taker) == 0)
    #expect(passed.warnings.count == 1)
    #expect(passed.warnings.first?.contains("audio stream 1 (aac)") == true)
    #expect(Array(try workspace.bytes("out.y4m").prefix(9)) == Array("YUV4MPEG2".utf8))
    #expect(try workspace.times("out.y4m").count == 25)
  }

  @Test func mp4GoesThroughAPipeInFragments() throws {
    let workspace = try Workspace()
    try clip(workspace)
    let output = fifo(workspace, "out.mp4")
    let taker = try Workspace.startCopying(output, to: workspace.path("copy.mp4"))
    try workspace.pass("in.mp4", to: "out.mp4")
    #expect(Workspace.wait(taker) == 0)
    #expect(try workspace.times("copy.mp4").count == 25)
    #expect(try workspace.probe("copy.mp4", "-show_entries", "stream=codec_name") == ["h264", "aac"])
  }

  @Test func aClosedPipeIsItsOwnError() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=4", "-pix_fmt", "yuv420p", workspace.path("in.mp4"))
    let output = fifo(workspace, "out.y4m")
    let taker = try Workspace.start("head", ["-c", "1000", output])
    let error = try mediaError { try workspace.pass("in.mp4", to: "out.y4m") }
    _ = Workspace.wait(taker)
    #expect(error.kind == .brokenPipe, "\(error)")
  }

  @Test func aFullDiskIsAnError() throws {
    let workspace = try Workspace()
    try clip(workspace)
    for format in ["yuv4mpegpipe", "rawvideo", "matroska", "nut", "mp4"] {
      let error = try mediaError {
        try workspace.pass("in.mp4", to: "/dev/full", InputOptions(), OutputOptions(format: format))
      }
      #expect(error.kind == .io && error.description.contains("No space left"), "\(format): \(error)")
    }
    try workspace.pass("in.mp4", to: "/dev/null", InputOptions(), OutputOptions(format: "matroska"))
  }

  @Test func cancellingEndsEveryWait() throws {
    let workspace = try Workspace()
    try clip(workspace)
    // Nobody writes to this one, nobody reads from the other.
    let (input, output) = (fifo(workspace, "in"), fifo(workspace, "out.y4m"))
    let asked = Atomic<Int>(0)
    let third: @Sendable () -> Bool = { asked.add(1, ordering: .relaxed).newValue > 3 }
    #expect(try mediaError { _ = try MediaReader(path: input, isCancelled: third) }.kind == .cancelled)
    asked.store(0, ordering: .relaxed)
    let reader = try MediaReader(path: workspace.path("in.mp4"))
    let waiting = try mediaError {
      _ = try MediaWriter(path: output, source: reader, width: 96, height: 64, isCancelled: third)
    }
    #expect(waiting.kind == .cancelled)
    // A reader that has stopped reading: the pipe fills up.
    let descriptor = open(output, O_RDWR)
    defer { close(descriptor) }
    // It is asked once for every 4 KiB: the 64 KiB of the pipe are full by then.
    asked.store(0, ordering: .relaxed)
    let writer = try MediaWriter(
      path: output, source: reader, width: 96, height: 64,
      isCancelled: { asked.add(1, ordering: .relaxed).newValue > 25 })
    let full = try mediaError {
      while let frame = try reader.nextFrame() { try writer.write(frame) }
      try writer.finish()
    }
    #expect(full.kind == .cancelled)
  }

  @Test func aTerminalIsRefused() throws {
    let workspace = try Workspace()
    try clip(workspace)
    let main = open("/dev/ptmx", O_RDWR | O_NOCTTY)
    defer { close(main) }
    // TIOCSPTLCK and TIOCGPTN, which Swift does not import: unlock the other end, and ask its number.
    var unlocked: Int32 = 0
    var number: UInt32 = 0
    try #require(main >= 0 && ioctl(main, 0x4004_5431, &unlocked) == 0 && ioctl(main, 0x8004_5430, &number) == 0)
    let terminal = "/dev/pts/\(number)"
    let error = try mediaError { try workspace.pass("in.mp4", to: terminal) }
    #expect(error.kind == .usage && error.description.contains("terminal"))
  }

  @Test func aRateThatChangesLateLeavesNoOutput() throws {
    let workspace = try Workspace()
    let output = fifo(workspace, "in.nut")
    // Constant for longer than anybody looks ahead, then every second frame is missing.
    let process = try Workspace.start(
      "ffmpeg",
      [
        "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=10", "-vf", "select='lt(n,150)+mod(n,2)'",
        "-fps_mode", "passthrough", "-c:v", "rawvideo", output,
      ])
    let error = try mediaError { try workspace.pass("in.nut", to: "out.y4m") }
    _ = Workspace.wait(process)
    #expect(error.kind == .usage && error.description.contains("fps="))
    #expect(try workspace.names().allSatisfy { !$0.contains("out.y4m") })
  }
}
