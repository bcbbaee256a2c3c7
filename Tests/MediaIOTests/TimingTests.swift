import CLibAV
import Testing

@testable import MediaIO

/// Timestamps: variable rates and parts of clips.
@Suite struct TimingTests {
  /// Frames 0, 1, 4, 5, 8, ... of 25 per second.
  private func variable(_ workspace: Workspace, _ name: String) throws {
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2", "-vf", "select='lt(mod(n,4),2)'", "-fps_mode", "passthrough",
      "-pix_fmt", "yuv420p", workspace.path(name))
  }

  @Test func variableRateSurvives() throws {
    let workspace = try Workspace()
    for (input, output) in [
      ("in.mp4", "out.mp4"), ("in.mkv", "out.mkv"), ("in.mp4", "out.nut"), ("in.nut", "out2.mp4"),
      ("in.mkv", "out2.nut"),
    ] {
      try variable(workspace, input)
      let passed = try workspace.pass(input, to: output)
      #expect(passed.frames.count == 26)
      let (written, read) = (try workspace.times(output), try workspace.times(input))
      #expect(written.count == read.count)
      let largest = zip(written, read).map { abs($0 - $1) }.max() ?? 1
      print("\(input) to \(output): largest difference of times \(largest) s")
      #expect(largest < 0.0005)
      #expect(passed.frames[0].duration < passed.frames[1].duration)
    }
  }

  @Test func framesOfANUTFileAreCounted() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=96x64:r=10:d=0.5", "-c:v", "rawvideo", workspace.path("alone.nut"))
    let path = workspace.path("alone.nut")
    #expect(try MediaReader(path: path).frameCount() == 5)
    #expect(try MediaReader(path: path, options: InputOptions(start: 0.2)).frameCount() == 3)
    #expect(try MediaReader(path: path, options: InputOptions(duration: 0.2)).frameCount() == 2)
  }

  @Test func oneRateContainersRefuseIt() throws {
    let workspace = try Workspace()
    for input in ["in.mp4", "in.mkv", "in.nut"] {
      try variable(workspace, input)
      #expect(try MediaReader(path: workspace.path(input)).isVariableRate() == true)
      for (output, format) in [("out.y4m", nil), ("out.rgb", "rawvideo"), ("out.avi", nil)] as [(String, String?)] {
        let error = try mediaError {
          try workspace.pass(input, to: output, InputOptions(), OutputOptions(format: format))
        }
        #expect(error.kind == .usage)
        #expect(error.description.contains("nut") && error.description.contains("fps="))
      }
      let made = try workspace.pass(
        input, to: "fixed.y4m", InputOptions(filter: "fps=25"), OutputOptions(overwrite: .replace))
      #expect(made.frames.count >= 49)
      try workspace.pass(input, to: "fixed.y4m", InputOptions(), OutputOptions(filter: "fps=10", overwrite: .replace))
      #expect(try workspace.video("fixed.y4m", "r_frame_rate") == ["10/1"])
    }
    #expect(try workspace.names().allSatisfy { !$0.hasPrefix("out") && !$0.contains("fatezero") })
  }

  @Test func constantRatesAreRecognised() throws {
    let workspace = try Workspace()
    for (name, rate) in [
      ("a.mp4", "30000/1001"), ("b.mkv", "30000/1001"), ("c.mkv", "24"), ("d.nut", "12"), ("e.webm", "25"),
    ] {
      try workspace.ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=96x64:r=\(rate):d=1", "-pix_fmt", "yuv420p", workspace.path(name))
      let reader = try MediaReader(path: workspace.path(name))
      #expect(try reader.isVariableRate() == false, "\(name)")
      try workspace.pass(name, to: "out.y4m", InputOptions(), OutputOptions(overwrite: .replace))
      #expect(try workspace.video("out.y4m", "r_frame_rate") == [rate.contains("/") ? rate : rate + "/1"])
    }
  }

  @Test func toleranceIsAFrameTenth() {
    let rate = AVRationalForTests.rate(25)
    let base = AVRationalForTests.base(1000)
    #expect(FrameTiming(timestamps: [0, 40, 80, 120], timeBase: base, rate: rate) == .constant(onGrid: true))
    #expect(FrameTiming(timestamps: [7, 47, 87, 127], timeBase: base, rate: rate) == .constant(onGrid: false))
    #expect(FrameTiming(timestamps: [0, 44, 80, 120], timeBase: base, rate: rate) == .constant(onGrid: false))
    #expect(FrameTiming(timestamps: [0, 46, 80, 120], timeBase: base, rate: rate) == .variable)
    #expect(FrameTiming(timestamps: [0, 40, 120, 160], timeBase: base, rate: rate) == .variable)
    #expect(FrameTiming(timestamps: [80, 0, 40, 120], timeBase: base, rate: rate) == .constant(onGrid: true))
  }

  @Test func aPartHasItsOwnSoundAndBeginsAtZero() throws {
    let workspace = try Workspace()
    // A tone that climbs tells which second it is from.
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=4", "-f", "lavfi", "-i", "aevalsrc=sin(400*t*t):d=4:s=48000",
      "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac", workspace.path("in.mp4"))
    let whole = try workspace.pass("in.mp4", to: "whole.nut")
    for (options, first, count) in [
      (InputOptions(start: 1.0, duration: 1.0), 25, 25), (InputOptions(start: 1.5, frames: 13), 38, 13),
      (InputOptions(frames: 10), 0, 10), (InputOptions(duration: 0.5), 0, 13), (InputOptions(start: 3.5), 88, 12),
    ] {
      let passed = try workspace.pass("in.mp4", to: "part.mp4", options, OutputOptions(overwrite: .replace))
      #expect(passed.frames.count == count)
      #expect(passed.frames.map(\.pixels) == whole.frames[first..<first + count].map(\.pixels))
      #expect(passed.frameCount == count)
      let video = try workspace.times("part.mp4")
      let start = options.start ?? 0
      let begin = Double(first) / 25 - start
      #expect(abs((video.first ?? -1) - begin) < 0.001)
      let audio = try workspace.probe("part.mp4", "-select_streams", "a", "-show_entries", "packet=pts_time").compactMap
      { Double($0) }
      let end = begin + Double(count) / 25
      #expect((audio.min() ?? 1) < (options.start == nil ? 0.001 : 0.0214) && (audio.min() ?? -1) > -0.022)
      #expect((audio.max() ?? 9) < end && (audio.max() ?? 0) > end - 0.05)
    }
    #expect(
      try mediaError { _ = try MediaReader(path: workspace.path("in.mp4"), options: InputOptions(start: 60)) }.kind
        == .badData)
    #expect(
      try mediaError { _ = try MediaReader(path: workspace.path("in.mp4"), options: InputOptions(start: -1)) }.kind
        == .usage)
  }

  @Test func chaptersMoveWithThePart() throws {
    let workspace = try Workspace()
    let chapters = """
      ;FFMETADATA1
      [CHAPTER]
      TIMEBASE=1/1000
      START=0
      END=400
      title=one
      [CHAPTER]
      TIMEBASE=1/1000
      START=400
      END=1500
      title=two
      [CHAPTER]
      TIMEBASE=1/1000
      START=1500
      END=2000
      title=three

      """
    try workspace.write(
      Array(
        chapters.utf8), to: "meta")
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2", "-i", workspace.path("meta"), "-map_metadata", "1", "-pix_fmt",
      "yuv420p", workspace.path("in.mkv"))
    try workspace.pass("in.mkv", to: "out.mkv", InputOptions(start: 1, duration: 0.4))
    #expect(
      try workspace.probe("out.mkv", "-show_entries", "chapter=start_time,end_time:chapter_tags=title")
        == ["0.000000", "0.400000", "two"])
  }
}

/// Rates and clocks for tests of the arithmetic alone.
enum AVRationalForTests {
  static func rate(_ frames: Int32) -> AVRational { AVRational(num: frames, den: 1) }
  static func base(_ ticks: Int32) -> AVRational { AVRational(num: 1, den: ticks) }
}
