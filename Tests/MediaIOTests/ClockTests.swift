import Glibc
import Testing

@testable import MediaIO

/// Clips whose clock cannot be trusted; what the ffmpeg command makes of them is the measure.
@Suite struct ClockTests {
  /// What a file holds, in frames and seconds.
  private struct Content: CustomStringConvertible {
    var frames = 0
    var packets = 0
    /// From the first to the last frame.
    var video = 0.0
    /// From the beginning of the first packet to that of the last.
    var sound = 0.0
    var description: String { "\(frames) frames in \(video) s, \(packets) packets of sound in \(sound) s" }
  }

  private func content(_ workspace: Workspace, _ name: String) throws -> Content {
    func times(_ stream: String) throws -> [Double] {
      try workspace.probe(name, "-select_streams", stream, "-show_entries", "packet=pts_time").compactMap { Double($0) }
        .sorted()
    }
    let (video, sound) = (try times("v:0"), try times("a:0"))
    return Content(
      frames: video.count, packets: sound.count, video: (video.last ?? 0) - (video.first ?? 0),
      sound: (sound.last ?? 0) - (sound.first ?? 0))
  }

  /// What ffmpeg makes of a clip, and what passes through here.
  private func compare(_ workspace: Workspace, _ input: String) throws -> (
    wanted: Content, got: Content, passed: Workspace.Passed
  ) {
    try workspace.ffmpeg(
      "-i", workspace.path(input), "-map", "0:v:0", "-map", "0:a:0?", "-fps_mode", "vfr", "-c:v", "mjpeg", "-q:v", "9",
      "-c:a", "copy", workspace.path("wanted.mkv"))
    let passed = try workspace.pass(
      input, to: "got.mkv", InputOptions(),
      OutputOptions(videoCodec: "mjpeg", overwrite: .replace))
    return (try content(workspace, "wanted.mkv"), try content(workspace, "got.mkv"), passed)
  }

  private func isNear(_ got: Content, _ wanted: Content) -> Bool {
    abs(got.frames - wanted.frames) <= 1 && abs(got.packets - wanted.packets) <= 2
      && abs(got.video - wanted.video) <= 0.081 && abs(got.sound - wanted.sound) <= 0.081
  }

