import FoundationEssentials
import TestSupport
import Testing

extension EndToEndTests {
  /// The printed graph and the frei0r plug-in, run by ffmpeg.
  struct FFmpegFilterTests {
    private let bench: Workbench

    /// `filter` prints the graph of what `edit` does; `run GRAPH` has ffmpeg apply it to in.nut, to bare rgb24 pixels.
    private static let tools = #"""
      mkdir -p frei0r-1
      ln -sf "$(dirname "$FATEZERO")/libfrei0r-fatezero.so" frei0r-1/fatezero.so
      export FREI0R_PATH="$PWD/frei0r-1"
      filter() {
        "$FATEZERO" ffmpeg-filter --model "$MODEL" --size 64x64 --steps 2 --edit "a [cat -> tiger] on the grass" "$@"
      }
      run() { ffmpeg -v error -i in.nut -vf "$1" -f rawvideo -pix_fmt rgb24 -; }

      """#

    init() throws {
      bench = try Workbench()
    }

    @discardableResult
    private func succeed(_ script: String) throws -> Outcome { try bench.succeed(Self.tools + script) }

    /// Frames of a clip that differ from those of another, by number; all if there are not as many.
    private func differences(_ one: String, _ other: String, frames: Int, area: Int) throws -> [Int] {
      let (left, right) = ([UInt8](try bench.contents(one)), [UInt8](try bench.contents(other)))
      let size = area * 3
      guard left.count == frames * size, right.count == frames * size else { return Array(0..<frames) }
      let largest = zip(left, right).reduce(0) { max($0, abs(Int($1.0) - Int($1.1))) }
      print("\(one) and \(other): largest difference \(largest)")
      return (0..<frames).filter { left[$0 * size..<($0 + 1) * size] != right[$0 * size..<($0 + 1) * size] }
    }

    private func ticks(_ name: String) throws -> [Int] {
      String(decoding: try bench.contents(name), as: UTF8.self).split(separator: "\n").compactMap { Int($0) }
    }

    /// Shorter than the window, as long, longer; a size that needs no padding, and one that no alignment likes.
    @Test(arguments: [(128, 128), (101, 67)], [3, 4, 10])
    func thePrintedLineGivesThePixelsOfTheCommand(size: (width: Int, height: Int), frames: Int) throws {
      try succeed(
        """
        frames 12 \(frames) \(size.width)x\(size.height) > in.nut
        run "$(filter --clip-length 4 --video-size \(size.width)x\(size.height))" > by-size.raw
        run "$(filter --clip-length 4 --input in.nut)" > by-input.raw
        edit in.nut command.raw --clip-length 4 --output-format rawvideo
        ffmpeg -v error -i in.nut -f rawvideo -pix_fmt rgb24 source.raw
        """)
      let area = size.width * size.height
      #expect(try differences("by-size.raw", "command.raw", frames: frames, area: area) == [])
      #expect(try differences("by-input.raw", "command.raw", frames: frames, area: area) == [])
      #expect(try differences("command.raw", "source.raw", frames: frames, area: area).count == frames, "it edits")
    }

    @Test func wholeClipsAreCounted() throws {
      try succeed(
        """
        frames 12 6 128x128 > in.nut
        run "$(filter --clip-length 0 --input in.nut)" > filter.raw
        edit in.nut command.raw --clip-length 0 --output-format rawvideo
        """)
      #expect(try differences("filter.raw", "command.raw", frames: 6, area: 128 * 128) == [])
      let outcome = try bench.run(Self.tools + "filter --clip-length 0 --video-size 64x64")
      #expect(outcome.status == 64)
      #expect(outcome.errors.contains("--input"), "\(outcome.errors)")
    }

    @Test func aFileOfSettingsSteersNoTerminal() throws {
      let outcome = try bench.run(
        Self.tools + #"""
          frames 12 2 64x64 > in.nut
          for line in '\033[31mcolour\302\233\342\200\256\330\234=1' '\033[31m\302\233\342\200\256\330\234'; do
            printf "steps=2\n$line\n" > settings
            run 'frei0r=fatezero:a tiger|@settings' > /dev/null
          done
          """#)
      let scalars = outcome.errors.unicodeScalars
      #expect(!scalars.contains { $0.value == 0x1b || $0.value == 0x9b || $0.value == 0x202e || $0.value == 0x61c })
      for name in ["1b", "9b", "202e", "61c"] {
        #expect(outcome.errors.split(separator: "\\u{\(name)}").count == 3, "\(outcome.errors)")
      }
    }

    /// Colours stored as a camera stores them, and timestamps that do not begin at 0.
    @Test func formatAndTimestampsStay() throws {
      try succeed(
        """
        ffmpeg -v error -f lavfi -i testsrc2=size=128x72:rate=30000/1001 -frames:v 6 -output_ts_offset 1.5 \
          -vf scale=out_color_matrix=bt709:out_range=tv,setparams=colorspace=bt709:range=tv -pix_fmt yuv420p \
          -c:v ffv1 in.mkv
        ffmpeg -v error -copyts -i in.mkv -vf "$(filter --clip-length 4 --input in.mkv)" -c:v ffv1 filter.mkv
        edit in.mkv command.mkv --clip-length 4 --video-codec ffv1 --output-pixel-format yuv420p
        for clip in filter command; do
          ffmpeg -v error -i $clip.mkv -f framemd5 - | sed -n 's/.*, //p' > $clip.md5
        done
        ffprobe -v error -show_entries packet=pts -of csv=p=0 in.mkv > in.times
        ffprobe -v error -show_entries packet=pts -of csv=p=0 filter.mkv > filter.times
        """)
      let stream = try bench.probe("filter.mkv").video
      #expect(stream?.pixFmt == "yuv420p")
      #expect(stream?.colorSpace == "bt709")
      #expect(try bench.contents("filter.md5") == bench.contents("command.md5"))
      let (before, after) = (try ticks("in.times"), try ticks("filter.times"))
      print("timestamps: \(before) before, \(after) after")
      // Matroska counts in milliseconds, and ffmpeg guesses the rate from times that are rounded to them.
      #expect(before.count == 6 && after.count == 6)
      #expect(zip(before, after).allSatisfy { abs($0 - $1) <= 2 })
    }

    @Test func framesAtVaryingIntervalsAreBroughtToOneRate() throws {
      let outcome = try succeed(
        """
        ffmpeg -v error -f lavfi -i testsrc2=size=96x64:rate=24 -frames:v 4 \
          -vf "select='eq(n,0)+eq(n,1)+eq(n,4)+eq(n,6)'" -fps_mode vfr -c:v rawvideo -pix_fmt rgb24 in.nut
        filter --input in.nut
        """)
      #expect(String(decoding: outcome.output, as: UTF8.self).hasPrefix("fps=24/1,"))
      #expect(outcome.errors.contains("varying intervals"), "\(outcome.errors)")
    }

    /// Every mark that a shell, libavfilter or the plug-in could take for its own; pasted between quotes of either kind, and
    /// from a file.
    @Test func anyPromptSurvivesEveryQuoting() throws {
      try succeed(
        #"""
        prompt=$(printf '%s' "@ the dog's \"red\" 100%27 \$HOME: a, b; [cat -> tiger] = x|y \\\\ \`!#&*é  ")
        frames 12 2 96x64 > in.nut
        options=(--model "$MODEL" --size 64x64 --steps 2 --edit "$prompt" --word-weights tiger=2,red=0.5)
        graph=$("$FATEZERO" ffmpeg-filter "${options[@]}" --negative "a: b's, c" --video-size 96x64)
        "$FATEZERO" edit in.nut command.raw "${options[@]}" --negative "a: b's, c" --output-format rawvideo
        eval "run \"$graph\"" > double.raw
        eval "run '$graph'" > single.raw
        printf '%s' "$graph" > graph.txt
        ffmpeg -v error -i in.nut -filter_script:v graph.txt -f rawvideo -pix_fmt rgb24 - > script.raw
        printf '# all of it\n\nedit = %s\nsize=64x64\n steps=2 \r\nmodel=%s\nword-weights=tiger=2,red=0.5\nnegative=%s\n' \
          "$(printf '%s' "$prompt")" "$MODEL" "a: b's, c" > settings.txt
        run "format=rgba,tpad=stop=8:color=black@0,frei0r=fatezero:@settings.txt,trim=start_frame=8" > file.raw
        """#)
      for way in ["double", "single", "script", "file"] {
        #expect(try differences("\(way).raw", "command.raw", frames: 2, area: 96 * 64) == [], "\(way)")
      }
    }

    /// An error cannot be returned: it is told once, and the frames come as they are.
    @Test(arguments: [
      ("edit=a cat&steps=0", "steps"), ("edit=a cat&stepz=3", "stepz"), ("edit=a cat&model=/nowhere", "/nowhere"),
      ("edit=a cat&clip-length=0", "ffmpeg-filter"), ("edit=a cat&frames", "name=value"),
      ("@missing.txt", "missing.txt"),
      ("edit=a cat&size=64x64&memory-limit=1K", "memory"), ("", "edit"),
    ])
    func whatGoesWrongIsToldOnce(settings: String, reason: String) throws {
      let outcome = try succeed(
        """
        export FATEZERO_MODEL="$MODEL"
        frames 12 20 96x64 > in.nut
        run "format=rgba,tpad=stop=8:color=black@0,frei0r=filter_name=fatezero:filter_params='|\(settings)',\
        trim=start_frame=8" > filter.raw
        ffmpeg -v error -i in.nut -f rawvideo -pix_fmt rgb24 source.raw
        """)
      let told = outcome.errors.split(separator: "\n").filter { $0.contains("ERROR") }
      print(told.joined(separator: "\n"))
      #expect(told.count == 2)
      #expect(told.first?.contains(reason) == true)
      #expect(try differences("filter.raw", "source.raw", frames: 20, area: 96 * 64) == [])
    }

    @Test func aWidthThatFrei0rCannotHaveIsRefused() throws {
      let outcome = try bench.run(
        Self.tools
          + """
          frames 12 2 100x64 > in.nut
          run "frei0r=fatezero:a cat"
          """)
      #expect(outcome.status != 0)
      #expect(outcome.errors.contains("multiple of 8"), "\(outcome.errors)")
    }

    /// What ffmpeg-filter can see, it says before ffmpeg runs.
    @Test(arguments: [
      ("filter --edit again --video-size 64x64", 64), ("filter --steps 0 --video-size 64x64", 64),
      ("filter --blend-words dog --video-size 64x64", 64), ("filter --input missing.mp4", 66),
      ("filter --video-size 64", 64), ("filter --video-size 64x64 --input in.nut", 64),
      ("filter --video-size 0x64", 64), ("filter --model /nowhere --video-size 64x64", 69),
    ])
    func mistakesAreSeenEarly(script: String, status: Int32) throws {
      let outcome = try bench.run(Self.tools + script)
      print(outcome.errors)
      #expect(outcome.status == status)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errors.contains("fatezero: ") || outcome.errors.contains("Error: "))
    }

    /// Another host, which pads nothing: frame k leaves, edited, when frame k + N comes.
    @Test func anotherHostGetsTheFramesLater() throws {
      let outcome = try succeed(
        """
        export GST_REGISTRY="$PWD/registry" FATEZERO_MODEL="$MODEL"
        frames 12 8 96x64 > in.nut
        ffmpeg -v error -i in.nut -frames:v 4 -c copy first.nut
        ffmpeg -v error -i in.nut -f rawvideo -pix_fmt rgba in.raw
        gst-launch-1.0 -q filesrc location=in.raw ! rawvideoparse width=96 height=64 format=rgba framerate=12/1 ! \
          frei0r-filter-fatezero edit="a [cat -> tiger] on the grass" settings="size=64x64&steps=2&clip-length=4" ! \
          filesink location=out.raw
        ffmpeg -v error -f rawvideo -pixel_format rgba -video_size 96x64 -i out.raw -f rawvideo -pix_fmt rgb24 later.raw
        tail -c $((4 * 96 * 64 * 3)) later.raw > filter.raw
        edit first.nut command.raw --clip-length 4 --output-format rawvideo
        gst-inspect-1.0 frei0r-filter-fatezero
        """)
      #expect(try differences("filter.raw", "command.raw", frames: 4, area: 96 * 64) == [])
      let listing = String(decoding: outcome.output, as: UTF8.self)
      for parameter in ["edit ", "settings ", "video-size "] { #expect(listing.contains(parameter), "\(listing)") }
    }
  }
}
