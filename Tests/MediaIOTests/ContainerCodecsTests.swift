import CLibAV
import Testing

@testable import MediaIO

/// Sound and subtitles in every container: they play, or the warning names them.
@Suite struct ContainerCodecsTests {
  private struct Sound {
    let codec: String
    let encoder: String
    let rate: Int
    let channels: Int
  }

  private static let sounds = [
    Sound(codec: "aac", encoder: "aac", rate: 44100, channels: 2),
    Sound(codec: "mp3", encoder: "libmp3lame", rate: 48000, channels: 2),
    Sound(codec: "mp2", encoder: "mp2", rate: 32000, channels: 1),
    Sound(codec: "ac3", encoder: "ac3", rate: 48000, channels: 6),
    Sound(codec: "eac3", encoder: "eac3", rate: 48000, channels: 6),
    Sound(codec: "dts", encoder: "dca", rate: 48000, channels: 2),
    Sound(codec: "truehd", encoder: "truehd", rate: 48000, channels: 2),
    Sound(codec: "opus", encoder: "libopus", rate: 48000, channels: 2),
    Sound(codec: "vorbis", encoder: "libvorbis", rate: 22050, channels: 1),
    Sound(codec: "flac", encoder: "flac", rate: 96000, channels: 6),
    Sound(codec: "alac", encoder: "alac", rate: 44100, channels: 2),
    Sound(codec: "pcm_s16le", encoder: "pcm_s16le", rate: 44100, channels: 2),
    Sound(codec: "pcm_s24le", encoder: "pcm_s24le", rate: 96000, channels: 2),
    Sound(codec: "pcm_f32le", encoder: "pcm_f32le", rate: 48000, channels: 2),
    Sound(codec: "pcm_mulaw", encoder: "pcm_mulaw", rate: 8000, channels: 1),
    Sound(codec: "wmav2", encoder: "wmav2", rate: 44100, channels: 2),
  ]
  private static let containers = [
    "mp4", "mov", "m4v", "3gp", "f4v", "mkv", "webm", "avi", "flv", "ts", "mpg", "vob", "ogv", "mxf", "wmv", "nut",
  ]

