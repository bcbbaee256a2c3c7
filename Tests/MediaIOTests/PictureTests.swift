import Glibc
import Testing

@testable import MediaIO

/// Sizes, directions, colours and pictures in files of their own.
@Suite struct PictureTests {
  @Test func rotatedClipIsTurnedUpright() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.4", "-vf", "setsar=4/3", "-pix_fmt", "yuv420p",
      workspace.path("flat.mp4"))
    for angle in ["90", "180", "270"] {
      // Only the container says so; the pixels stay.
      try workspace.ffmpeg(
        "-i", workspace.path("flat.mp4"), "-c", "copy", "-metadata:s:v:0", "rotate=\(angle)", workspace.path("in.mp4"))
      #expect(try workspace.probe("in.mp4", "-show_entries", "stream_side_data=rotation").isEmpty == false)
      let passed = try workspace.pass("in.mp4", to: "out.mp4", InputOptions(), OutputOptions(overwrite: .replace))
      let swapped = angle != "180"
      #expect((passed.info.width, passed.info.height) == (swapped ? (64, 96) : (96, 64)))
      #expect(passed.info.sampleAspect == (swapped ? Rational(3, 4) : Rational(4, 3)))
      // ffmpeg turns its output in the same way.
      let wanted = try workspace.pixels("in.mp4")
      let distance = difference(passed.pixels, wanted)
      print("turned by \(angle): largest difference to ffmpeg \(distance.largest), mean \(distance.mean)")
      #expect(distance.mean < 0.5)
      #expect(try workspace.probe("out.mp4", "-show_entries", "stream_side_data=rotation") == [])
      #expect(try workspace.probe("out.mp4", "-show_entries", "stream_tags=rotate") == [])
      #expect(
        try workspace.video("out.mp4", "width,height,sample_aspect_ratio")
          == (swapped ? ["64", "96", "3:4"] : ["96", "64", "4:3"]))
    }
  }

  @Test func rangeAndMatrixSurvive() throws {
    let workspace = try Workspace()
    for (matrix, range, format) in [
      ("bt709", "tv", "yuv420p"), ("bt709", "pc", "yuv420p"), ("smpte170m", "tv", "yuv420p"),
      ("bt2020nc", "tv", "yuv420p10le"),
    ] {
      try workspace.ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=96x64:r=25:d=0.2", "-vf",
        "scale=out_color_matrix=\(matrix == "bt2020nc" ? "bt2020" : matrix):out_range=\(range),format=\(format)",
        "-colorspace", matrix, "-color_range", range, "-color_primaries", "bt709", "-color_trc", "bt709",
        "-crf", "1", workspace.path("in.mp4"))
      let passed = try workspace.pass(
        "in.mp4", to: "out.mp4", InputOptions(), OutputOptions(encoderOptions: [("crf", "1")], overwrite: .replace))
      #expect((passed.info.colorMatrix, passed.info.colorRange) == (matrix, range))
      let entries = "color_range,color_space,color_transfer,color_primaries"
      #expect(try workspace.video("out.mp4", entries) == [range, matrix, "bt709", "bt709"])
      // libav calls 4:2:0 in full range yuvj420p.
      let stored = format == "yuv420p10le" ? format : range == "pc" ? "yuvj420p" : "yuv420p"
      #expect(try workspace.video("out.mp4", "pix_fmt") == [stored])
      let distance = difference(passed.pixels, try workspace.pixels("out.mp4"))
      print("\(matrix) \(range) \(format): largest difference \(distance.largest), mean \(distance.mean)")
      #expect(distance.mean < 3)
    }
  }

  @Test func greysMeanTheSameInBothRanges() throws {
    let workspace = try Workspace()
    for range in ["tv", "pc"] {
      // A grey of 128 in RGB, whichever range the file has.
      try workspace.ffmpeg(
        "-f", "lavfi", "-i", "color=0x808080:s=64x64:r=25:d=0.2", "-vf",
        "format=rgb24,scale=out_range=\(range),format=yuv444p",
        "-color_range", range, "-c:v", "ffv1", workspace.path("in.mkv"))
      let passed = try workspace.pass(
        "in.mkv", to: "out.mkv", InputOptions(),
        OutputOptions(pixelFormat: "yuv444p", videoCodec: "ffv1", overwrite: .replace))
      #expect(passed.pixels.allSatisfy { abs(Int($0) - 128) <= 1 })
      #expect(try workspace.pixels("out.mkv").allSatisfy { abs(Int($0) - 128) <= 1 })
      #expect(try workspace.video("out.mkv", "color_range") == [range])
    }
  }

  @Test func oddSizes() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=102x68:r=25:d=0.4", "-vf", "format=rgb24,crop=101:67", "-c:v", "ffv1",
      workspace.path("in.mkv"))
    try workspace.pass("in.mkv", to: "out.mp4")
    #expect(try workspace.video("out.mp4", "width,height,pix_fmt") == ["101", "67", "yuv444p"])
    let error = try mediaError {
      try workspace.pass("in.mkv", to: "out.avi", InputOptions(), OutputOptions(videoCodec: "mpeg4"))
    }
    #expect(error.kind == .usage && error.description.contains("--output-filter pad"))
    let asked = try mediaError {
      try workspace.pass("in.mkv", to: "two.mp4", InputOptions(), OutputOptions(pixelFormat: "yuv420p"))
    }
    #expect(asked.description.contains("--output-filter pad"))
    try workspace.pass(
      "in.mkv", to: "padded.mp4", InputOptions(),
      OutputOptions(pixelFormat: "yuv420p", filter: "pad=ceil(iw/2)*2:ceil(ih/2)*2"))
    #expect(try workspace.video("padded.mp4", "width,height,pix_fmt") == ["102", "68", "yuv420p"])
    #expect(try workspace.names().filter { $0.contains("fatezero") } == [])
  }

  @Test func pictureFolders() throws {
    let workspace = try Workspace()
    #expect(mkdir(workspace.path("in"), 0o700) == 0)
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=50x38:r=25:d=0.4", "-pix_fmt", "rgb24", workspace.path("in/frame%03d.png"))
    try workspace.write(Array("not a picture".utf8), to: "in/notes.txt")
    let first = try workspace.pass("in", to: "made/")
    #expect(first.frames.count == 10)
    #expect(first.frames.map(\.timestamp) == Array(0..<10).map(Int64.init))
    #expect(first.info.frameRate == Rational(25, 1))
    #expect(try workspace.names("made") == (1...10).map { "000" + ($0 < 10 ? "0" : "") + "\($0).png" })
    let again = try workspace.pass(
      "made/%05d.png", to: "clip.mkv", InputOptions(framerate: "10"), OutputOptions(videoCodec: "ffv1"))
    #expect(again.pixels == first.pixels)
    #expect(try workspace.times("clip.mkv") == (0..<10).map { Double($0) / 10 })

    // A directory with such pictures is refused, or its pictures are replaced.
    let refused = try mediaError { try workspace.pass("in", to: "made") }
    #expect(refused.kind == .cannotCreate)
    try workspace.pass("in", to: "made", InputOptions(frames: 3), OutputOptions(overwrite: .replace))
    #expect(try workspace.names("made").count == 10)
    try workspace.pass("in", to: "made/shot-%d.jpg", InputOptions(frames: 2))
    #expect(try workspace.names("made").filter { $0.hasPrefix("shot") } == ["shot-1.jpg", "shot-2.jpg"])
    #expect(try mediaError { try workspace.pass("made", to: "made/x%d.png") }.kind == .usage)
    #expect(try mediaError { try workspace.pass("in", to: "nowhere/x%d.png") }.kind == .cannotCreate)
    #expect(try mediaError { try workspace.pass("in/%09d.png", to: "x.mp4") }.kind == .noInput)
    #expect(try workspace.names("made").filter { $0.contains("fatezero") } == [])
  }

  @Test func onePicture() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=51x37", "-frames:v", "1", "-pix_fmt", "rgb24", workspace.path("in.png"))
    let passed = try workspace.pass("in.png", to: "out.png")
    #expect(passed.frames.count == 1)
    #expect(try workspace.pixels("out.png") == passed.pixels)
    try workspace.pass("in.png", to: "out.mp4")
    #expect(try workspace.video("out.mp4", "nb_frames") == ["1"])
    try workspace.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=50x38:r=25:d=0.4", workspace.path("in.mp4"))
    let error = try mediaError { try workspace.pass("in.mp4", to: "many.png") }
    #expect(error.kind == .usage && error.description.contains("%05d.png"))
    #expect(try workspace.names().contains("many.png") == false)
  }

  @Test func filtersBeforeAndAfter() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1", "-pix_fmt", "yuv420p", workspace.path("in.mp4"))
    let passed = try workspace.pass(
      "in.mp4", to: "out.nut", InputOptions(filter: "crop=48:48,fps=5"), OutputOptions(filter: "hflip,pad=64:48:8:0"))
    #expect(passed.info.width == 48 && passed.info.frameRate == Rational(5, 1) && passed.frames.count == 5)
    #expect(passed.frameCount == 5)
    #expect(try workspace.video("out.nut", "width,height,r_frame_rate") == ["64", "48", "5/1"])
    let flipped = try workspace.pixels("out.nut")
    // The picture's first pixel is now the last before the right margin.
    #expect(Array(flipped[55 * 3..<56 * 3]) == Array(passed.frames[0].pixels[0..<3]))
    #expect(
      try mediaError { try workspace.pass("in.mp4", to: "x.nut", InputOptions(filter: "nosuch=1")) }.kind == .usage)
    let output = try mediaError {
      try workspace.pass("in.mp4", to: "x.nut", InputOptions(), OutputOptions(filter: "crop=900:900"))
    }
    #expect(output.kind == .usage)
    #expect(try mediaError { try workspace.pass("in.mp4", to: "x.nut", InputOptions(filter: "split")) }.kind == .usage)
  }
}
