import FoundationEssentials
import TestSupport
import Testing

extension EndToEndTests {
  /// The command beside `edit`, and what it says while it works.
  struct CommandTests {
    private let bench: Workbench

    init() throws {
      bench = try Workbench()
    }

    @Test func planSaysWhatWouldBeDone() throws {
      let plan = try bench.succeed(
        """
        frames 12 5 > in.nut
        "$FATEZERO" plan in.nut out.mkv --model "$MODEL" --edit "a [cat -> tiger] on the grass"
        """)
      let text = String(decoding: plan.output, as: UTF8.self)
      for word in ["5 frames", "cat", "tiger", "grass", "window", "coupling", "memory"] {
        #expect(text.lowercased().contains(word), "\(word) in \(text)")
      }
      #expect(!bench.exists("out.mkv"))
    }

    /// Windows must not be seen: between consecutive frames the result changes, measured by the source's own change, at the
    /// boundary of two windows at most 1.15 times as much as inside of them.
    @Test func windowsDoNotShow() throws {
      let clip = "\(Workbench.root)/Examples/cat.mp4"
      try bench.succeed(
        """
        "$FATEZERO" edit "\(clip)" out.nut --clip-length 4 --steps 20 --edit "a [cat -> tiger] on the grass"
        """)
      let (before, after) = ([UInt8](try bench.pixels(clip)), [UInt8](try bench.pixels("out.nut")))
      #expect(before.count == after.count)
      let area = 128 * 128 * 3
      func change(_ pixels: [UInt8], _ frame: Int) -> Double {
        (0..<area).reduce(0.0) {
          $0 + abs(Double(pixels[(frame + 1) * area + $1]) - Double(pixels[frame * area + $1]))
        }
      }
      let changes = (0..<before.count / area - 1).map { change(after, $0) / change(before, $0) }
      func mean(_ chosen: (Int) -> Bool) -> Double {
        let values = changes.indices.filter(chosen).map { changes[$0] }
        return values.reduce(0, +) / Double(values.count)
      }
      let ratio = mean { $0 % 4 == 3 } / mean { $0 % 4 != 3 }
      print("change at window boundaries against inside: \(ratio)")
      #expect(changes.count == 15)
      #expect(ratio <= 1.15)
    }

    @Test func inspectSaysWhatACheckpointIs() throws {
      let text = String(decoding: try bench.succeed(#""$FATEZERO" inspect "$MODEL""#).output, as: UTF8.self)
      for word in ["unet", "vae", "text"] {
        #expect(text.lowercased().contains(word), "\(word) in \(text)")
      }
    }

    @Test func progressForPrograms() throws {
      try bench.succeed("frames 12 2 > in.nut; edit in.nut out.mkv --progress progress.txt")
      let lines = String(decoding: try bench.contents("progress.txt"), as: UTF8.self).split(separator: "\n")
      #expect(lines.last == "progress=end")
      #expect(lines.allSatisfy { $0.contains("=") })
    }

    /// A clip's own comment is not lost to ours.
    @Test func whatWasDoneIsWrittenIntoTheMetadata() throws {
      try bench.succeed(
        """
        frames 12 2 | ffmpeg -v error -i - -metadata comment="Sunday, in the garden" in.mkv
        edit in.mkv out.mkv
        ffprobe -v error -show_entries format_tags=comment -of default=nw=1 out.mkv > comment.txt
        """)
      let comment = String(decoding: try bench.contents("comment.txt"), as: UTF8.self)
      for words in ["Sunday, in the garden", "model=tinyA:", #"edit="a tiger on the grass""#, "steps=2"] {
        #expect(comment.contains(words), "\(words) in \(comment)")
      }
    }

    @Test func previewIsOneFrame() throws {
      try bench.succeed("frames 12 5 > in.nut; edit in.nut out.mkv --preview")
      #expect(try bench.probe("out.mkv").videoFrames == 1)
    }

    @Test func helpAndCompletions() throws {
      let help = String(decoding: try bench.succeed(#""$FATEZERO" --help"#).output, as: UTF8.self)
      for command in ["edit", "plan", "inspect"] {
        #expect(help.contains(command))
      }
      for shell in ["bash", "zsh", "fish"] {
        #expect(try !bench.succeed(#""$FATEZERO" --generate-completion-script \#(shell)"#).output.isEmpty)
      }
    }

    /// Video longer than memory: twenty windows need what three need.
    @Test func memoryDoesNotGrowWithTheClip() throws {
      let peaks = try [3, 20].map { windows in
        try bench.succeed("frames 12 \(windows * 4) > in\(windows).nut")
        let outcome = try bench.start(
          """
          exec "$FATEZERO" edit in\(windows).nut out\(windows).mkv --model "$MODEL" --size 64x64 --steps 2 \
            --clip-length 4 --edit "a [cat -> tiger] on the grass"
          """
        ).wait()
        try #require(outcome.status == 0, "\(outcome.errors)")
        return outcome.peakMemory
      }
      print("largest resident set: \(peaks[0]) KiB for 3 windows, \(peaks[1]) KiB for 20")
      #expect(Double(peaks[1]) <= 1.05 * Double(peaks[0]))
    }
  }
}
