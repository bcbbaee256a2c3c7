import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Inversions that outlive their run.
  struct CacheTests {
    private let bench: Workbench

    init() throws {
      bench = try Workbench()
      try bench.succeed("frames 8 4 64x64 > in.nut; frames 8 7 64x64 > long.nut")
    }

    private func text(_ outcome: Outcome) -> String { String(decoding: outcome.output, as: UTF8.self) }

    private func entries() throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: bench.path("cache")).filter { $0.count == 32 }.sorted()
    }

    @Test(arguments: ["", "--record maps", "--record recompute", "--attention-source reconstruction"])
    func theSecondEditIsTheSameWithoutAnInversion(_ settings: String) throws {
      let outcome = try bench.succeed(
        """
        edit in.nut plain.rgb --output-format rawvideo \(settings)
        edit in.nut first.rgb --output-format rawvideo \(settings) --cache cache
        edit in.nut second.rgb --output-format rawvideo \(settings) --cache cache --progress progress.txt
        """)
      #expect(outcome.errors.contains("the inversion of window 1 comes from the cache"), "\(outcome.errors)")
      let plain = try bench.contents("plain.rgb")
      #expect(try plain == bench.contents("first.rgb"))
      #expect(try plain == bench.contents("second.rgb"))
      let progress = String(decoding: try bench.contents("progress.txt"), as: UTF8.self)
      #expect(!progress.contains("phase=invert") && progress.contains("phase=edit"))
      #expect(progress.contains("percent=100.0"), "\(progress)")
      #expect(try entries().count == 1)
    }

    @Test func windowsThatCarryFramesComeFromTheCacheToo() throws {
      let outcome = try bench.succeed(
        """
        for run in 1 2; do
          edit long.nut $run.rgb --output-format rawvideo --clip-length 3 --frame-coupling self+middle+previous --cache cache
        done
        """)
      #expect(outcome.errors.contains("the inversion of window 3 comes from the cache"), "\(outcome.errors)")
      #expect(try bench.contents("1.rgb") == bench.contents("2.rgb"))
      #expect(try entries().count == 3)
    }

    @Test(arguments: ["--cache folder", "--cache=folder", "--cache=folder --resume", "--resume --cache folder"])
    func theFolderIsTheOneNamed(_ options: String) throws {
      try bench.succeed("edit in.nut a.nut \(options)")
      #expect(bench.exists("folder/windows"))
    }

    @Test(arguments: [
      "--steps 3", "--size 32x64", "--frames 3", "--frame-coupling self",
    ])
    func whatTheInversionDependsOnMakesAnother(_ change: String) throws {
      try bench.succeed("edit in.nut a.nut --cache cache; edit in.nut b.nut --cache cache \(change)")
      #expect(try entries().count == 2)
    }

    /// Another edit of `in.nut`.
    private func other(_ prompt: String) -> String {
      """
      other() {
        "$FATEZERO" edit in.nut "$1" --model "$MODEL" --size 64x64 --steps 2 --edit "\(prompt)" \
          --output-format rawvideo "${@:2}"
      }

      """
    }

    @Test func anotherSourceMakesAnotherAndAnotherTargetDoesNot() throws {
      try bench.succeed(
        other("a [cat -> dog] on the grass") + "edit in.nut a.nut --cache cache; other b.rgb --cache cache")
      #expect(try entries().count == 1)
      try bench.succeed(other("a [dog -> tiger] on the grass") + "other c.rgb --cache cache")
      #expect(try entries().count == 2)
    }

    @Test func anotherEditReadsWhatIsThereAndComputesTheRest() throws {
      let outcome = try bench.succeed(
        other("a [cat -> dog] on the grass") + """
          edit in.nut a.nut --cache cache --self-replace 0 --cross-replace 0 --blend-attention off
          other plain.rgb
          other cached.rgb --cache cache
          """)
      #expect(outcome.errors.contains("is computed again beside each edit"), "\(outcome.errors)")
      #expect(try bench.contents("plain.rgb") == bench.contents("cached.rgb"))
    }

    @Test func aSmallCacheKeepsTheLatentsAndASmallerOneNothing() throws {
      var outcome = try bench.succeed("edit in.nut a.nut --cache cache --cache-size 30k")
      #expect(outcome.errors.contains("keeps the inversion's latents only"), "\(outcome.errors)")
      outcome = try bench.succeed("\"$FATEZERO\" cache list --cache cache")
      #expect(text(outcome).contains("latents only") && text(outcome).contains("1 inversion"), "\(text(outcome))")
      outcome = try bench.succeed("edit in.nut b.nut --cache other --cache-size 1k")
      #expect(outcome.errors.contains("exceed cache-size"), "\(outcome.errors)")
      #expect(!bench.exists("other/entry.json"))
    }

    @Test func theOldestGoesWhenRoomIsNeeded() throws {
      try bench.succeed(
        """
        edit in.nut a.nut --cache cache --cache-size 40k --record recompute
        sleep 1.1
        edit in.nut b.nut --cache cache --cache-size 40k --record recompute --frames 3
        """)
      let before = try entries()
      try bench.succeed(
        "sleep 1.1; edit in.nut c.nut --cache cache --cache-size 30k --record recompute --frames 3 --steps 3")
      let after = try entries()
      #expect(before.count == 2 && after.count == 2 && Set(after) != Set(before), "\(before) \(after)")
      try bench.succeed("\"$FATEZERO\" cache prune --cache cache --cache-size 0")
      #expect(try entries().isEmpty)
    }

    @Test(arguments: ["latents.safetensors", "step-0.safetensors", "entry.json"])
    func damageIsAWarningAndANewInversion(_ file: String) throws {
      try bench.succeed("edit in.nut a.rgb --output-format rawvideo --cache cache")
      let path = "cache/\(try #require(try entries().first))/\(file)"
      var bytes = try bench.contents(path)
      bytes[bytes.count - 3] ^= 1
      if file == "entry.json" { bytes = Data("{".utf8) }
      try bytes.write(to: URL(filePath: bench.path(path)))
      let verified = try bench.run(
        "\"$FATEZERO\" cache verify --cache cache || true; \"$FATEZERO\" cache list --cache cache >&2")
      #expect(text(verified).contains(file) && text(verified).contains("1 inversion, 1 damaged"), "\(text(verified))")
      #expect(verified.errors.contains("1 inversion"), "\(verified.errors)")
      let outcome = try bench.succeed("edit in.nut b.rgb --output-format rawvideo --cache cache")
      #expect(outcome.errors.contains("warning"), "\(outcome.errors)")
      #expect(try bench.contents("a.rgb") == bench.contents("b.rgb"))
    }

    @Test func twoAtOnceAndOneKilledLeaveAWholeCache() throws {
      let outcome = try bench.succeed(
        """
        edit in.nut a.nut --cache cache & edit in.nut b.nut --cache cache & wait
        edit long.nut k.nut --cache cache --steps 400 & sleep 3; kill -9 $(pgrep -P $!) $! 2>/dev/null || true; wait || true
        "$FATEZERO" cache verify --cache cache
        "$FATEZERO" cache prune --cache cache
        ls cache
        """)
      #expect(text(outcome).contains("1 inversion, 0 damaged"), "\(text(outcome))")
      #expect(!text(outcome).contains("partial"), "\(text(outcome))")
    }

    @Test(arguments: ["", "--mask left.png --blend-latents", "--attention-source reconstruction"])
    func aKilledRunGoesOnAtTheLastFinishedWindow(_ settings: String) throws {
      let outcome = try bench.succeed(
        """
        ffmpeg -v error -f lavfi -i color=black:size=64x64 -vf drawbox=w=32:color=gray:t=fill -frames:v 1 left.png
        run() {
          edit long.nut "$1" --output-format rawvideo --clip-length 3 --frame-coupling self+middle+previous --steps 12 \
            \(settings) "${@:2}"
        }
        run plain.rgb
        run killed.rgb --cache cache & job=$!
        until ls cache/windows/*.safetensors 2>/dev/null; do sleep 0.05; kill -0 $job; done
        pkill -9 -P $job; wait $job || true
        run resumed.rgb --cache cache --resume --progress progress.txt 2> resumed.txt
        cat resumed.txt
        """)
      let text = text(outcome)
      #expect(text.contains("window 1 was finished by an earlier run"), "\(text)")
      #expect(!text.contains("window 3 was finished"), "\(text)")
      #expect(try bench.contents("plain.rgb") == bench.contents("resumed.rgb"))
      #expect(!bench.exists("killed.rgb"))
      let progress = String(decoding: try bench.contents("progress.txt"), as: UTF8.self)
      #expect(!progress.contains("window=1\n") && progress.contains("window=3\n"), "\(progress)")
      #expect(progress.contains("percent=100.0"), "\(progress)")
      // The run has ended: nothing is left of its windows but the list of what is the program's own there, which is empty.
      #expect(try bench.names(in: "cache/windows") == [])
    }

    @Test(arguments: [
      ("--cache in.nut", "that is a file", 64), ("--cache-size 1G", "--cache-size needs --cache", 64),
      ("--cache cache --cache-size much", "--cache-size", 64), ("--cache /proc/none", "cannot make the folder", 73),
      ("--record-dir none", "record-dir: there is no folder none", 64),
    ])
    func whatCannotBeIsSaid(_ arguments: String, _ words: String, _ status: Int32) throws {
      let outcome = try bench.run("edit in.nut out.nut \(arguments)")
      #expect(outcome.status == status && outcome.errors.contains(words), "\(outcome.errors)")
      #expect(!bench.exists("out.nut"))
    }

    /// The attention on the disk alone: in the cache's folder where it is kept there, else in its own.
    @Test func itNeedNotBeInMemoryBesides() throws {
      let outcome = try bench.succeed(
        """
        mkdir record
        edit in.nut plain.rgb --output-format rawvideo
        edit in.nut own.rgb --output-format rawvideo --record-dir record
        edit in.nut small.rgb --output-format rawvideo --record-dir record --cache small --cache-size 30k
        for run in 1 2; do edit in.nut $run.rgb --output-format rawvideo --record-dir record --cache cache; done
        """)
      #expect(!outcome.errors.contains("computed again"), "\(outcome.errors)")
      for name in ["own", "small", "1", "2"] {
        #expect(try bench.contents("plain.rgb") == bench.contents("\(name).rgb"), "\(name)")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: bench.path("record")).isEmpty)
    }

    @Test func whatAKilledRunLeftOfARecordGoes() throws {
      try bench.succeed(
        """
        mkdir record
        edit long.nut k.nut --record-dir record --steps 400 & job=$!
        until ls record/*/step-*.safetensors 2>/dev/null; do sleep 0.05; kill -0 $job; done
        pkill -9 -P $job; wait $job || true
        ls record/*/step-*.safetensors
        edit in.nut out.nut --record-dir record
        """)
      #expect(try FileManager.default.contentsOfDirectory(atPath: bench.path("record")).isEmpty)
    }

    @Test func withoutAValueItIsTheUsers() throws {
      try bench.succeed("export XDG_CACHE_HOME=$PWD/home; edit in.nut out.nut --cache; ls home/fatezero/*/entry.json")
    }
  }
}