  /// Half a second of sound beside 12 pictures.
  private static func makeSource(_ sound: Sound, in workspace: Workspace) throws -> String {
    // Packets of TrueHD are shorter than Matroska's clock can tell.
    let name = sound.codec + (sound.codec == "truehd" ? ".mp4" : ".mkv")
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=0.48", "-f", "lavfi", "-i", "sine=440:d=0.48:r=\(sound.rate)", "-ac",
      "\(sound.channels)", "-c:v", "mpeg4", "-c:a", sound.encoder, "-strict", "-2", workspace.path(name))
    return name
  }

  /// Seconds of sound in a clip, decoded from its beginning to its end, and its sample rate.
  private static func lengthOfSound(_ path: String) throws -> (seconds: Double, rate: Double) {
    let demuxer = try Demuxer(path: path, format: nil, options: [], isCancelled: { false })
    let stream = try #require(demuxer.streams.first { $0.pointee.codecpar.pointee.codec_type == AVMEDIA_TYPE_AUDIO })
    let decoder = try Decoder(stream: stream, in: path)
    let (packet, frame) = (try Packet(), try Frame())
    var (samples, rate) = (0.0, 0.0)
    var isAtEnd = false
    while !isAtEnd {
      isAtEnd = demuxer.read(into: packet) < 0
      if !isAtEnd, packet.pointer.pointee.stream_index != stream.pointee.index { continue }
      try check(decoder.send(isAtEnd ? nil : packet), path, as: .badData)
      while decoder.receive(into: frame) == 0 {
        samples += Double(frame.pointer.pointee.nb_samples)
        rate = Double(frame.pointer.pointee.sample_rate)
      }
    }
    return (rate > 0 ? samples / rate : 0, max(rate, 1))
  }

  @Test func soundPlaysOrIsNamed() throws {
    let workspace = try Workspace()
    let sources = try Self.sounds.map { ($0, try Self.makeSource($0, in: workspace)) }
    for container in Self.containers {
      var inputs: [String] = []
      var maps: [String] = []
      for (sound, source) in sources {
        let output = "\(sound.codec)-out.\(container)"
        let passed = try workspace.pass(
          source, to: output, InputOptions(),
          OutputOptions(encoderOptions: container == "webm" ? [("deadline", "realtime"), ("cpu-used", "8")] : []))
        let written = try MediaReader(path: workspace.path(output)).info.otherStreams.filter { $0.kind == "audio" }
        print("\(sound.codec) in \(container): \(written.first?.codec ?? "left out") \(passed.warnings)")
        if written.isEmpty {
          #expect(passed.warnings.contains { $0.contains("audio stream 1 (\(sound.codec))") }, "\(sound.codec)")
          continue
        }
        #expect(passed.warnings == [], "\(sound.codec) in \(container)")
        let (seconds, rate) = try Self.lengthOfSound(workspace.path(output))
        // Encoders put a frame or two before the sound and fill up the last one.
        #expect(abs(seconds - 0.48) < 0.08 + 2304 / rate, "\(sound.codec) in \(container): \(seconds) s")
        maps += ["-map", "\(inputs.count / 2):a", "-map", "\(inputs.count / 2):v"]
        inputs += ["-i", workspace.path(output)]
      }
      // Every one of these containers holds sound in some form.
      #expect(inputs.count == 2 * Self.sounds.count, "\(container)")
      let process = try Workspace.start(
        "ffmpeg", ["-v", "error", "-nostdin", "-xerror"] + inputs + maps + ["-f", "null", "-"],
        error: workspace.path("errors"))
      #expect(Workspace.wait(process) == 0, "\(container)")
      let errors = String(decoding: try workspace.bytes("errors"), as: UTF8.self)
      #expect(errors == "", "\(container): \(errors)")
    }
  }

  /// What each container's own rules ask for.
  @Test func rulesOfContainers() throws {
    let workspace = try Workspace()
    for sound in Self.sounds where ["aac", "pcm_s24le", "flac", "mp3"].contains(sound.codec) {
      _ = try Self.makeSource(sound, in: workspace)
    }
    for (input, output, codec, rate) in [
      ("aac", "ogv", "vorbis", "44100"), ("aac", "mpg", "mp2", "44100"), ("aac", "mxf", "pcm_s16le", "48000"),
      ("pcm_s24le", "mxf", "pcm_s16le", "48000"), ("flac", "vob", "mp2", "48000"), ("mp3", "flv", "mp3", "48000"),
      ("flac", "webm", "opus", "48000"), ("flac", "ts", "mp2", "48000"),
    ] {
      let name = "\(input)-rules.\(output)"
      let passed = try workspace.pass(
        "\(input).mkv", to: name, InputOptions(),
        OutputOptions(encoderOptions: output == "webm" ? [("deadline", "realtime"), ("cpu-used", "8")] : []))
      #expect(passed.warnings == [])
      let found = try workspace.probe(name, "-select_streams", "a", "-show_entries", "stream=codec_name,sample_rate")
      #expect(Array(found.prefix(2)) == [codec, rate], "\(name)")
    }
    // MXF wants the video first, wherever the source has it.
    try workspace.ffmpeg(
      "-i", workspace.path("aac.mkv"), "-map", "0:a", "-map", "0:v", "-c", "copy", workspace.path("sound-first.mkv"))
    #expect(try workspace.pass("sound-first.mkv", to: "sound-first.mxf").warnings == [])
    #expect(
      try workspace.probe("sound-first.mxf", "-show_entries", "stream=codec_type").filter { $0 != "data" }
        == ["video", "audio"])
    // FLV holds one sound: the second is named.
    try workspace.ffmpeg(
      "-i", workspace.path("aac.mkv"), "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy",
      workspace.path("two.mkv"))
    let two = try workspace.pass("two.mkv", to: "two.flv")
    print(two.warnings)
    #expect(two.warnings.count == 1 && two.warnings.first?.contains("audio stream 2 (aac)") == true)
    #expect(try workspace.probe("two.flv", "-select_streams", "a", "-show_entries", "stream=codec_name") == ["aac"])
  }

  @Test(arguments: ["mp4", "mov", "mkv", "webm", "avi", "flv", "ts", "mpg", "ogv", "mxf", "nut", "wmv"])
  func subtitlesAreReadOrNamed(container: String) throws {
    let workspace = try Workspace()
    try workspace.write(Array("1\n00:00:00,100 --> 00:00:00,300\nA tiger\n".utf8), to: "in.srt")
    for (codec, file) in [
      ("subrip", "in-1.mkv"), ("ass", "in-2.mkv"), ("webvtt", "in-3.mkv"), ("mov_text", "in-4.mp4"),
    ] {
      try workspace.ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=0.48", "-i", workspace.path("in.srt"), "-c:v", "mpeg4", "-c:s",
        codec,
        workspace.path(file))
      let output = "\(codec).\(container)"
      let passed = try workspace.pass(
        file, to: output, InputOptions(),
        OutputOptions(encoderOptions: container == "webm" ? [("deadline", "realtime"), ("cpu-used", "8")] : []))
      let written = try MediaReader(path: workspace.path(output)).info.otherStreams.filter { $0.kind != "video" }
      print("\(codec) in \(container): \(written.map(\.description)) \(passed.warnings)")
      if written.isEmpty {
        #expect(passed.warnings.contains { $0.contains("subtitle stream 1 (\(codec))") })
      } else {
        #expect(written.map(\.kind) == ["subtitle"] && passed.warnings == [])
        try workspace.ffmpeg("-i", workspace.path(output), "-map", "0:s", workspace.path("out.srt"))
        #expect(String(decoding: try workspace.bytes("out.srt"), as: UTF8.self).contains("A tiger"), "\(output)")
      }
    }
  }
}
