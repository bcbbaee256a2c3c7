import FoundationEssentials
import Glibc
import TestSupport
import Testing

extension EndToEndTests {
  /// Whatever goes wrong: a message, a documented exit code, and nothing under the output's name.
  struct FailureTests {
    private let bench: Workbench

    init() throws {
      bench = try Workbench()
    }

    private func expectFailure(
      _ script: String, status: Int32, saying words: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let outcome = try bench.run(script)
      #expect(outcome.status == status, "\(outcome.errors)", sourceLocation: sourceLocation)
      for word in words {
        #expect(
          outcome.errors.lowercased().contains(word.lowercased()), "\(outcome.errors)", sourceLocation: sourceLocation)
      }
      #expect(!outcome.errors.contains("Fatal error"), sourceLocation: sourceLocation)
      #expect(try bench.names().filter { $0.hasPrefix("out") } == [], sourceLocation: sourceLocation)
      #expect(try bench.leftovers() == [], sourceLocation: sourceLocation)
    }

    @Test func noSuchInput() throws {
      try expectFailure("edit nowhere.mp4 out.mp4", status: 66, saying: "nowhere.mp4")
    }

    @Test func noSuchModel() throws {
      try expectFailure(
        #"frames 12 1 > in.nut; "$FATEZERO" edit in.nut out.mp4 --model no-model --edit "a tiger""#, status: 69,
        saying: "no-model")
    }

    @Test func emptyInput() throws {
      try expectFailure("edit - out.mp4 < /dev/null", status: 65)
      try expectFailure(": > in.mp4; edit in.mp4 out.mp4", status: 65, saying: "in.mp4")
    }

    @Test func closedInput() throws {
      try expectFailure("edit - out.mp4 <&-", status: 65, saying: "empty")
    }

    @Test func garbage() throws {
      try expectFailure("head -c 100000 \"$FATEZERO\" > in.mp4; edit in.mp4 out.mp4", status: 65, saying: "in.mp4")
    }

    @Test func soundAlone() throws {
      try expectFailure(
        "ffmpeg -v error -f lavfi -i sine=duration=0.2 in.wav; edit in.wav out.mp4", status: 65, saying: "video")
    }

    /// The index of an mp4 is at its end.
    @Test func truncatedFileWithoutIndex() throws {
      try expectFailure(
        """
        frames 12 12 | ffmpeg -v error -i - -c:v libx264 -pix_fmt yuv420p whole.mp4
        head -c "$(($(stat -c %s whole.mp4) / 2))" whole.mp4 > in.mp4
        edit in.mp4 out.mp4
        """, status: 65, saying: "in.mp4")
    }

    /// Where the frames before the cut can be read, they are edited, and one line says that there were more.
    @Test func truncatedStream() throws {
      let outcome = try bench.succeed(
        """
        frames 12 4 > whole.nut
        head -c $(($(stat -c %s whole.nut) - 9000)) whole.nut > in.nut
        edit in.nut kept.mkv
        """)
      #expect(try bench.probe("kept.mkv").videoFrames == 3)
      #expect(outcome.errors.lowercased().contains("warning"), "\(outcome.errors)")
    }

    @Test func existingOutput() throws {
      try bench.succeed("frames 12 1 > in.nut; echo precious > kept.mkv")
      let refused = try bench.run("edit in.nut kept.mkv")
      #expect(refused.status == 73)
      #expect(refused.errors.contains("kept.mkv") && refused.errors.contains("-y"), "\(refused.errors)")
      #expect(try bench.run("edit -n in.nut kept.mkv").status == 73)
      #expect(try bench.contents("kept.mkv") == Data("precious\n".utf8))
      try bench.succeed("edit -y in.nut kept.mkv")
      #expect(try bench.probe("kept.mkv").videoFrames == 1)
    }

    @Test func inputIsOutput() throws {
      try bench.succeed("frames 12 1 > in.nut; ln -s in.nut alias.nut")
      let before = try bench.contents("in.nut")
      #expect(try bench.run("edit -y in.nut ./in.nut").status != 0)
      #expect(try bench.run("edit -y in.nut alias.nut").status != 0)
      #expect(try bench.contents("in.nut") == before)
    }

    @Test func usage() throws {
      try bench.succeed("frames 12 1 > in.nut")
      try expectFailure("edit in.nut", status: 64)
      try expectFailure("edit in.nut out.mkv --stesp 3", status: 64, saying: "--stesp")
      try expectFailure("edit in.nut out.mkv --steps 0", status: 64, saying: "steps")
      try expectFailure("edit in.nut out.mkv --guidance-scale many", status: 64, saying: "guidance-scale")
      try expectFailure("edit in.nut - --edit 'a dog'", status: 64)
      try expectFailure("edit in.nut out.mkv --word-weights lion=2", status: 64, saying: "lion", "tiger")
    }

    /// What would end a run after hours is said at its beginning.
    @Test func whatCannotBeWrittenIsSaidBeforeTheWork() throws {
      try bench.succeed("frames 12 3 > in.nut")
      try expectFailure("edit in.nut nowhere/out.mkv", status: 73, saying: "nowhere/out.mkv: No such file")
      try expectFailure("edit in.nut out.mkv --trace nowhere/trace.safetensors", status: 73, saying: "--trace nowhere")
      try expectFailure(
        "edit in.nut out.mkv --trace trace.safetensors --clip-length 2", status: 64, saying: "one window", "has 2")
      try expectFailure("edit in.nut out.mkv --trace in.nut", status: 64, saying: "--trace in.nut")
      try expectFailure("edit in.nut - --progress pipe:1 | cat > frames.y4m", status: 64, saying: "--progress")
      #expect(try bench.contents("frames.y4m").isEmpty)
    }

    @Test func fullDisk() throws {
      let outcome = try bench.run("frames 12 2 | edit - /dev/full --output-format nut")
      #expect(outcome.status == 74)
      #expect(outcome.errors.contains("No space left"), "\(outcome.errors)")
    }

    /// The reader went away: quiet, as in any pipe.
    @Test func closedPipe() throws {
      let outcome = try bench.run(
        """
        set +e
        frames 12 2 > in.nut
        edit in.nut - --output-format nut | true
        exit ${PIPESTATUS[0]}
        """)
      #expect(outcome.status == 141)
      #expect(!outcome.errors.lowercased().contains("error") && !outcome.errors.contains("pipe"), "\(outcome.errors)")
    }

    @Test(arguments: [1, 2]) func interruption(signals: Int) throws {
      try bench.succeed("frames 12 4 > in.nut")
      let job = try bench.start(
        """
        exec "$FATEZERO" edit in.nut out.mkv --model "$MODEL" --size 64x64 --steps 999 \
          --edit "a [cat -> tiger] on the grass" --progress progress.txt
        """)
      // Once there is progress, the work has begun.
      while try !bench.exists("progress.txt") || bench.contents("progress.txt").isEmpty {
        try #require(!job.hasEnded, "it ended by itself: \(job.errorsSoFar)")
        usleep(10_000)
      }
      // The second signal ends it at once, and cleans up all the same.
      for _ in 0..<signals { job.signal(SIGINT) }
      let outcome = try job.wait()
      #expect(outcome.status == 130)
      #expect(try bench.names() == ["in.nut", "progress.txt"])
      #expect(try bench.leftovers() == [])
    }
  }
}
