import FoundationEssentials
import TestSupport
import Testing

extension EndToEndTests {
  /// A file in, a file out.
  struct FileTests {
    private let bench: Workbench

    init() throws {
      bench = try Workbench()
    }

    /// 96x64, 12 frames at 12 per second, a tone, a title and two chapters.
    private func makeClip() throws {
      try bench.write(
        Data(
          """
          ;FFMETADATA1
          title=Somebody's cat
          [CHAPTER]
          TIMEBASE=1/1000
          START=0
          END=500
          title=first
          [CHAPTER]
          TIMEBASE=1/1000
          START=500
          END=1000
          title=second

          """.utf8), to: "metadata.txt")
      try bench.succeed(
        """
        ffmpeg -v error -f lavfi -i testsrc2=size=96x64:rate=12:duration=1 -f lavfi -i sine=frequency=440:duration=1 \
          -i metadata.txt -map 0 -map 1 -map_metadata 2 -map_chapters 2 \
          -c:v libx264 -pix_fmt yuv420p -colorspace bt709 -color_range tv -c:a aac in.mp4
        """)
    }

    @Test func mp4WithSound() throws {
      try makeClip()
      try bench.succeed("edit in.mp4 out.mp4")
      let (before, after) = (try bench.probe("in.mp4"), try bench.probe("out.mp4"))
      #expect(after.videoFrames == 12)
      #expect(after.video?.codecName == "h264")
      #expect((after.video?.width, after.video?.height) == (96, 64))
      #expect(after.video?.colorSpace == before.video?.colorSpace)
      #expect(after.times == before.times)
      #expect(after.chapters.map(\.startTime) == before.chapters.map(\.startTime))
      #expect(after.chapters.map { $0.tags?["title"] } == ["first", "second"])
      #expect(after.format.tags?["title"] == "Somebody's cat")
      // What was done is written into the file.
      #expect(after.format.tags?.values.contains { $0.contains("tiger") } == true)
      // The sound is copied packet for packet.
      let sound = try ["in", "out"].map {
        try bench.succeed("ffmpeg -v error -i \($0).mp4 -map 0:a -c copy -f md5 -").output
      }
      #expect(sound[0] == sound[1])
      // It plays, and it is not the clip that came in.
      #expect(try bench.succeed("ffmpeg -v error -xerror -i out.mp4 -f null -").errors == "")
      #expect(try bench.pixels("out.mp4") != bench.pixels("in.mp4"))
      #expect(try bench.leftovers() == [])
    }

