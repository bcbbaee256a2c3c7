import Testing

@testable import MediaIO

@Suite struct ContainerTests {
  /// 25 frames of a moving picture with sound.
  private func clip(_ workspace: Workspace, _ name: String, size: String = "96x64", _ more: String...) throws {
    let log = ["-f", "lavfi", "-i", "testsrc2=s=\(size):r=25:d=1", "-f", "lavfi", "-i", "sine=440:d=1"]
    let arguments = ["-v", "error", "-nostdin", "-y"] + log + more + [workspace.path(name)]
    #expect(try Workspace.run("ffmpeg", arguments) == 0)
  }

  @Test func mp4KeepsSoundAndTimes() throws {
    let workspace = try Workspace()
    try clip(workspace, "in.mp4", "-pix_fmt", "yuv420p", "-c:a", "aac")
    let passed = try workspace.pass("in.mp4", to: "out.mp4")
    #expect(passed.frames.count == 25)
    #expect(passed.warnings == [])
    #expect(passed.info.estimatedFrameCount == 25)
    #expect(try workspace.video("out.mp4", "codec_name,pix_fmt,r_frame_rate,nb_frames") == ["h264", "yuv420p", "25/1", "25"])
    #expect(try workspace.times("out.mp4") == workspace.times("in.mp4"))
    let audio = ["-select_streams", "a:0", "-show_entries", "packet=pts_time,size"]
    #expect(
      try workspace.probe("out.mp4", audio[0], audio[1], audio[2], audio[3])
        == workspace.probe("in.mp4", audio[0], audio[1], audio[2], audio[3]))
    let distance = difference(try workspace.pixels("out.mp4"), passed.pixels)
    print("mp4 through libx264 crf 18: largest difference \(distance.largest), mean \(distance.mean)")
    #expect(distance.mean < 6)
  }

  @Test func decodedPixelsAreFFmpegs() throws {
    let workspace = try Workspace()
    try clip(workspace, "in.mp4", "-pix_fmt", "yuv420p")
    let passed = try workspace.pass("in.mp4", to: "out.nut")
    #expect(difference(passed.pixels, try workspace.pixels("in.mp4")).largest == 0)
    #expect(try workspace.pixels("out.nut") == passed.pixels)
  }
}
