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
    #expect(passed.frameCount == 25)
    #expect(
      try workspace.video("out.mp4", "codec_name,pix_fmt,r_frame_rate,nb_frames") == ["h264", "yuv420p", "25/1", "25"])
    #expect(try workspace.times("out.mp4") == workspace.times("in.mp4"))
    let audio = ["-select_streams", "a:0", "-show_entries", "packet=pts_time,size"]
    #expect(
      try workspace.probe("out.mp4", audio[0], audio[1], audio[2], audio[3])
        == workspace.probe("in.mp4", audio[0], audio[1], audio[2], audio[3]))
    let distance = difference(try workspace.pixels("out.mp4"), passed.pixels)
    print("mp4 through libx264 crf 18: largest difference \(distance.largest), mean \(distance.mean)")
    #expect(distance.mean < 4)
  }

  @Test func decodedPixelsAreFFmpegs() throws {
    let workspace = try Workspace()
    try clip(workspace, "in.mp4", "-pix_fmt", "yuv420p")
    let passed = try workspace.pass("in.mp4", to: "out.nut")
    #expect(difference(passed.pixels, try workspace.pixels("in.mp4")).largest == 0)
    #expect(try workspace.pixels("out.nut") == passed.pixels)
  }

  @Test func mkvToMP4ConvertsPCMAndSubRip() throws {
    let workspace = try Workspace()
    let chapters = """
      ;FFMETADATA1
      title=Cats
      artist=Me
      [CHAPTER]
      TIMEBASE=1/1000
      START=0
      END=400
      title=one
      [CHAPTER]
      TIMEBASE=1/1000
      START=400
      END=1000
      title=two

      """
    let subtitles = "1\n00:00:00,200 --> 00:00:00,600\nA tiger\n\n2\n00:00:00,700 --> 00:00:00,900\non the grass\n"
    try workspace.write(Array(subtitles.utf8), to: "in.srt")
    try workspace.write(
      Array(
        chapters.utf8),
      to: "in.meta")
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1", "-f", "lavfi", "-i", "sine=440:d=1:r=48000", "-i",
      workspace.path("in.srt"), "-i", workspace.path("in.meta"), "-map", "0", "-map", "1", "-map", "2",
      "-map_metadata", "3", "-map_chapters", "3", "-c:a", "pcm_s16le", "-c:s", "srt", "-metadata:s:a:0", "language=deu",
      "-pix_fmt", "yuv420p", workspace.path("in.mkv"))
    let passed = try workspace.pass(
      "in.mkv", to: "out.mp4", InputOptions(), OutputOptions(metadata: [("comment", "edited")]))
    #expect(passed.warnings == [])
    #expect(passed.info.chapterCount == 2)
    #expect(passed.info.otherStreams.map(\.codec) == ["pcm_s16le", "subrip"])
    #expect(
      try workspace.probe("out.mp4", "-show_entries", "stream=codec_name") == ["h264", "aac", "mov_text", "bin_data"])
    #expect(
      try workspace.probe("out.mp4", "-show_entries", "format_tags=title,artist,comment").sorted()
        == ["Cats", "Me", "edited"])
    #expect(
      try workspace.probe("out.mp4", "-show_entries", "chapter=start_time,end_time:chapter_tags=title")
        == ["0.000000", "0.400000", "one", "0.400000", "1.000000", "two"])
    #expect(try workspace.probe("out.mp4", "-select_streams", "a", "-show_entries", "stream_tags=language") == ["deu"])
    try workspace.ffmpeg("-i", workspace.path("out.mp4"), workspace.path("out.srt"))
    let text = String(decoding: try workspace.bytes("out.srt"), as: UTF8.self)
    #expect(text.contains("00:00:00,200 --> 00:00:00,600") && text.contains("A tiger"))
    // The converted sound is as loud and as long as the source's.
    try workspace.ffmpeg(
      "-i", workspace.path("out.mp4"), "-f", "s16le", "-ac", "1", "-ar", "48000", workspace.path("a.raw"))
    try workspace.ffmpeg(
      "-i", workspace.path("in.mkv"), "-f", "s16le", "-ac", "1", "-ar", "48000", workspace.path("b.raw"))
    let (converted, original) = (try workspace.bytes("a.raw"), try workspace.bytes("b.raw"))
    #expect(abs(converted.count - original.count) <= 2 * 2048)
    let (loud, wanted) = (energy(converted), energy(original))
    print("PCM to AAC: energy \(loud) of \(wanted)")
    #expect(abs(loud / wanted - 1) < 0.05)
  }

  private func energy(_ samples: [UInt8]) -> Double {
    var sum = 0.0
    for index in stride(from: 0, to: samples.count - 1, by: 2) {
      let value = Double(Int16(truncatingIfNeeded: Int(samples[index]) | Int(samples[index + 1]) << 8))
      sum += value * value
    }
    return sum / Double(samples.count / 2)
  }

  @Test func mp4ToMatroskaAndWebM() throws {
    let workspace = try Workspace()
    try clip(workspace, "in.mp4", "-pix_fmt", "yuv420p", "-c:a", "aac")
    let mkv = try workspace.pass("in.mp4", to: "out.mkv")
    #expect(mkv.warnings == [])
    #expect(try workspace.probe("out.mkv", "-show_entries", "stream=codec_name") == ["h264", "aac"])
    // The sound of an MP4 begins before 0; that must not push the pictures back.
    #expect(try workspace.times("out.mkv") == workspace.times("in.mp4"))
    let webm = try workspace.pass(
      "in.mp4", to: "out.webm", InputOptions(),
      OutputOptions(encoderOptions: [("deadline", "realtime"), ("cpu-used", "8")]))
    #expect(webm.summary.contains("libvpx-vp9"))
    #expect(try workspace.probe("out.webm", "-show_entries", "stream=codec_name") == ["vp9", "opus"])
    #expect(try workspace.times("out.webm") == workspace.times("in.mp4"))
    try workspace.pass("in.mp4", to: "out.nut")
    #expect(try workspace.times("out.nut") == workspace.times("in.mp4"))
  }

  @Test func severalOutputsOfOneReaderAllHaveTheSound() throws {
    let workspace = try Workspace()
    try clip(workspace, "in.mp4", "-pix_fmt", "yuv420p", "-c:a", "aac")
    let reader = try MediaReader(path: workspace.path("in.mp4"))
    let names = ["one.mp4", "two.mkv", "three.nut"]
    let writers = try names.map {
      try MediaWriter(path: workspace.path($0), source: reader, width: reader.info.width, height: reader.info.height)
    }
    while let frame = try reader.nextFrame() { for writer in writers { try writer.write(frame) } }
    for writer in writers { try writer.finish() }
    let wanted = try soundTimes(workspace, "in.mp4")
    #expect(wanted.count > 40)
    for name in names {
      // What an encoder put before the sound begins has room in an MP4 only.
      let expected = name.hasSuffix(".mp4") ? wanted : wanted.filter { $0 >= 0 }
      let written = try soundTimes(workspace, name)
      #expect(written.count == expected.count)
      #expect(zip(written, expected).allSatisfy { abs($0 - $1) <= 0.001 }, "\(name)")
    }
    #expect(try workspace.names().filter { $0.contains("fatezero") } == [])
  }

  private func soundTimes(_ workspace: Workspace, _ name: String) throws -> [Double] {
    try workspace.probe(name, "-select_streams", "a", "-show_entries", "packet=pts_time").compactMap { Double($0) }
  }

  @Test func losslessEncodersGiveTheFramesBack() throws {
    let workspace = try Workspace()
    let noise = ["-f", "lavfi", "-i", "nullsrc=s=101x67:r=25:d=0.2,geq=random(1)*255:128:128,format=rgb24"]
    #expect(
      try Workspace.run("ffmpeg", ["-v", "error", "-y"] + noise + ["-f", "rawvideo", workspace.path("in.rgb")]) == 0)
    let raw = try workspace.bytes("in.rgb")
    #expect(raw.count == 101 * 67 * 3 * 5)
    let options = InputOptions(format: "rawvideo", videoSize: (101, 67), pixelFormat: "rgb24", framerate: "25")
    for (output, codec, format) in [
      ("a.mkv", "ffv1", nil), ("b.mkv", "utvideo", "gbrp"), ("c.mkv", "ffv1", "bgr0"), ("d.nut", nil, nil),
      ("e.rgb", nil, nil),
      ("f.mkv", "libx264rgb", nil),
    ] as [(String, String?, String?)] {
      let more = codec == "libx264rgb" ? [("qp", "0")] : []
      let passed = try workspace.pass(
        "in.rgb", to: output, options,
        OutputOptions(
          format: output == "e.rgb" ? "rawvideo" : nil, pixelFormat: format, videoCodec: codec, encoderOptions: more))
      #expect(passed.pixels == raw)
      if output == "e.rgb" {
        #expect(try workspace.bytes(output) == raw)
      } else {
        #expect(try workspace.pixels(output) == raw, "\(output): \(passed.summary)")
        let again = try workspace.pass(output, to: "again.nut", InputOptions(), OutputOptions(overwrite: .replace))
        #expect(again.pixels == raw)
      }
    }
  }

  @Test func rawOutputTakesAnyPixelFormat() throws {
    let workspace = try Workspace()
    try clip(workspace, "in.mp4", "-pix_fmt", "yuv420p")
    for (format, bytes) in [("gray", 1.0), ("yuv420p", 1.5), ("rgba", 4), ("rgb48le", 6), ("nv12", 1.5)] {
      let name = "out-\(format)"
      try workspace.pass("in.mp4", to: name, InputOptions(), OutputOptions(format: "rawvideo", pixelFormat: format))
      #expect(try workspace.bytes(name).count == Int(96 * 64 * 25 * bytes))
    }
  }

  @Test func y4mKeepsItsFormat() throws {
    let workspace = try Workspace()
    for format in ["yuv420p", "yuv422p", "yuv444p"] {
      try workspace.ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=102x68:r=30000/1001:d=0.3", "-vf", "format=rgb24,crop=101:67,setsar=4/3",
        "-pix_fmt", format,
        workspace.path("in.y4m"))
      let passed = try workspace.pass("in.y4m", to: "out.y4m", InputOptions(), OutputOptions(overwrite: .replace))
      #expect(
        try workspace.video("out.y4m", "pix_fmt,width,height,r_frame_rate,sample_aspect_ratio") == [
          "101", "67", "4:3", format, "30000/1001",
        ])
      #expect(try workspace.times("out.y4m").count == passed.frames.count)
      #expect(passed.frames.count == 9)
    }
  }

  @Test func subtitlesFindTheirFormat() throws {
    let workspace = try Workspace()
    try workspace.write(Array("1\n00:00:00,200 --> 00:00:00,600\nA tiger\n".utf8), to: "in.srt")
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1", "-i", workspace.path("in.srt"), "-c:s", "mov_text", "-pix_fmt",
      "yuv420p", workspace.path("in.mp4"))
    for (output, codec) in [("out.mp4", "mov_text"), ("out.mkv", "ass"), ("out.webm", "webvtt")] {
      let passed = try workspace.pass("in.mp4", to: output)
      #expect(passed.warnings == [])
      #expect(try workspace.probe(output, "-select_streams", "s", "-show_entries", "stream=codec_name") == [codec])
      try workspace.ffmpeg("-i", workspace.path(output), workspace.path("out.srt"))
      let text = String(decoding: try workspace.bytes("out.srt"), as: UTF8.self)
      #expect(text.contains("00:00:00,200 --> 00:00:00,600\nA tiger"), "\(output): \(text)")
    }
    let avi = try workspace.pass("in.mp4", to: "out.avi")
    #expect(avi.warnings.count == 1 && avi.warnings.first?.contains("subtitle stream 1 (mov_text)") == true)
  }

  @Test func coverPicturesAttachmentsAndTimecodesStay() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32", "-frames:v", "1", workspace.path("cover.png"))
    try clip(workspace, "clip.mp4", "-pix_fmt", "yuv420p")
    try workspace.ffmpeg(
      "-i", workspace.path("clip.mp4"), "-i", workspace.path("cover.png"), "-map", "0", "-map", "1", "-c", "copy",
      "-disposition:v:1", "attached_pic", workspace.path("in.mp4"))
    let covered = try workspace.pass("in.mp4", to: "out.mp4")
    #expect(covered.warnings == [] && covered.frames.count == 25)
    #expect(
      try workspace.probe("out.mp4", "-show_entries", "stream=codec_name:stream_disposition=attached_pic")
        == ["h264", "0", "aac", "0", "png", "1"])

    try workspace.write(Array("a font".utf8), to: "font.ttf")
    try workspace.ffmpeg(
      "-i", workspace.path("clip.mp4"), "-attach", workspace.path("font.ttf"), "-metadata:s:t",
      "mimetype=application/x-truetype-font", "-c",
      "copy", workspace.path("in.mkv"))
    #expect(try workspace.pass("in.mkv", to: "out.mkv").warnings == [])
    #expect(try workspace.probe("out.mkv", "-select_streams", "t", "-show_entries", "stream=codec_name") == ["ttf"])
    let dropped = try workspace.pass("in.mkv", to: "dropped.mp4")
    #expect(dropped.warnings.count == 1 && dropped.warnings.first?.contains("attachment stream 2 (ttf)") == true)

    try workspace.ffmpeg(
      "-i", workspace.path("clip.mp4"), "-c", "copy", "-timecode", "01:02:03:04", workspace.path("in.mov"))
    #expect(try workspace.pass("in.mov", to: "out.mov").warnings == [])
    #expect(
      try workspace.probe("out.mov", "-select_streams", "d", "-show_entries", "stream_tags=timecode") == ["01:02:03:04"]
    )
  }

  @Test func aBroadcastBeginsAtZero() throws {
    let workspace = try Workspace()
    try clip(workspace, "in.ts", "-pix_fmt", "yuv420p")
    #expect(try workspace.times("in.ts").first ?? 0 > 1)
    let passed = try workspace.pass("in.ts", to: "out.mp4")
    #expect(passed.frames.count == 25 && passed.warnings == [])
    #expect(try workspace.times("out.mp4").first ?? 1 < 0.05)
    // MP4 has one name for MPEG-1 sound of both layers.
    let codecs = try workspace.probe("out.mp4", "-show_entries", "stream=codec_name")
    #expect(codecs == ["h264", "mp3"] || codecs == ["h264", "mp2"])
    try clip(workspace, "in.mp4", "-pix_fmt", "yuv420p")
    try workspace.pass("in.mp4", to: "out.ts")
    let written = try workspace.probe("out.ts", "-show_entries", "stream=codec_name")
    #expect(Set(written) == ["aac", "h264"])
  }
}
