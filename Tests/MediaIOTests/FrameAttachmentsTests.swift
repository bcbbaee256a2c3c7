import CLibAV
import Glibc
import Testing

@testable import MediaIO

/// What frames carry beside their colours is kept, or a warning says that it is not (docs/media.md has the list).
@Suite struct FrameAttachmentsTests {
  // MARK: Fields

  @Test func interlacedClipsAreWarnedOf() throws {
    let workspace = try Workspace()
    let fields = "testsrc2=s=96x64:r=50:d=0.4,tinterlace=interleave_top,setfield=tff"
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", fields, "-pix_fmt", "yuv420p", "-flags", "+ildct+ilme", "-x264-params", "tff=1", "-top", "1",
      workspace.path("top.mp4"))
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=96x64:r=50:d=0.4,tinterlace=interleave_bottom,setfield=bff", "-c:v",
      "mpeg2video",
      "-flags", "+ildct+ilme", "-top", "0", workspace.path("bottom.mpg"))
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=720x576:r=25:d=0.2", "-pix_fmt", "yuv420p", "-aspect", "4:3",
      workspace.path("tape.dv"))
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", fields, "-c:v", "ffv1", "-flags", "+ildct", "-field_order", "tt",
      workspace.path("archive.mkv"))
    for (name, order) in [("top.mp4", "top"), ("bottom.mpg", "bottom"), ("tape.dv", "bottom"), ("archive.mkv", "top")] {
      let passed = try workspace.pass(name, to: "out.nut", InputOptions(), OutputOptions(overwrite: .replace))
      print(passed.warnings)
      #expect(passed.warnings.count == 1, "\(name)")
      #expect(passed.warnings.first?.contains("\(order) field first") == true)
      #expect(passed.warnings.first?.contains("--input-filter yadif (or bwdif)") == true)
      for filter in ["yadif", "bwdif", "yadif=1"] {
        let repaired = try workspace.pass(
          name, to: "out.nut", InputOptions(filter: filter), OutputOptions(overwrite: .replace))
        #expect(repaired.warnings == [], "\(name) through \(filter)")
      }
    }
    // A player still learns of the fields, unless a filter has made pictures of them.
    for (input, output, codec, field) in [
      ("top.mp4", "out.mkv", "ffv1", "tb"), ("top.mp4", "out.mp4", "libx264", "tt"),
      ("bottom.mpg", "out.mov", "prores_ks", "bb"), ("bottom.mpg", "out.ts", "mpeg2video", "bb"),
    ] {
      for filter in [nil, "yadif"] {
        try workspace.pass(
          input, to: output, InputOptions(filter: filter), OutputOptions(videoCodec: codec, overwrite: .replace))
        let found = try workspace.video(output, "field_order")
        print("\(input) to \(codec), \(filter ?? "no filter"): \(found)")
        if filter == nil { #expect(found.first?.first == field.first, "\(codec)") }
        #expect(try MediaReader(path: workspace.path(output)).info.isInterlaced == (filter == nil), "\(codec)")
      }
    }
    try workspace.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.4", workspace.path("progressive.mp4"))
    #expect(try workspace.pass("progressive.mp4", to: "plain.nut").warnings == [])
    // A clip that becomes interlaced on its way.
    try workspace.ffmpeg(
      "-i", workspace.path("progressive.mp4"), "-c:v", "mpeg2video", "-q:v", "2", workspace.path("first.ts"))
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", fields, "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-top", "1",
      workspace.path("second.ts"))
    try workspace.write(workspace.bytes("first.ts") + workspace.bytes("second.ts"), to: "both.ts")
    let both = try workspace.pass("both.ts", to: "both.nut")
    #expect(both.warnings.filter { $0.contains("interlaced") }.count == 1)
  }

  // MARK: Transparency

  private static let transparent =
    "testsrc2=s=64x48:r=25:d=0.2,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='4*X'"

  private func alpha(_ workspace: Workspace, _ name: String, decoder: [String] = []) throws -> [UInt8] {
    let arguments = ["-v", "error", "-y"] + decoder + ["-i", workspace.path(name)]
    let picture = ["-vf", "format=rgba,alphaextract,format=gray", "-f", "rawvideo", workspace.path("alpha.raw")]
    #expect(try Workspace.run("ffmpeg", arguments + picture) == 0)
    return try workspace.bytes("alpha.raw")
  }

  @Test func transparencyIsKeptWhereThereIsRoom() throws {
    let workspace = try Workspace()
    #expect(mkdir(workspace.path("in"), 0o700) == 0)
    try workspace.ffmpeg("-f", "lavfi", "-i", Self.transparent, workspace.path("in/%d.png"))
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", Self.transparent, "-c:v", "qtrle", "-pix_fmt", "argb", workspace.path("in.mov"))
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", Self.transparent, "-c:v", "prores_ks", "-pix_fmt", "yuva444p10le",
      workspace.path("prores.mov"))
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", Self.transparent, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-crf", "10", "-b:v", "0",
      workspace.path("in.webm"))
    for input in ["in", "in.mov", "prores.mov", "in.webm"] {
      let wanted =
        input == "in"
        ? try alpha(workspace, "in/%d.png")
        : try alpha(workspace, input, decoder: input == "in.webm" ? ["-c:v", "libvpx-vp9"] : [])
      #expect(Set(wanted).count > 10)
      for (output, codec, decoder) in [
        ("out/%d.png", nil, []), ("out.webm", nil, ["-c:v", "libvpx-vp9"]), ("out.mov", "qtrle", []),
        ("vp8.webm", "libvpx", ["-c:v", "libvpx"]), ("prores-out.mov", "prores_ks", []), ("out.nut", nil, []),
        ("out.mkv", "ffv1", []), ("out.apng", nil, []),
      ] as [(String, String?, [String])] {
        mkdir(workspace.path("out"), 0o700)
        let passed = try workspace.pass(
          input, to: output, InputOptions(),
          OutputOptions(
            videoCodec: codec,
            encoderOptions: output == "out.webm" ? [("deadline", "realtime"), ("cpu-used", "8")] : [],
            overwrite: .replace))
        #expect(passed.warnings == [], "\(input) to \(output)")
        let distance = difference(try alpha(workspace, output, decoder: decoder), wanted)
        print("transparency of \(input) in \(output): largest difference \(distance.largest), mean \(distance.mean)")
        #expect(distance.mean < (codec == "prores_ks" || output.hasSuffix(".webm") ? 3 : 0.5))
      }
    }
  }

  @Test func lostTransparencyIsWarnedOf() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", Self.transparent, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-b:v", "1M",
      workspace.path("in.webm"))
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", Self.transparent, "-c:v", "libvpx", "-auto-alt-ref", "0", "-pix_fmt", "yuva420p", "-b:v",
      "1M",
      workspace.path("vp8.webm"))
    try workspace.ffmpeg("-f", "lavfi", "-i", Self.transparent, "-c:v", "png", workspace.path("in.mov"))
    try workspace.ffmpeg(
      "-f", "lavfi", "-i",
      "color=red:s=64x48:r=25:d=0.2,format=rgba,geq=r=255:g=0:b=0:a='255*gt(X,20)',split[a][b];[a]palettegen"
        + "[p];[b][p]paletteuse", workspace.path("in.gif"))
    for input in ["in.webm", "vp8.webm", "in.mov", "in.gif"] {
      for (output, options) in [
        ("out.mp4", OutputOptions(overwrite: .replace)), ("out.mkv", OutputOptions(overwrite: .replace)),
        ("out.y4m", OutputOptions(overwrite: .replace)),
        ("out.rgb", OutputOptions(format: "rawvideo", overwrite: .replace)),
      ] {
        let passed = try workspace.pass(input, to: output, InputOptions(), options)
        print(passed.warnings)
        #expect(
          passed.warnings.count == 1 && passed.warnings.first?.contains("transparen") == true, "\(input) to \(output)")
        // Bare frames stay what their readers expect.
        if output == "out.rgb" { #expect(try workspace.bytes("out.rgb").count == passed.frames.count * 64 * 48 * 3) }
      }
      #expect(try workspace.probe("out.mkv", "-show_entries", "stream_tags=alpha_mode") == [])
    }
    // What is opaque all over loses nothing.
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.2", "-pix_fmt", "rgba", workspace.path("opaque%d.png"))
    #expect(try workspace.pass("opaque%d.png", to: "opaque.mp4").warnings == [])
    try workspace.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.2", workspace.path("opaque.gif"))
    #expect(try workspace.pass("opaque.gif", to: "gif.mp4").warnings == [])
  }

  // MARK: Captions

  /// CEA-608 pairs, as a broadcast has them with each frame.
  private func captions(_ index: Int) -> [UInt8] {
    [0xfc, 0x94, 0x2c, 0xfc, UInt8(0x20 + index), 0x61, 0xfd, 0x80, 0x80]
  }

  private func captions(in frame: VideoFrame) -> [UInt8]? {
    frame.attachments.sideData.first { $0.type == AV_FRAME_DATA_A53_CC }?.bytes
  }

  @Test(arguments: ["in.mp4", "in.ts", "in.mpg"]) func closedCaptionsStay(input: String) throws {
    let workspace = try Workspace()
    try workspace.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.4", workspace.path("plain.mp4"))
    let reader = try MediaReader(path: workspace.path("plain.mp4"))
    let writer = try MediaWriter(
      path: workspace.path(input), options: OutputOptions(videoCodec: input == "in.mpg" ? "mpeg2video" : nil),
      source: reader, width: 96, height: 64)
    var count = 0
    while var frame = try reader.nextFrame() {
      frame.attachments.sideData = [.init(type: AV_FRAME_DATA_A53_CC, bytes: captions(count))]
      try writer.write(frame)
      count += 1
    }
    try writer.finish()
    // ffmpeg reads them from the file.
    let shown = try workspace.probe(input, "-select_streams", "v", "-show_entries", "frame_side_data=side_data_type")
    #expect(shown.filter { $0.contains("A53") }.count == 10)

    for (output, options) in [
      ("out.mp4", OutputOptions()), ("out.mkv", OutputOptions()), ("out.ts", OutputOptions(videoCodec: "mpeg2video")),
    ] {
      #expect(try workspace.pass(input, to: output, InputOptions(), options).warnings == [])
      let written = try MediaReader(path: workspace.path(output))
      for index in 0..<10 {
        let frame = try #require(try written.nextFrame())
        #expect(captions(in: frame)?.starts(with: captions(index)) == true, "\(output), frame \(index)")
      }
    }
    let lost = try workspace.pass(input, to: "out.avi")
    #expect(lost.warnings.count == 1 && lost.warnings.first?.contains("closed captions") == true)
  }

  // MARK: Colours

  @Test func highDynamicRangeStays() throws {
    let workspace = try Workspace()
    let display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    for (name, container) in [("sei.mp4", "mp4"), ("sei.ts", "mpegts"), ("sei.mkv", "matroska")] {
      try workspace.ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.2", "-pix_fmt", "yuv420p10le", "-c:v", "libx265",
        "-x265-params",
        "log-level=error:hdr-opt=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:"
          + "master-display=\(display):max-cll=1000,400", "-f", container, workspace.path(name))
      let frames = ["-select_streams", "v", "-read_intervals", "%+#1", "-show_entries"]
      for (output, options) in [
        ("out.mp4", OutputOptions()), ("out.mkv", OutputOptions()), ("out.mov", OutputOptions()),
        ("out.ts", OutputOptions(videoCodec: "libx265")),
      ] {
        let written = OutputOptions(videoCodec: options.videoCodec, overwrite: .replace)
        #expect(try workspace.pass(name, to: output, InputOptions(), written).warnings == [], "\(name) to \(output)")
        let found = try workspace.probe(
          output, frames[0], frames[1], frames[2], frames[3], frames[4],
          "stream_side_data=red_x,white_point_y,max_luminance,max_content,max_average:"
            + "frame_side_data=red_x,white_point_y,max_luminance,max_content,max_average")
        let values = found.compactMap { text -> Double? in
          let parts = text.split(separator: "/").compactMap { Double($0) }
          return parts.count == 2 ? parts[0] / parts[1] : parts.first
        }
        for wanted in [0.68, 0.329, 1000, 400] {
          #expect(values.contains { abs($0 - wanted) < 0.001 }, "\(name) to \(output): \(wanted) in \(found)")
        }
        #expect(
          try Set(workspace.video(output, "color_space,color_transfer,color_primaries"))
            == ["bt2020nc", "smpte2084", "bt2020"])
      }
      let lost = try workspace.pass(name, to: "out.avi", InputOptions(), OutputOptions(overwrite: .replace))
      print(lost.warnings)
      #expect(lost.warnings.count == 1 && lost.warnings.first?.contains("HDR") == true)
    }
  }

  /// Computed from the pictures before the edit, it would be wrong after it.
  @Test func dynamicRangeIsWarnedOf() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.2", workspace.path("in.mp4"))
    for (types, names) in [
      ([AV_FRAME_DATA_DYNAMIC_HDR_PLUS], "HDR10+"), ([AV_FRAME_DATA_DOVI_RPU_BUFFER], "Dolby Vision"),
      ([AV_FRAME_DATA_DYNAMIC_HDR_PLUS, AV_FRAME_DATA_DOVI_METADATA], "Dolby Vision and HDR10+"), ([], nil),
    ] as [([AVFrameSideDataType], String?)] {
      let decoded = try Frame(width: 96, height: 64, format: AV_PIX_FMT_RGB24)
      for type in types { #expect(av_frame_new_side_data(decoded.pointer, type, 8) != nil) }
      let reader = try MediaReader(path: workspace.path("in.mp4"))
      var warnings: [String] = []
      let writer = try MediaWriter(
        path: workspace.path("out.mp4"), options: OutputOptions(overwrite: .replace), source: reader, width: 96,
        height: 64, warn: { warnings.append($0) })
      while var frame = try reader.nextFrame() {
        frame.attachments = FrameAttachments(of: decoded)
        try writer.write(frame)
      }
      try writer.finish()
      #expect(warnings.count == (names == nil ? 0 : 1))
      if let names { #expect(warnings.first?.contains("the \(names) metadata of") == true, "\(warnings)") }
    }
  }

  @Test(arguments: ["left", "center", "topleft", "top"]) func chromaLocationStays(location: String) throws {
    let workspace = try Workspace()
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.2", "-pix_fmt", "yuv420p", "-chroma_sample_location", location,
      workspace.path("in.mp4"))
    #expect(try workspace.video("in.mp4", "chroma_location") == [location])
    for output in ["out.mp4", "out.mkv", "out.ts"] {
      try workspace.pass("in.mp4", to: output)
      // Of a transport stream it is told twice.
      #expect(try Set(workspace.video(output, "chroma_location")) == [location], "\(output)")
    }
  }

  @Test func profilesOfPicturesStay() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32", "-frames:v", "1", workspace.path("plain.png"))
    let profile = (0..<300).map { UInt8($0 % 251) }
    let reader = try MediaReader(path: workspace.path("plain.png"))
    let writer = try MediaWriter(path: workspace.path("in.png"), source: reader, width: 32, height: 32)
    var frame = try #require(try reader.nextFrame())
    frame.attachments.sideData = [.init(type: AV_FRAME_DATA_ICC_PROFILE, bytes: profile)]
    try writer.write(frame)
    try writer.finish()
    for output in ["out.png", "out.jpg"] {
      #expect(try workspace.pass("in.png", to: output).warnings == [])
      let written = try #require(try MediaReader(path: workspace.path(output)).nextFrame())
      #expect(
        written.attachments.sideData.first { $0.type == AV_FRAME_DATA_ICC_PROFILE }?.bytes == profile, "\(output)")
    }
  }
}