  private func makeBroadcasts(_ workspace: Workspace, suffix: String = "ts", format: String = "mpegts") throws {
    for (name, seconds, tone) in [("a", "1", "440"), ("b", "1.4", "880")] {
      try workspace.ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=\(seconds)", "-f", "lavfi", "-i", "sine=\(tone):d=\(seconds)",
        "-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-c:a", "mp2", "-f", format, workspace.path("\(name).\(suffix)"))
    }
  }

  private func join(_ workspace: Workspace, _ names: [String], to name: String) throws {
    try workspace.write(try names.flatMap { try workspace.bytes($0) }, to: name)
  }

  // MARK: Kinds

  @Test func joinedTransportStreamsGoOn() throws {
    let workspace = try Workspace()
    try makeBroadcasts(workspace)
    try workspace.ffmpeg(
      "-i", workspace.path("b.ts"), "-c", "copy", "-output_ts_offset", "100", workspace.path("later.ts"))
    for (names, frames) in [
      (["a.ts", "b.ts"], 60), (["b.ts", "a.ts", "b.ts"], 95), (["a.ts", "later.ts"], 60), (["later.ts", "a.ts"], 60),
    ] {
      try join(workspace, names, to: "in.ts")
      let (wanted, got, passed) = try compare(workspace, "in.ts")
      print("\(names): \(got); ffmpeg: \(wanted)")
      #expect(got.frames == frames && passed.frameCount == frames && isNear(got, wanted))
      #expect(passed.warnings.count { $0.contains("clock jumps") } == 1, "\(passed.warnings)")
      // MP4's muxer refuses times that do not rise.
      let mp4 = try workspace.pass("in.ts", to: "out.mp4", InputOptions(), OutputOptions(overwrite: .replace))
      #expect(mp4.frames.count == frames)
    }
  }

  @Test func joinedProgramStreamsGoOn() throws {
    let workspace = try Workspace()
    try makeBroadcasts(workspace, suffix: "mpg", format: "vob")
    try join(workspace, ["a.mpg", "b.mpg", "a.mpg"], to: "in.mpg")
    let (wanted, got, _) = try compare(workspace, "in.mpg")
    print("joined program streams: \(got); ffmpeg: \(wanted)")
    #expect(isNear(got, wanted))
  }

  /// Times of pictures of 40 ms each, by their numbers.
  private func pictures(_ workspace: Workspace, _ name: String, times: String) throws {
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=1", "-c:v", "mjpeg", "-bsf:v", "setts=pts='\(times)':dts=N",
      workspace.path(name))
  }

  @Test func framesThatGoBackAreFFmpegs() throws {
    let workspace = try Workspace()
    for (times, frames) in [
      ("if(gte(N,12),PTS-400,PTS)", 16), ("floor(PTS/80)*80", 25), ("if(between(N,8,10),PTS-80,PTS)", 24),
      ("min(PTS,480)", 14), ("if(eq(N,7),200000000,PTS)", 25),
    ] {
      try pictures(workspace, "in.mkv", times: times)
      let (wanted, got, passed) = try compare(workspace, "in.mkv")
      print("\(times): \(got); ffmpeg: \(wanted); \(passed.warnings)")
      #expect(got.frames == frames && isNear(got, wanted))
      #expect(passed.frameCount == frames)
      #expect(1...2 ~= passed.warnings.count, "\(passed.warnings)")
      try workspace.pass("in.mkv", to: "out.mp4", InputOptions(), OutputOptions(overwrite: .replace))
      #expect(try workspace.times("out.mp4").count == frames)
    }
  }

  /// Matroska counts milliseconds, which some sound is finer than.
  @Test func soundThatIsFinerThanItsClock() throws {
    let workspace = try Workspace()
    for (codec, options) in [
      ("truehd", ["-strict", "-2"]), ("mp2", ["-ar", "44100"]), ("flac", ["-frame_size", "32"]),
    ] {
      let log = workspace.path("log")
      let arguments =
        ["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=1", "-f", "lavfi", "-i"]
        + ["sine=440:d=1:r=48000", "-c:v", "mjpeg", "-c:a", codec] + options + [workspace.path("in.mkv")]
      #expect(Workspace.wait(try Workspace.start("ffmpeg", arguments, error: log)) == 0)
      let before = try workspace.probe("in.mkv", "-select_streams", "a", "-show_entries", "packet=pts_time")
      for output in ["out.mp4", "out.mkv"] {
        let passed = try workspace.pass("in.mkv", to: output)
        #expect(passed.warnings == [], "\(codec) to \(output)")
        let after = try workspace.probe(output, "-select_streams", "a", "-show_entries", "packet=pts_time")
        #expect(after.count == before.count, "\(codec) to \(output)")
        #expect(
          zip(after, before).allSatisfy { abs((Double($0) ?? 9) - (Double($1) ?? 0)) < 0.0021 }, "\(codec) to \(output)"
        )
        try Workspace.run("rm", [workspace.path(output)])
      }
    }
  }

  // MARK: Any

  /// The same numbers for the same seed.
  private struct Numbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }

  /// Makes a clip that was cut, joined, shifted or mistimed; says how.
  private func damage(_ workspace: Workspace, _ seed: Int, to name: (String) -> String) throws -> (String, String) {
    var numbers = Numbers(state: UInt64(seed))
    func cut() -> [String] {
      ["-ss", "\(Double.random(in: 0...0.4, using: &numbers))", "-t", "\(Double.random(in: 0.5...1, using: &numbers))"]
    }
    func copy(_ input: String, _ output: String, _ before: [String], _ after: [String]) throws {
      let arguments = ["-v", "error", "-nostdin", "-y"] + before + ["-i", workspace.path(input), "-c", "copy"] + after
      _ = try Workspace.run("ffmpeg", arguments + [workspace.path(output)])
    }
    let kind = seed % 5
    switch kind {
    case 0, 1:
      let suffix = kind == 0 ? "ts" : "mpg"
      var pieces: [String] = []
      var words: [String] = []
      for index in 0..<Int.random(in: 2...3, using: &numbers) {
        let source = ["a", "b"].randomElement(using: &numbers)! + "." + suffix
        let piece = "piece\(index).\(suffix)"
        let shift = Bool.random(using: &numbers) ? Int.random(in: 0...95000, using: &numbers) : 0
        let before = Bool.random(using: &numbers) ? cut() : []
        let format = ["-f", kind == 0 ? "mpegts" : "vob"]
        try copy(source, piece, before, ["-output_ts_offset", "\(shift)"] + format)
        pieces.append(piece)
        words.append("\(source) \(before) +\(shift)")
      }
      try join(workspace, pieces, to: name(suffix))
      return (name(suffix), words.joined(separator: ", "))
    case 2:
      // In the middle of a packet of pictures or sound.
      let bytes = try workspace.bytes("b.ts")
      let first = Int.random(in: 0..<bytes.count / 376, using: &numbers) * 188
      let last = Int.random(in: bytes.count / 376..<bytes.count / 188, using: &numbers) * 188
      try workspace.write(try workspace.bytes("a.ts") + bytes[first..<last], to: name("ts"))
      return (name("ts"), "a.ts, b.ts from byte \(first) to \(last)")
    case 3:
      let from = Int.random(in: 1...20, using: &numbers), count = Int.random(in: 1...10, using: &numbers)
      let by = Int.random(in: -12...12, using: &numbers) * 40
      let times =
        Bool.random(using: &numbers)
        ? "if(between(N,\(from),\(from + count)),max(0,PTS+\(by)),PTS)" : "max(0,if(gte(N,\(from)),PTS+\(by),PTS))"
      try pictures(workspace, name("mkv"), times: times)
      return (name("mkv"), times)
    default:
      let before = cut()
      let suffix = ["mp4", "mkv", "ts", "flv"].randomElement(using: &numbers)!
      let shift = Double.random(in: 0...3, using: &numbers)
      try copy("whole.mp4", name(suffix), before, ["-output_ts_offset", "\(shift)"])
      return (name(suffix), "\(before) +\(shift)")
    }
  }

  /// `CLIP_FUZZ=200` tries so many clips; `CLIP_FUZZ_FIRST` is the first one's number.
  @Test func cutJoinedAndShiftedClipsAreFFmpegs() throws {
    func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }
    let workspace = try Workspace()
    try makeBroadcasts(workspace)
    try makeBroadcasts(workspace, suffix: "mpg", format: "vob")
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2", "-c:v", "libx264", "-preset",
      "veryfast", "-g", "15", "-c:a", "aac", "-ar", "44100", workspace.path("whole.mp4"))
    let first = number("CLIP_FUZZ_FIRST") ?? 0
    var (tried, alike) = (0, 0)
    for seed in first..<first + (number("CLIP_FUZZ") ?? 15) {
      let (name, words) = try damage(workspace, seed) { "in.\($0)" }
      tried += 1
      do {
        let (wanted, got, passed) = try compare(workspace, name)
        let near = isNear(got, wanted) && passed.frameCount == passed.frames.count
        if near { alike += 1 } else { print("clip \(seed), \(words): \(got); ffmpeg: \(wanted); \(passed.warnings)") }
        #expect(near, "clip \(seed), \(words): \(got); ffmpeg: \(wanted)")
      } catch {
        Issue.record("clip \(seed), \(words): \(error)")
      }
    }
    print("\(alike) of \(tried) clips came out as ffmpeg has them")
  }
}