    /// The first line that a new user tries: no option but the model.
    @Test func nothingButAModelAndAnEdit() throws {
      try makeClip()
      try bench.succeed(#""$FATEZERO" edit in.mp4 out.mp4 --model "$MODEL" --edit "a [cat -> tiger] on the grass""#)
      let after = try bench.probe("out.mp4")
      #expect(after.videoFrames == 12)
      #expect((after.video?.width, after.video?.height) == (96, 64))
      #expect(try bench.succeed("ffmpeg -v error -xerror -i out.mp4 -f null -").errors == "")
    }

    @Test func whatTheContainerCannotHoldIsConverted() throws {
      try bench.succeed(
        """
        printf '1\\n00:00:00,000 --> 00:00:00,500\\nmeow\\n' > words.srt
        ffmpeg -v error -f lavfi -i testsrc2=size=96x64:rate=12:duration=0.5 \
          -f lavfi -i sine=duration=0.5 -i words.srt -map 0 -map 1 -map 2 -c:v ffv1 -c:a pcm_s16le -c:s subrip in.mkv
        edit in.mkv out.mp4
        """)
      let after = try bench.probe("out.mp4")
      #expect(after.streams.compactMap(\.codecName).sorted() == ["aac", "h264", "mov_text"])
    }

    @Test func pixelAspectAndFullRangeSurvive() throws {
      try bench.succeed(
        """
        ffmpeg -v error -f lavfi -i testsrc2=size=96x64:rate=12 -frames:v 2 \
          -vf scale=out_range=full,setsar=4/3 -c:v libx264 -pix_fmt yuv420p -color_range pc in.mp4
        edit in.mp4 out.mp4
        """)
      let (before, after) = (try bench.probe("in.mp4"), try bench.probe("out.mp4"))
      #expect(after.video?.sampleAspectRatio == "4:3")
      #expect(before.video?.colorRange == "pc")
      #expect(after.video?.colorRange == "pc")
    }

    @Test func oddSize() throws {
      try bench.succeed("frames 12 3 101x67 > in.nut; edit in.nut out.mp4")
      let after = try bench.probe("out.mp4")
      #expect((after.video?.width, after.video?.height) == (101, 67))
      #expect(after.video?.pixFmt == "yuv444p")
      #expect(after.videoFrames == 3)
    }

    /// An encoder that only has 4:2:0 is no place for an odd size.
    @Test func oddSizeForAnEncoderWithout444() throws {
      let outcome = try bench.run("frames 12 2 101x67 > in.nut; edit in.nut out.mp4 --video-codec mpeg4")
      #expect(outcome.status != 0)
      #expect(outcome.errors.contains("--output-filter") && outcome.errors.contains("pad"), "\(outcome.errors)")
      #expect(!bench.exists("out.mp4"))
      try bench.succeed("edit in.nut out.mp4 --video-codec mpeg4 --output-filter pad=102:68")
      #expect(try bench.probe("out.mp4").video?.width == 102)
    }

    @Test func variableFrameRate() throws {
      try bench.succeed(
        """
        ffmpeg -v error -f lavfi -i testsrc2=size=96x64:rate=24 -frames:v 6 \
          -vf "select='eq(n,0)+eq(n,1)+eq(n,3)+eq(n,7)+eq(n,8)+eq(n,15)'" -fps_mode vfr \
          -c:v libx264 -pix_fmt yuv420p in.mp4
        edit in.mp4 out.mp4
        edit in.mp4 out.mkv
        """)
      let times = try bench.probe("in.mp4").times
      #expect(Set(zip(times, times.dropFirst()).map { (($1 - $0) * 24).rounded() }).count > 2, "the input varies")
      #expect(try bench.probe("out.mp4").times == times)
      let inMatroska = try bench.probe("out.mkv").times
      #expect(inMatroska.count == times.count)
      // Matroska counts in milliseconds.
      #expect(zip(inMatroska, times).allSatisfy { abs($0 - $1) <= 0.001 })
    }

    /// A clip from a phone: the pictures lie on their side and a matrix says so.
    @Test func rotatedPhoneClip() throws {
      try bench.succeed(
        """
        frames 12 3 > flat.nut
        ffmpeg -v error -i flat.nut -c:v libx264 -qp 0 -pix_fmt yuv444p flat.mp4
        # The option came with FFmpeg 6; before it, the tag does the same.
        ffmpeg -v error -display_rotation 90 -i flat.mp4 -c copy in.mp4 2> /dev/null \
          || ffmpeg -v error -y -i flat.mp4 -c copy -metadata:s:v rotate=90 in.mp4
        edit in.mp4 out.nut
        # The same picture turned beforehand, and turned the other way.
        ffmpeg -v error -i in.mp4 -c:v rawvideo -pix_fmt rgb24 upright.nut
        ffmpeg -v error -i upright.nut -vf hflip,vflip -c:v rawvideo -pix_fmt rgb24 wrong.nut
        edit upright.nut expected.nut
        edit wrong.nut unexpected.nut
        """)
      #expect(try bench.probe("in.mp4").video?.sideDataList?.contains { abs($0.rotation ?? 0) == 90 } == true)
      let after = try bench.probe("out.nut")
      #expect((after.video?.width, after.video?.height) == (64, 96))
      #expect(after.video?.sideDataList?.contains { ($0.rotation ?? 0) != 0 } != true)
      let pixels = try bench.pixels("out.nut")
      let right = meanDifference(pixels, try bench.pixels("expected.nut"))
      let wrong = meanDifference(pixels, try bench.pixels("unexpected.nut"))
      print("rotated clip: mean difference \(right) levels from the upright one, \(wrong) from the one upside down")
      #expect(right * 4 < wrong)
    }

    @Test func oneFrame() throws {
      try bench.succeed("frames 12 1 > in.nut; edit in.nut out.mp4")
      #expect(try bench.probe("out.mp4").videoFrames == 1)
    }

    @Test func onePicture() throws {
      try bench.succeed("frames 12 1 | ffmpeg -v error -i - in.png; edit in.png out.png")
      let after = try bench.probe("out.png")
      #expect(after.videoFrames == 1)
      #expect((after.video?.width, after.video?.height) == (96, 64))
    }

    /// Two full windows and a window of one frame.
    @Test func oneFrameMoreThanTwoWindows() throws {
      try bench.succeed("frames 12 7 > in.nut; edit in.nut out.mkv --clip-length 3")
      let times = try bench.probe("out.mkv").times
      #expect(times.count == 7)
      #expect(zip(times, try bench.probe("in.nut").times).allSatisfy { abs($0 - $1) <= 0.001 })
    }

    @Test func partOfAClip() throws {
      try makeClip()
      try bench.succeed(
        """
        edit in.mp4 part.mp4 --start 0.5 --duration 0.25
        edit in.mp4 few.mp4 --frames 2
        """)
      let part = try bench.probe("part.mp4")
      #expect(part.videoFrames == 3)
      let sound = try #require(part.audio?.duration.flatMap(Double.init))
      // An AAC packet is 23 ms long, and cutting keeps whole packets.
      #expect(abs(sound - 0.25) < 0.06, "sound of \(sound) s")
      #expect(try bench.probe("few.mp4").videoFrames == 2)
    }

    @Test func filtersBeforeAndAfter() throws {
      try bench.succeed(
        #"frames 24 8 > in.nut; edit in.nut out.mkv --input-filter "crop=64:48,fps=12" --output-filter "hflip""#)
      let after = try bench.probe("out.mkv")
      #expect((after.video?.width, after.video?.height) == (64, 48))
      #expect(after.videoFrames == 4)
    }

    @Test func severalEditsOfOneInversion() throws {
      try bench.succeed(
        """
        frames 12 2 > in.nut
        edit in.nut 'out-{n}.nut' --edit "a [cat -> dog] on the grass"
        edit in.nut plain.nut --edit "a [cat -> dog] on the grass"
        edit in.nut only.nut
        """)
      #expect(try bench.names().filter { $0.hasPrefix("out-") } == ["out-1.nut", "out-2.nut"])
      #expect(try bench.names().filter { $0.hasPrefix("plain") } == ["plain-1.nut", "plain-2.nut"])
      let (first, second) = (try bench.pixels("out-1.nut"), try bench.pixels("out-2.nut"))
      #expect(first != second)
      #expect(try bench.pixels("only.nut") == first, "an edit does not depend on its neighbours")
    }

    /// What an option says of a word holds for the edits that have it; a word that none has is an error.
    @Test func anOptionForAWordOfOneOfSeveralEdits() throws {
      try bench.succeed(
        """
        frames 12 2 > in.nut
        edit in.nut 'out-{n}.nut' --edit "a [cat -> dog] on the grass" --word-weights dog=4 --cross-replace dog=0.4
        edit in.nut plain.nut
        """)
      #expect(try bench.pixels("out-1.nut") == bench.pixels("plain.nut"))
      let outcome = try bench.run(
        #"edit in.nut 'no-{n}.nut' --edit "a [cat -> dog] on the grass" --word-weights lion=4"#)
      #expect(outcome.status == 64)
      #expect(outcome.errors.contains("lion"), "\(outcome.errors)")
    }

    @Test func theSameBytesEveryTime() throws {
      try bench.succeed("frames 12 3 > in.nut; edit in.nut a.mkv; edit in.nut b.mkv")
      #expect(try bench.pixels("a.mkv") == bench.pixels("b.mkv"))
    }
  }
}

/// Mean absolute difference of two pictures of one size, in levels of 255.
func meanDifference(_ a: Data, _ b: Data) -> Double {
  precondition(a.count == b.count && !a.isEmpty)
  return Double(zip(a, b).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }) / Double(a.count)
}
