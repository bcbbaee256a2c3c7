import Testing

@testable import MediaIO

/// Frames are counted as they are read, whatever the container says.
@Suite struct FrameCountTests {
  private func expectCount(
    _ workspace: Workspace, _ name: String, _ options: InputOptions = InputOptions(), _ count: Int? = nil
  ) throws {
    let reader = try MediaReader(path: workspace.path(name), options: options)
    let said = try reader.frameCount()
    var frames = 0
    while try reader.nextFrame() != nil { frames += 1 }
    #expect(said == frames, "\(name)")
    if let count { #expect(frames == count, "\(name)") }
  }

  private func clip(_ workspace: Workspace, _ name: String, _ more: String...) throws {
    let arguments = ["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=2"]
    #expect(try Workspace.run("ffmpeg", arguments + more + [workspace.path(name)]) == 0)
  }

  @Test func editLists() throws {
    let workspace = try Workspace()
    try clip(workspace, "whole.mp4", "-c:v", "libx264", "-preset", "veryfast", "-g", "25")
    for start in ["0.3", "0.9", "1.5"] {
      try workspace.ffmpeg(
        "-ss", start, "-i", workspace.path("whole.mp4"), "-c", "copy", workspace.path("in.mp4"))
      let samples = try workspace.video("in.mp4", "nb_frames").first.flatMap { Int($0) }
      let shown = 50 - Int(((Double(start) ?? 0) * 25).rounded())
      #expect(samples != shown, "the container says something else")
      try expectCount(workspace, "in.mp4", InputOptions(), shown)
    }
  }

  @Test func variableRatesAndFilters() throws {
    let workspace = try Workspace()
    for name in ["in.mkv", "in.mp4", "in.avi", "in.ts"] {
      try clip(
        workspace, name, "-vf", "select='lt(mod(n,7),2)'", "-fps_mode", name == "in.avi" ? "cfr" : "passthrough",
        "-c:v",
        "mpeg4")
      try expectCount(workspace, name)
      for options in [
        InputOptions(filter: "fps=10"), InputOptions(start: 0.5), InputOptions(start: 0.3, duration: 0.7),
        InputOptions(filter: "select='not(mod(n,3))'"), InputOptions(frames: 3), InputOptions(frames: 300),
        InputOptions(filter: "fps=50", duration: 0.5),
      ] { try expectCount(workspace, name, options) }
    }
  }

  @Test func truncatedAndFragmentedFiles() throws {
    let workspace = try Workspace()
    try clip(workspace, "whole.mkv", "-c:v", "mpeg4")
    try clip(workspace, "whole.ts", "-c:v", "mpeg2video")
    try clip(workspace, "whole.avi", "-c:v", "mpeg4")
    try clip(
      workspace, "whole.mp4", "-c:v", "mpeg4", "-g", "10", "-movflags", "frag_keyframe+empty_moov+default_base_moof")
    for name in ["mkv", "ts", "avi", "mp4"] {
      try expectCount(workspace, "whole.\(name)", InputOptions(), 50)
      let bytes = try workspace.bytes("whole.\(name)")
      try workspace.write(bytes.prefix(bytes.count * 6 / 10), to: "half.\(name)")
      try expectCount(workspace, "half.\(name)")
    }
    // No length and no index: a pipe's.
    try clip(workspace, "live.mkv", "-c:v", "mpeg4", "-live", "1")
    try expectCount(workspace, "live.mkv", InputOptions(), 50)
    try clip(workspace, "raw.m4v", "-c:v", "mpeg4")
    try expectCount(workspace, "raw.m4v", InputOptions(), 50)
  }

  /// What a pipe says of its length is all that can be known, if anything is.
  @Test func pipes() throws {
    let workspace = try Workspace()
    try clip(workspace, "in.mkv", "-c:v", "mpeg4")
    #expect(try Workspace.run("mkfifo", [workspace.path("fifo")]) == 0)
    let copying = try Workspace.startCopying(workspace.path("in.mkv"), to: workspace.path("fifo"))
    let reader = try MediaReader(path: workspace.path("fifo"))
    #expect(try reader.frameCount() == 50)
    #expect(try reader.census() == nil)
    while try reader.nextFrame() != nil {}
    _ = Workspace.wait(copying)
  }
}
