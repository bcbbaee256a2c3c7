import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Many edits by one file, and one edit by many processes.
  struct BatchTests {
    private let bench: Workbench

    init() throws {
      bench = try Workbench()
      try bench.succeed("frames 8 4 64x64 > in.nut; frames 8 7 64x64 > long.nut")
    }

    /// `jobs.yaml`, with the tiny model at its size.
    private func jobs(_ text: String, settings: String = "") throws {
      let yaml = """
        \(text)
        extension: nut
        settings: {model: "\(Workbench.model)", size: 64x64, steps: 2\(settings)}
        """
      try Data(yaml.utf8).write(to: URL(filePath: bench.path("jobs.yaml")))
    }

    private static let batch = "\"$FATEZERO\" batch jobs.yaml"

    struct Event: Decodable {
      let event: String, time: String
      let job: Int?, jobs: Int?, name: String?, reason: String?, message: String?, status: Int?, output: String?
      let finished: Int?, skipped: Int?, failed: Int?, percent: Double?, peakBytes: Int?
    }

    private func events(_ outcome: Outcome) throws -> [Event] {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try outcome.output.split(separator: UInt8(ascii: "\n")).map { try decoder.decode(Event.self, from: $0) }
    }

    private func names(_ events: [Event], _ kind: String) -> [String] {
      events.filter { $0.event == kind }.compactMap(\.name)
    }

    // MARK: A jobs file

    @Test func everyClipIsEditedInEveryWay() throws {
      try jobs(
        """
        clips: [in.nut, {path: long.nut, name: the long one, frames: 5, edits: ["a [cat -> fox] on the grass"]}]
        edits:
        - "a [cat -> tiger] on the grass"
        - {edit: "a [cat -> dog] on the grass", name: dog, self-replace: 0.2, report: true}
        """, settings: ", guidance-scale: [2, 7.5], blend-threshold: [0.3, 0.4]")
      let outcome = try bench.succeed(Self.batch)
      let events = try events(outcome)
      #expect(events.first?.event == "planned" && events.first?.jobs == 12)
      #expect(names(events, "started").count == 12 && names(events, "finished").count == 12)
      #expect(events.last?.event == "ended" && events.last?.finished == 12 && events.last?.failed == 0)
      #expect(events.contains { $0.event == "progress" && $0.percent == 100 && $0.job == 12 })
      #expect(outcome.errors.contains("the inversion of window 1 comes from the cache"), "\(outcome.errors)")
      let name = "in_dog_guidance-scale-7.5_blend-threshold-0.3"
      #expect(bench.exists("jobs-results/\(name).nut") && bench.exists("jobs-results/jobs/\(name)/report/index.html"))

      // What a job makes is what `edit` makes.
      try bench.succeed(
        """
        "$FATEZERO" edit in.nut plain.nut --model "$MODEL" --size 64x64 --steps 2 --edit "a [cat -> dog] on the grass" \
          --self-replace 0.2 --guidance-scale 7.5 --blend-threshold 0.3
        """)
      #expect(try bench.pixels("plain.nut") == bench.pixels("jobs-results/\(name).nut"))
      let long = "jobs-results/the-long-one_a-cat-fox-on-the-grass_guidance-scale-2_blend-threshold-0.4.nut"
      #expect(try bench.pixels(long).count == 5 * 64 * 64 * 3)
    }

    @Test func whatIsDoneIsNotDoneAgain() throws {
      try jobs("clips: [in.nut]\nedits: [\"a [cat -> tiger] on the grass\", \"a [cat -> dog] on the grass\"]")
      try bench.succeed(Self.batch)
      let first = try events(bench.succeed(Self.batch))
      #expect(names(first, "skipped").count == 2 && names(first, "started").isEmpty)

      // One edit more, before the others.
      try jobs(
        "clips: [in.nut]\nedits: [\"a [cat -> fox] on the grass\", \"a [cat -> tiger] on the grass\", \"a [cat -> dog] on the grass\"]"
      )
      let second = try events(bench.succeed(Self.batch))
      #expect(names(second, "started") == ["in_a-cat-fox-on-the-grass"] && names(second, "skipped").count == 2)

      // Another setting, another clip, a lost result.
      try jobs("clips: [in.nut]\nedits: [\"a [cat -> tiger] on the grass\"]", settings: ", guidance-scale: 3")
      #expect(try names(events(bench.succeed(Self.batch)), "started").count == 1)
      #expect(try names(events(bench.succeed("frames 8 3 64x64 > in.nut; " + Self.batch)), "started").count == 1)
      #expect(try names(events(bench.succeed("rm jobs-results/*.nut; " + Self.batch)), "started").count == 1)
      #expect(try names(events(bench.succeed(Self.batch)), "started").isEmpty)
    }

    @Test func aKilledBatchGoesOn() throws {
      let text = """
        clips: [in.nut, long.nut]
        edits: ["a [cat -> tiger] on the grass", "a [cat -> dog] on the grass"]
        """
      try jobs(text, settings: ", clip-length: 3, guidance-scale: 3")
      let outcome = try bench.succeed(
        """
        \(Self.batch) -o whole > whole.ndjson
        \(Self.batch) > killed.ndjson & job=$!
        # In the middle of the third job, when one of its windows is finished.
        until grep -q '"job":3.*"window":2' killed.ndjson; do sleep 0.02; kill -0 $job; done
        kill -9 $job; wait $job || true
        ls jobs-results/*.nut | wc -l
        \(Self.batch) 2>&1
        """)
      let text2 = String(decoding: outcome.output, as: UTF8.self)
      #expect(text2.hasPrefix("2\n"), "\(text2)")
      #expect(text2.contains("job 1, in_a-cat-tiger-on-the-grass, is done already"), "\(text2)")
      #expect(text2.contains("window 1 was finished by an earlier run"), "\(text2)")
      #expect(text2.contains("\"finished\":2,\"jobs\":4") && text2.contains("\"skipped\":2"), "\(text2)")
      let results = try bench.names(in: "whole").filter { $0.hasSuffix(".nut") }
      #expect(results.count == 4)
      for name in results {
        #expect(try bench.pixels("whole/\(name)") == bench.pixels("jobs-results/\(name)"), "\(name)")
      }
    }

    @Test func twoBatchesAtOnceShareTheWork() throws {
      try jobs(
        "clips: [in.nut, long.nut]\nedits: [\"a [cat -> tiger] on the grass\", \"a [cat -> dog] on the grass\"]",
        settings: ", guidance-scale: [2, 3]")
      let outcome = try bench.succeed(
        "\(Self.batch) > 1.ndjson & \(Self.batch) > 2.ndjson; wait $!; cat 1.ndjson 2.ndjson; ls jobs-results/*.nut >&2"
      )
      let events = try events(outcome)
      #expect(names(events, "failed").isEmpty)
      #expect(names(events, "finished").sorted() == Set(names(events, "finished")).sorted())
      #expect(names(events, "finished").count == 8, "\(outcome.errors)")
    }

    @Test func oneThatFailsDoesNotStopTheOthers() throws {
      try bench.succeed("head -c $(($(stat -c %s long.nut) / 2)) long.nut > short.nut; mv short.nut long.nut")
      try jobs(
        "clips: [long.nut, in.nut]\nedits: [\"a [cat -> dog] on the grass\", \"a [cat -> tiger] on the grass\"]",
        settings: ", mask: mask.nut")
      // A mask of fewer pictures than the longer clip.
      try bench.succeed("frames 8 7 64x64 > long.nut; frames 8 4 64x64 > mask.nut")
      let outcome = try bench.run(Self.batch)
      #expect(outcome.status == 65 && outcome.errors.contains("2 of 4 jobs failed: 1, 2"), "\(outcome.errors)")
      let failed = try events(outcome).filter { $0.event == "failed" }
      #expect(failed.count == 2 && failed.allSatisfy { $0.status == 65 && $0.message?.contains("mask.nut") == true })
      let page = String(decoding: try bench.contents("jobs-results/index.html"), as: UTF8.self)
      #expect(page.contains("2 done, 2 failed") && page.contains("has 4 pictures and the clip more frames"))
      // Mended, they are done.
      let again = try events(bench.succeed("frames 8 7 64x64 > mask.nut; " + Self.batch))
      #expect(again.last?.finished == 4 && again.last?.failed == 0)
    }

    @Test func whereTheFilesLieDoesNotMatter() throws {
      try jobs("clips: [in.nut]\nedits: [\"a [cat -> tiger] on the grass\"]")
      let outcome = try bench.succeed(
        """
        mkdir w && mv in.nut jobs.yaml w/
        "$FATEZERO" batch w/jobs.yaml > /dev/null
        for file in ./w/jobs.yaml "$PWD/w/jobs.yaml" w/../w//jobs.yaml; do "$FATEZERO" batch $file; done
        cd w; "$FATEZERO" batch jobs.yaml -o ./jobs-results/
        cd ..; mv w elsewhere; "$FATEZERO" join --folder elsewhere/jobs-results >&2
        """)
      let events = try events(outcome)
      #expect(names(events, "skipped").count == 4 && names(events, "started").isEmpty, "\(outcome.errors)")
    }

    @Test func picturesThatChangeAreAnotherClip() throws {
      try bench.succeed("mkdir fr; ffmpeg -v error -i in.nut fr/%03d.png")
      try jobs("clips: [fr, fr/%03d.png]\nedits: [\"a [cat -> tiger] on the grass\"]")
      try bench.succeed(Self.batch)
      let events = try events(bench.succeed("cp fr/004.png fr/001.png; " + Self.batch))
      #expect(names(events, "started").count == 2, "\(events)")
    }

    @Test func anInterruptedBatchEndsAsSuch() throws {
      try jobs(
        "clips: [in.nut]\nedits: [\"a [cat -> tiger] on the grass\", \"a [cat -> dog] on the grass\"]", settings: "")
      let outcome = try bench.succeed(
        """
        sed -i 's/steps: 2/steps: 500/' jobs.yaml
        \(Self.batch) & job=$!
        until compgen -G "jobs-results/jobs/*/lock" >&2; do sleep 0.05; done
        sleep 1; kill -TERM $job; wait $job || echo "{\\"event\\":\\"status\\",\\"time\\":\\"\\",\\"status\\":$?}"
        """)
      let events = try events(outcome)
      #expect(events.last?.status == 143 && names(events, "interrupted").count == 1, "\(outcome.errors)")
      let left = try FileManager.default.contentsOfDirectory(atPath: bench.path("jobs-results"))
      #expect(!left.contains { $0.contains(".nut") }, "\(left)")
    }

    @Test func whatIsThereIsNotOverwritten() throws {
      try jobs("clips: [in.nut]\nedits: [\"a [cat -> tiger] on the grass\"]")
      let outcome = try bench.run("mkdir site; echo mine > site/index.html; \(Self.batch) -o site")
      #expect(outcome.status == 73 && outcome.errors.contains("site/index.html exists already"), "\(outcome.errors)")
      #expect(try bench.contents("site/index.html") == Data("mine\n".utf8))
    }

    @Test func namesFitWhateverIsAskedFor() throws {
      let long = String(repeating: "\u{732B}", count: 90)
      try jobs(
        """
        clips: [{path: in.nut, name: "../a/b \(long)", source: a cat}]
        edits: ["\(long)", "<script>", "a cat", "a cat!", {edit: a cat, name: mask, mask-output: true, blend-words: cat}]
        """, settings: ", guidance-scale: [2]")
      let outcome = try bench.succeed(Self.batch)
      let started = names(try events(outcome), "started")
      #expect(Set(started).count == 5 && started.allSatisfy { $0.utf8.count <= 182 && !$0.contains("/") }, "\(started)")
      #expect(try bench.names(in: "jobs-results").filter { $0.hasSuffix(".nut") }.count == 6)
      #expect(!String(decoding: try bench.contents("jobs-results/index.html"), as: UTF8.self).contains("<script>\""))
    }

    @Test func thePageShowsEveryResult() throws {
      try jobs(
        "clips: [in.nut, long.nut]\nedits: [\"a [cat -> tiger] on the grass\"]", settings: ", self-replace: [0.2, 0.8]")
      try bench.succeed(Self.batch)
      let probe = """
        <script>addEventListener('load',()=>{const all=[...document.images],w=document.documentElement;
        for(const i of all)i.loading='eager';setTimeout(()=>{
        const c=document.querySelector('select');c.value='0.2';c.onchange();
        document.title='PROBE images='+all.length+' broken='+all.filter(i=>!i.complete||!i.naturalWidth).length
        +' cards='+document.querySelectorAll('.card').length+' hidden='+document.querySelectorAll('.card[hidden]').length
        +' overflow='+Math.max(0,w.scrollWidth-w.clientWidth)},500)})</script>
        """
      let page = String(decoding: try bench.contents("jobs-results/index.html"), as: UTF8.self)
      // The page's policy would let no probe run; StrangersFilesTests looks at pages with it.
      let open = page.replacing(#/<meta http-equiv="Content-Security-Policy"[^>]*>/#, with: "")
      try Data(open.replacing("</body>", with: probe + "</body>").utf8).write(
        to: URL(filePath: bench.path("jobs-results/probed.html")))
      let outcome = try bench.succeed(
        """
        chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" --virtual-time-budget=5000 \
          --window-size=500,900 --dump-dom "file://$PWD/jobs-results/probed.html" 2>/dev/null
        """)
      let dump = String(decoding: outcome.output, as: UTF8.self)
      let title = dump.split(separator: "\n").first { $0.contains("PROBE images") }.map(String.init) ?? dump
      print("overview: \(title.matches(of: /PROBE [^<]*/).first.map { String($0.0) } ?? title)")
      // 3 pictures of 4 frames, 3 of 7; of each clip one card of the two edits is hidden.
      #expect(title.contains("images=33 broken=0 cards=6 hidden=2 overflow=0"), "\(title)")
    }

    @Test(arguments: [
      ("clips: in.nut\nedits: [x]", "jobs.yaml, line 1: clips must be a list"),
      ("edits: [x]", "jobs.yaml has no clips"),
      ("clips: [in.nut]", "a clip with edits"),
      ("clips: [in.nut]\nedits: [x]\nclip: 3", "one of output, extension, clips, edits, settings"),
      ("clips: [in.nut]\nedits: [{prompt: x}]", "has no edits.0.edit"),
      ("clips: [in.nut]\nedits: [{edit: a dog, stepz: 3}]", "job 1, in_a-dog: Unknown option '--stepz'"),
      ("clips: [in.nut]\nedits: [{edit: a dog, steps: 0}]", "job 1, in_a-dog: steps: 0 is out of range"),
      ("clips: [in.nut]\nedits: [{edit: a dog, cache: here}]", "cache is no option of a single edit here"),
      ("clips: [nothing.nut]\nedits: [a dog]", "job 1, nothing_a-dog: nothing.nut: No such file"),
      (
        "clips: [in.nut]\nedits: [{edit: a dog, guidance-scale: 2}]\nsettings: {guidance-scale: [1, 2]}",
        "has a grid of"
      ),
      ("clips: [in.nut]\nedits: [a dog]\nsettings: {steps: []}", "a list of at least one"),
      ("clips: [", "is not YAML: line"),
      ("clips: [in.nut]\nedits: [a dog]\nedits: [a cat]", "line 3: edits is there twice"),
      ("clips: [in.nut]\nedits: [~]", "edits.0 must be text"), ("clips: [in.nut]\nedits: ['']", "must be a prompt"),
      ("clips: [in.nut]\nedits: [{edit: a dog, help: yes}]", "help is no option of a single edit"),
      (
        "clips: [{path: in.nut, source: a cat}]\nedits: [a dog]\nsettings: {blend-words: zebra}",
        "job 1, in_a-dog_: blend-words".replacing("_:", with: ":")
      ),
      ("clips: [in.nut]\nextension: xyz\nedits: [a dog]", "job 1, in_a-dog"),
      ("clips: [in.nut]\nedits: [{edit: a dog, mask: no.png}]", "no.png"),
      ("clips: [in.nut]\nedits: [{edit: a dog, memory-limit: 1k}]", "memory"),
    ])
    func whatIsWrongWithAFileIsSaidBeforeAnyWork(_ yaml: String, _ words: String) throws {
      try Data(yaml.utf8).write(to: URL(filePath: bench.path("jobs.yaml")))
      let outcome = try bench.run("FATEZERO_MODEL=\"$MODEL\" " + Self.batch)
      #expect([64, 65, 66, 71].contains(outcome.status) && outcome.errors.contains(words), "\(outcome.errors)")
      #expect(outcome.output.isEmpty && !bench.exists("jobs-results"))
    }

    // MARK: Windows of one clip

    private static let plan = """
      edit_options=(--model "$MODEL" --size 64x64 --steps 3 --clip-length 2 --edit "a [cat -> tiger] on the grass")
      plan() { "$FATEZERO" plan-jobs long.nut out.nut "${edit_options[@]}" "$@"; }
      plain() { "$FATEZERO" edit long.nut plain.nut "${edit_options[@]}" "$@"; }

      """

    @Test(arguments: [
      "", "--frame-coupling self", "--frame-coupling self+first --mask left.png --blend-latents",
      "--windows-per-job 2 --edit 'a [cat -> dog] on the grass' --mask-output mask.nut",
    ])
    func joinedWindowsAreTheClip(_ options: String) throws {
      let own = options.replacing("--windows-per-job 2", with: "")
      let outcome = try bench.succeed(
        Self.plan + """
          ffmpeg -v error -f lavfi -i color=black:size=64x64 -vf drawbox=w=32:color=gray:t=fill -frames:v 1 left.png
          n=$(plan \(options))
          "$FATEZERO" join && exit 1
          for number in $(seq $n -1 1); do "$FATEZERO" run-job $number > /dev/null & done; wait
          "$FATEZERO" run-job $n
          "$FATEZERO" join
          for file in *.nut; do mkdir -p joined; [[ $file == long.nut || $file == in.nut ]] || mv $file joined/; done
          plain \(own)
          mkdir whole; mv plain*.nut mask*.nut whole/ 2>/dev/null || true
          echo $n
          """)
      #expect(outcome.errors.contains("jobs not finished: 1, 2"), "\(outcome.errors)")
      let text = String(decoding: outcome.output, as: UTF8.self)
      #expect(text.contains("\"skipped\"") && text.hasSuffix(options.contains("per-job") ? "2\n" : "4\n"), "\(text)")
      let joined = try bench.names(in: "joined"), whole = try bench.names(in: "whole")
      #expect(joined.count == (options.contains("dog") ? 4 : 1))
      #expect(joined.map { $0.replacing("out", with: "plain") }.sorted() == whole)
      for name in joined {
        #expect(
          try bench.pixels("joined/\(name)") == bench.pixels("whole/\(name.replacing("out", with: "plain"))"), "\(name)"
        )
      }
    }

    @Test func aDamagedWindowIsMadeAnew() throws {
      let outcome = try bench.run(
        Self.plan + """
          plan
          for number in 1 2 3 4; do "$FATEZERO" run-job $number > /dev/null 2>&1; done
          printf x | dd of=$(ls fatezero-jobs/windows/*.safetensors | head -1) bs=1 seek=3000 conv=notrunc status=none
          "$FATEZERO" join || echo refused $?
          ls out.nut || true
          "$FATEZERO" join || echo refused $?
          for number in 1 2 3 4; do "$FATEZERO" run-job $number > /dev/null 2>&1; done
          "$FATEZERO" join
          plain
          """)
      let text = String(decoding: outcome.output, as: UTF8.self)
      #expect(outcome.status == 0 && text.components(separatedBy: "refused").count == 3, "\(text) \(outcome.errors)")
      #expect(outcome.errors.contains("is damaged") && outcome.errors.contains("1 of 4 jobs not finished"))
      #expect(try bench.pixels("out.nut") == bench.pixels("plain.nut"))
    }

    /// A job whose windows cannot be kept is not done.
    @Test func aWindowThatCannotBeKeptIsAFailure() throws {
      let outcome = try bench.run(
        Self.plan + """
          plan; "$FATEZERO" run-job 2 > /dev/null; cp -r fatezero-jobs copy
          for file in copy/windows/*.safetensors; do rm $file; mkdir $file; done
          rm copy/jobs/*/done.json
          "$FATEZERO" run-job 2 --folder copy
          """)
      #expect(outcome.status == 65 && String(decoding: outcome.output, as: UTF8.self).contains("\"failed\""))
    }

    @Test func windowsThatFollowEachOtherAreOneJob() throws {
      let outcome = try bench.succeed(Self.plan + "plan --frame-coupling self+previous")
      #expect(outcome.errors.contains("cannot run side by side") && outcome.output == Data("1\n".utf8))
    }

    @Test(arguments: [
      ("plan --clip-length 0", "set clip-length", 64), ("plan --report r", "--report is of an edit in one piece", 64),
      ("plan --cache", "leave --cache and --resume out", 64), ("plan --windows-per-job 0", "1 or more", 64),
      ("\"$FATEZERO\" plan-jobs long.nut - \"${edit_options[@]}\"", "must be files", 64),
      ("plan; \"$FATEZERO\" run-job 5", "there is no job 5", 64),
      ("\"$FATEZERO\" run-job 1", "fatezero-jobs holds no jobs", 66), ("\"$FATEZERO\" join", "holds no jobs", 66),
      ("plan; echo '{' > fatezero-jobs/plan.json; \"$FATEZERO\" join", "plan.json is damaged", 65),
      ("plan; sed -i 's/\"version\" : \"/&9/' fatezero-jobs/plan.json; \"$FATEZERO\" join", "plan the jobs anew", 65),
      ("plan; frames 8 3 64x64 > long.nut; \"$FATEZERO\" run-job 4", "has 3 frames only", 65),
      ("\"$FATEZERO\" plan-jobs long.nut long.nut \"${edit_options[@]}\"", "long.nut", 64),
      ("\"$FATEZERO\" plan-jobs long.nut none/out.nut \"${edit_options[@]}\"", "none", 73),
      ("echo 'clips: [in.nut]' > j.yaml; \"$FATEZERO\" plan-jobs j.yaml --steps 3", "only --folder can be given", 64),
      ("plan > /dev/full", "standard output: No space left on device", 74),
      (
        "plan; sed -zi 's/\\[[^]]*\\]\\(, *\\)*\\n *\\[/[ [9223372036854775807, 9223372036854775807],[/2' fatezero-jobs/plan.json; \"$FATEZERO\" run-job 1",
        "plan.json is damaged", 65
      ),
    ])
    func whatCannotBeSharedOutIsSaid(_ script: String, _ words: String, _ status: Int32) throws {
      let outcome = try bench.run(Self.plan + script)
      #expect(outcome.status == status && outcome.errors.contains(words), "\(outcome.errors)")
    }

    /// On one host, with the daemons of Debian's packages, in a folder of their own.
    @Test func anArrayOfSlurmMakesTheClip() throws {
      let outcome = try bench.succeed(
        Self.plan + """
          cp "\(Workbench.root)/Tests/EndToEndTests/Programs/slurm.sh" . && . ./slurm.sh
          slurm_start "$PWD/slurm" 27000
          trap 'slurm_stop "$PWD/slurm"' EXIT
          export OMP_WAIT_POLICY=passive
          n=$(plan --threads 1)
          array=$(sbatch --parsable --array=1-$n --wrap '"$FATEZERO" run-job $SLURM_ARRAY_TASK_ID')
          sbatch --wait --dependency=afterok:$array --wrap '"$FATEZERO" join'
          cat slurm-*.out >&2
          ls slurm-${array}_*.out | wc -l
          plain --threads 1
          """, seconds: 300)
      let text = String(decoding: outcome.output, as: UTF8.self)
      #expect(text.hasSuffix("4\n"), "\(text)")
      #expect(outcome.errors.contains("\"event\":\"finished\",\"job\":4"), "\(outcome.errors)")
      #expect(try bench.pixels("out.nut").count == 7 * 64 * 64 * 3)
      #expect(try bench.pixels("out.nut") == bench.pixels("plain.nut"))
    }
  }
}
