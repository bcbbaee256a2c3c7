import Testing

@testable import MediaIO

/// Subtitles keep their times in whatever codec they end.
@Suite struct SubtitleTests {
  private struct Line: Equatable {
    var begin: Double
    var end: Double
    var text: String
  }

  private static let overlapping = """
    1
    00:00:00,500 --> 00:00:01,500
    one

    2
    00:00:01,000 --> 00:00:02,000
    two

    3
    00:00:02,200 --> 00:00:02,400
    three

    """

  private func clock(_ text: Substring) -> Double {
    text.replacing(",", with: ".").split(separator: ":").reduce(0) { $0 * 60 + (Double($1) ?? 0) }
  }

  /// The lines of a file as ffmpeg reads them.
  private func lines(_ workspace: Workspace, _ name: String) throws -> [Line] {
    try workspace.ffmpeg(
      "-copyts", "-i", workspace.path(name), "-map", "0:s:0", "-c:s", "srt", workspace.path("read.srt"))
    let text = String(decoding: try workspace.bytes("read.srt"), as: UTF8.self).replacing("\r\n", with: "\n")
    return text.split(separator: "\n\n").compactMap { block in
      let rows = block.split(separator: "\n")
      guard rows.count > 2, let arrow = rows[1].firstRange(of: " --> ") else { return nil }
      return Line(
        begin: clock(rows[1][..<arrow.lowerBound]), end: clock(rows[1][arrow.upperBound...]),
        text: rows[2...].joined(separator: "|"))
    }
  }

  private func clip(_ workspace: Workspace, _ name: String, codec: String, _ subtitles: String) throws {
    try workspace.write(Array(subtitles.utf8), to: "in.srt")
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=3", "-f", "lavfi", "-i", "sine=d=3", "-i", workspace.path("in.srt"),
      "-map", "0", "-map", "1", "-map", "2", "-c:v", "mpeg4", "-c:a", "aac", "-c:s", codec, workspace.path(name))
  }

  private static let pairs = [
    ("in.mkv", "subrip", "out.mp4"), ("in.mkv", "ass", "out.mp4"), ("in.mkv", "webvtt", "out.mp4"),
    ("in.mkv", "subrip", "out.webm"), ("in.mkv", "ass", "out.webm"), ("in.mkv", "webvtt", "out.mkv"),
    ("in.mkv", "subrip", "out.mkv"), ("in.mkv", "subrip", "out.mov"),
  ]

  @Test(arguments: pairs) func linesBeginWhenTheyBegan(input: String, codec: String, output: String) throws {
    let workspace = try Workspace()
    try clip(workspace, input, codec: codec, Self.overlapping)
    let passed = try workspace.pass(
      input, to: output, InputOptions(),
      OutputOptions(encoderOptions: output == "out.webm" ? [("deadline", "realtime"), ("cpu-used", "8")] : []))
    #expect(passed.warnings == [])
    let (before, after) = (try lines(workspace, input), try lines(workspace, output))
    #expect(after.map(\.text) == ["one", "two", "three"])
    let largest = zip(before, after).map { abs($0.begin - $1.begin) }.max() ?? 9
    print("\(codec) to \(output): lines begin \(largest) s apart at most")
    #expect(before.count == 3 && largest <= 0.001)
    for (line, wanted) in zip(after, before) where line.text != "one" { #expect(abs(line.end - wanted.end) <= 0.001) }
  }

  @Test func linesOfMP4AreCopiedInTime() throws {
    let workspace = try Workspace()
    let following = Self.overlapping.replacing("00:00:01,500", with: "00:00:01,000")
    try clip(workspace, "in.mp4", codec: "mov_text", following)
    #expect(try workspace.pass("in.mp4", to: "out.mp4").warnings == [])
    #expect(try lines(workspace, "out.mp4") == lines(workspace, "in.mp4"))
  }

  @Test func linesThatBeginTogetherAreShownTogether() throws {
    let workspace = try Workspace()
    try clip(
      workspace, "in.mkv", codec: "subrip",
      """
      1
      00:00:00,500 --> 00:00:01,500
      below, one

      2
      00:00:00,500 --> 00:00:01,500
      above, two

      3
      00:00:02,000 --> 00:00:02,500
      last

      """)
    try workspace.pass("in.mkv", to: "out.mp4")
    let after = try lines(workspace, "out.mp4")
    #expect(after.map(\.text) == ["below, one|above, two", "last"])
    let before = try lines(workspace, "in.mkv")
    #expect(after.map(\.begin) == [before[0].begin, before[2].begin])
  }

  @Test func aPartHasTheLinesItShows() throws {
    let workspace = try Workspace()
    try clip(workspace, "in.mkv", codec: "subrip", Self.overlapping)
    try workspace.pass("in.mkv", to: "out.mp4", InputOptions(start: 1.2, duration: 1))
    let after = try lines(workspace, "out.mp4")
    print("lines of a part: \(after)")
    // Both are shown when the part begins.
    #expect(after.map(\.text) == ["one|two"])
    let end = try lines(workspace, "in.mkv")[1].end - 1.2
    #expect(after.first.map { $0.begin < 0.001 && abs($0.end - end) < 0.002 } == true)
  }
}
