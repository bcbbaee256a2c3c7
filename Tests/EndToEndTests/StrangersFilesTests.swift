import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Files of other people: nothing of theirs is removed, nothing in them steers a terminal or a page, and nothing keeps the
  /// program waiting.
  struct StrangersFilesTests {
    private let bench: Workbench

    init() throws {
      bench = try Workbench()
      try bench.succeed("frames 8 2 64x64 > in.nut")
    }

    private func mode(_ name: String) throws -> Int {
      let value = try FileManager.default.attributesOfItem(atPath: bench.path(name))[.posixPermissions]
      return (value as? NSNumber)?.intValue ?? -1
    }

    /// Every file and folder below a folder of the bench.
    private func everything(below name: String) throws -> [String] {
      try FileManager.default.subpathsOfDirectory(atPath: bench.path(name)).sorted()
    }

    // MARK: - Removing

    @Test func aReportLeavesWhatItDidNotMake() throws {
      // Names like its own, a link that has one, and a folder.
      try bench.succeed(
        """
        mkdir rep photos; for n in source-photo.png mask-of-king.png result-1-final.png words-.png; do echo mine > rep/$n; done
        echo mine > photos/a.png; ln -s ../photos/a.png rep/source-link.png; ln -s ../photos rep/difference-link.png
        edit in.nut out.nut --report rep; edit in.nut out.nut -y --report rep
        test -e rep/source-0001.png; test -e rep/index.html
        edit in.nut out.nut -y --report rep --frames 1; test ! -e rep/source-0002.png
        for n in source-photo.png mask-of-king.png result-1-final.png words-.png source-link.png difference-link.png/a.png; do
          test "$(cat rep/$n)" = mine
        done
        """)
      #expect(try mode("rep/index.html") == 0o600 && mode("rep/source-0001.png") == 0o600)
      // What stands in a picture's place costs the report, and not the edit.
      let outcome = try bench.succeed(
        """
        mkdir other; echo mine > other/source-0002.png; edit in.nut 2.nut --report other
        test "$(cat other/source-0002.png)" = mine; test ! -e other/index.html; test -e 2.nut
        """)
      #expect(outcome.errors.contains("warning: there is no report") && outcome.errors.contains("source-0002.png"))
      // A page that is not the program's is not replaced, even where that is asked for.
      let page = try bench.run("mkdir site; echo mine > site/index.html; edit in.nut 3.nut -y --report site")
      #expect(page.status == 73 && page.errors.contains("did not make it"), "\(page.errors)")
      #expect(try bench.contents("site/index.html") == Data("mine\n".utf8) && !bench.exists("3.nut"))
    }

    @Test func aCacheLeavesWhatItDidNotMake() throws {
      try bench.succeed(
        """
        mkdir photos; echo mine > photos/a.safetensors; echo mine > photos/entry.json
        edit in.nut out.nut --cache cache
        key=$(basename "$(dirname cache/*/latents.safetensors)")
        ln -s ../photos cache/x.partial; ln -s ../photos cache/0123456789abcdef0123456789abcdef
        mkdir cache/fedcba9876543210fedcba9876543210 cache/y.partial
        for n in fedcba9876543210fedcba9876543210/entry.json y.partial/a fedcba9876543210fedcba9876543210.lock; do
          echo mine > cache/$n
        done
        echo mine > cache/$key/notes.txt; echo mine > cache/windows/mine.safetensors
        ln -s ../../photos/a.safetensors cache/windows/link.safetensors
        edit in.nut out.nut -y --cache cache --cache-size 40k; "$FATEZERO" cache verify --cache cache --remove
        "$FATEZERO" cache prune --cache cache --cache-size 0
        test ! -e cache/$key/latents.safetensors; test ! -e cache/$key/entry.json
        for n in fedcba9876543210fedcba9876543210/entry.json y.partial/a $key/notes.txt windows/mine.safetensors \
          fedcba9876543210fedcba9876543210.lock x.partial/a.safetensors; do
          test "$(cat cache/$n)" = mine
        done
        test "$(cat photos/a.safetensors photos/entry.json | sort -u)" = mine
        """)
    }

    @Test func whatIsKeptIsItsUsersAlone() throws {
      try bench.succeed(
        """
        umask 000; edit in.nut out.nut --cache cache --resume --report rep
        printf 'clips: [in.nut]\\nextension: nut\\nedits: ["a [cat -> dog] on the grass"]\\nsettings: {model: "%s", size: 64x64, steps: 2}\\n' \
          "$MODEL" > jobs.yaml
        "$FATEZERO" batch jobs.yaml > /dev/null
        "$FATEZERO" plan-jobs in.nut o.nut --model "$MODEL" --size 64x64 --steps 2 --edit "a [cat -> dog] on the grass" > /dev/null
        "$FATEZERO" run-job 1 > /dev/null
        """)
      for folder in ["cache", "rep", "jobs-results", "fatezero-jobs"] {
        #expect(try mode(folder) == 0o700, "\(folder)")
        for name in try everything(below: folder) {
          var isFolder: ObjCBool = false
          _ = FileManager.default.fileExists(atPath: bench.path("\(folder)/\(name)"), isDirectory: &isFolder)
          // The clips of a batch are outputs like any other.
          let wanted = isFolder.boolValue ? 0o700 : name.hasSuffix(".nut") ? 0o666 : 0o600
          #expect(try mode("\(folder)/\(name)") == wanted, "\(folder)/\(name)")
        }
      }
    }

    @Test func aBatchReplacesOnlyWhatItMade() throws {
      func jobs(_ edits: String) throws {
        let yaml =
          "clips: [in.nut]\nextension: nut\nedits: [\(edits)]\nsettings: {model: \"\(Workbench.model)\", size: 64x64, steps: 2}\n"
        try Data(yaml.utf8).write(to: URL(filePath: bench.path("jobs.yaml")))
      }
      try jobs("a dog")
      try bench.succeed("\"$FATEZERO\" batch jobs.yaml > /dev/null; echo mine > jobs-results/in_a-fox.nut")
      try jobs("a dog, a fox")
      let outcome = try bench.run("\"$FATEZERO\" batch jobs.yaml > /dev/null")
      #expect(outcome.status == 73 && outcome.errors.contains("in_a-fox.nut exists already"), "\(outcome.errors)")
      #expect(try bench.contents("jobs-results/in_a-fox.nut") == Data("mine\n".utf8))
      for name in ["index.html", "plan.json", "in_a-dog.nut"] {
        try bench.succeed("rm -rf jobs-results; mkdir jobs-results; echo mine > jobs-results/\(name)")
        try jobs("a dog")
        let outcome = try bench.run("\"$FATEZERO\" batch jobs.yaml > /dev/null")
        #expect(outcome.status == 73 && outcome.errors.contains("--output"), "\(outcome.errors)")
        #expect(try bench.contents("jobs-results/\(name)") == Data("mine\n".utf8))
      }
    }

    @Test(arguments: ["record-dir", "memory-limit", "threads", "record"])
    func aModelDoesNotSayWhatOfTheMachineIsUsed(_ name: String) throws {
      let outcome = try bench.run(
        """
        cp -r "$MODEL" model; chmod -R u+w model
        echo '{"\(name)": "1"}' > model/fatezero.json; edit in.nut out.nut --model model
        """)
      #expect(outcome.status == 65 && outcome.errors.contains("\(name): a model's fatezero.json cannot set this"))
    }

    // MARK: - What is left

    /// Killed at once, a run cleans nothing; the next one of the same output does.
    @Test(arguments: ["out.nut", "pictures/", "old/"]) func theNextRunRemovesWhatAKilledOneLeft(_ output: String) throws
    {
      let outcome = try bench.succeed(
        """
        mkdir old; frames 8 40 64x64 > long.nut
        "$FATEZERO" edit long.nut \(output) --model "$MODEL" --size 64x64 --steps 2 --clip-length 1 --edit "a dog" -y \
          2> log & job=$!
        left() { compgen -G ".*fatezero-*" || compgen -G "old/.fatezero-*"; }
        until left && grep -q "decoding" log; do sleep 0.01; kill -0 $job; done
        kill -9 $job; wait $job || true
        left
        mkdir .out.nut.fatezero-1-1 .pictures.fatezero-1-1 old/.fatezero-1-1; echo mine > .out.nut.fatezero-1-1/a
        echo mine > .out.nut.fatezero-mine; echo mine > old/.fatezero-1-1/a; echo mine > .pictures.fatezero-1-1/a
        edit in.nut \(output) -y
        """)
      #expect(!outcome.output.isEmpty)
      #expect(
        try bench.leftovers().sorted() == [".out.nut.fatezero-1-1", ".out.nut.fatezero-mine", ".pictures.fatezero-1-1"])
      #expect(try everything(below: "old").filter { $0.hasPrefix(".") } == [".fatezero-1-1", ".fatezero-1-1/a"])
      #expect(bench.exists(".out.nut.fatezero-1-1/a") && bench.exists(".pictures.fatezero-1-1/a"))
    }

    @Test func aHangUpEndsARunLikeATermination() throws {
      let outcome = try bench.run(
        """
        frames 8 40 64x64 > long.nut
        "$FATEZERO" edit long.nut out.nut --model "$MODEL" --size 64x64 --steps 40 --clip-length 1 --edit "a dog" & job=$!
        until compgen -G ".out.nut.fatezero-*"; do sleep 0.01; kill -0 $job; done
        kill -HUP $job; wait $job
        """)
      #expect(outcome.status == 129 && !bench.exists("out.nut"), "\(outcome.errors)")
      #expect(try bench.leftovers() == [])
      // Who asked for that is not disturbed.
      try bench.succeed(
        """
        nohup "$FATEZERO" edit long.nut out.nut --model "$MODEL" --size 64x64 --steps 2 --clip-length 1 --edit "a dog" > log 2>&1 &
        job=$!; until compgen -G ".out.nut.fatezero-*"; do sleep 0.01; kill -0 $job; done
        kill -HUP $job; wait $job; test -e out.nut
        """)
    }

    // MARK: - Pages

    @Test(arguments: [
      "\"\u{301} onload=document.title=`PWNED` x", "'\u{20dd}><script>document.title='PWNED'</script>",
      "<\u{338}b>&\u{fe0f}lt;\u{1b}c\u{202e}x",
    ])
    func aPromptIsNoCode(_ prompt: String) throws {
      try Data(prompt.utf8).write(to: URL(filePath: bench.path("prompt")))
      let outcome = try bench.succeed(
        """
        "$FATEZERO" edit in.nut out.nut --model "$MODEL" --size 64x64 --steps 2 --source "a cat" --edit "a dog $(cat prompt)" --report rep
        { printf "clips: [in.nut]\\nextension: nut\\nsettings: {model: '%s', size: 64x64, steps: 2}\\nedits:\\n- |-\\n  a dog " "$MODEL"
          tr '\\033' ' ' < prompt; echo; } > jobs.yaml
        "$FATEZERO" batch jobs.yaml -o batch > /dev/null
        for page in rep batch; do
          chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" --virtual-time-budget=3000 \
            --dump-dom "file://$PWD/$page/index.html" 2> /dev/null > $page.dom
          grep -o '<title>[^<]*</title>' $page.dom; grep -c 'class="on"' $page.dom
        done
        ! grep -lP '\\x1b|\\xe2\\x80\\xae' rep/index.html batch/index.html
        grep -o '<output id="frame">[^<]*' rep.dom
        """)
      let text = String(decoding: outcome.output, as: UTF8.self)
      #expect(!text.contains("<title>PWNED") && text.contains("<title>a dog "), "\(text)")
      // The page's own script ran.
      #expect(text.contains("<output id=\"frame\">frame "), "\(text)")
    }

    // MARK: - Terminal

    @Test func nothingSteersTheTerminal() throws {
      let name = "clip\u{1b}]0;x\u{7}\u{9b}31m\u{202e}.nut"
      try FileManager.default.copyItem(atPath: bench.path("in.nut"), toPath: bench.path(name))
      let outcome = try bench.run(
        """
        edit clip*.nut out.mp4 --frames 1; "$FATEZERO" plan clip*.nut --model "$MODEL" --edit a || true
        "$FATEZERO" inspect clip*.nut || true; "$FATEZERO" plan clip*.nut extra --nonsense "$(printf '\\033[2J')" || true
        edit clip*.nut "$(printf 'x\\nfatezero: done\\033.nut')" --frames 1; edit nowhere/clip*.nut o.nut || true
        echo "$(printf 'clips: [in.nut]\\nedits: [a]\\nsettings: {"\\\\e[31m": 1}')" > j.yaml; "$FATEZERO" batch j.yaml || true
        edit in.nut c.nut --cache c --source "$(printf 'a \\033[31mcat \\302\\233')" --edit "a dog"; "$FATEZERO" cache list --cache c
        """)
      for bytes in [outcome.output, Data(outcome.errors.utf8)] {
        let scalars = String(decoding: bytes, as: UTF8.self).unicodeScalars
        #expect(!scalars.contains { $0 != "\n" && $0.properties.generalCategory == .control }, "\(outcome.errors)")
        #expect(!scalars.contains("\u{202e}"))
      }
      #expect(outcome.errors.contains("\\u{1b}]0;x\\u{7}\\u{9b}31m\\u{202e}"), "\(outcome.errors)")
      #expect(!outcome.errors.split(separator: "\n").contains("fatezero: done"), "\(outcome.errors)")
    }

    // MARK: - Output

    @Test(arguments: [
      "--help", "--version", "help edit", "edit --help", "--generate-completion-script bash",
      "plan --model \"$MODEL\" --edit a",
      "inspect \"$MODEL\"", "metrics in.nut in.nut", "metrics in.nut in.nut --json -", "cache list --cache c",
      "cache verify --cache c",
      "cache prune --cache c", "ffmpeg-filter --edit \"a [cat -> tiger]\"", "batch jobs.yaml",
      "plan-jobs in.nut o.nut --model \"$MODEL\" --size 64x64 --steps 2 --edit \"a dog\"",
    ])
    func aFullStandardOutputIsAnError(_ command: String) throws {
      let outcome = try bench.run(
        """
        mkdir c; printf 'clips: [in.nut]\\nextension: nut\\nedits: [a dog]\\nsettings: {model: "%s", size: 64x64, steps: 2}\\n' "$MODEL" > jobs.yaml
        "$FATEZERO" \(command) > /dev/full
        """)
      #expect(outcome.status == 74 && outcome.errors.contains("standard output"), "\(outcome.status) \(outcome.errors)")
    }

    @Test func aFullDiskCostsTheReportAndNotTheEdit() throws {
      let outcome = try bench.run(
        """
        mkdir small; mount -t tmpfs -o size=64k tmpfs small || exit 99
        trap 'umount small' EXIT
        edit in.nut out.nut --report small/rep; edit in.nut 2.nut --cache small/cache
        test -e out.nut; test -e 2.nut; test ! -e small/rep/index.html
        """)
      // Where nobody may mount.
      if outcome.status == 99 { return }
      #expect(outcome.status == 0 && outcome.errors.contains("warning"), "\(outcome.errors)")
    }

    // MARK: - Waiting

    @Test func nothingIsWaitedForInVain() throws {
      let outcome = try bench.run(
        """
        python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'; mkfifo fifo fifo.safetensors config.yaml
        set +e; "$FATEZERO" edit in.nut socket --model "$MODEL" --edit a; echo $?
        "$FATEZERO" edit socket out.nut --model "$MODEL" --edit a; echo $?
        "$FATEZERO" edit in.nut out.nut --model fifo.safetensors --edit a; echo $?
        "$FATEZERO" edit in.nut out.nut --model "$MODEL" --lora fifo.safetensors --edit a; echo $?
        "$FATEZERO" inspect fifo; echo $?
        for command in "edit in.nut fifo --model $MODEL --edit a" "edit in.nut out.nut --config config.yaml" \
          "edit in.nut out.nut --progress fifo --model $MODEL --edit a" "batch config.yaml"; do
          "$FATEZERO" $command > /dev/null & job=$!; sleep 2; kill -INT $job; wait $job; echo $?
        done
        """, seconds: 120)
      let statuses = String(decoding: outcome.output, as: UTF8.self).split(separator: "\n")
      #expect(statuses == ["73", "66", "69", "69", "69", "130", "130", "130", "130"], "\(statuses) \(outcome.errors)")
    }

    // MARK: - Memory

    /// Small files of huge pictures: refused before they are decoded.
    @Test(arguments: ["png", "jpg", "tiff"]) func hugePicturesAreRefusedFirst(_ kind: String) throws {
      try bench.succeed(
        """
        mkdir huge
        ffmpeg -v error -f lavfi -i color=black:size=12000x12000 -frames:v 1 \(kind == "png" ? "-pix_fmt monob" : "") huge/1.\(kind)
        """)
      for place in ["huge/1.\(kind)", "huge"] {
        for command in ["edit \(place) out.png", "edit in.nut out.nut --mask \(place)"] {
          let outcome = try bench.start(
            """
            exec "$FATEZERO" \(command) --model "$MODEL" --size 64x64 --steps 2 --memory-limit 512M \
              --edit "a [cat -> tiger] on the grass"
            """
          ).wait()
          print("\(command): \(outcome.peakMemory) KiB")
          #expect(outcome.status == 71 && outcome.errors.contains("12000x12000"), "\(outcome.errors)")
          #expect(outcome.peakMemory < 512 << 10)
        }
      }
    }

    /// Cut while it is open: an error, or an edit of what was read before.
    @Test func aModelThatIsCutEndsTheEdit() throws {
      let outcome = try bench.succeed(
        """
        cp -r "\(Workbench.root)/Models/toyworld" model; chmod -R u+w model
        weights=model/unet/diffusion_pytorch_model.safetensors; cp $weights whole
        for wait in 0 0 0 0.02 0.05 0.1 0.2; do
          cp whole $weights
          "$FATEZERO" edit in.nut out.nut -y --model model --size 64x64 --steps 1 --edit "a dog" 2> log & job=$!
          while kill -0 $job 2> /dev/null && ! grep -q diffusion_pytorch <(ls -l /proc/$job/fd 2> /dev/null); do :; done
          sleep $wait
          truncate -s 100000 $weights
          status=0; wait $job || status=$?
          echo $status
          [ $status = 0 ] || grep -q "diffusion_pytorch_model.safetensors" log
        done
        """, seconds: 120)
      let statuses = String(decoding: outcome.output, as: UTF8.self).split(separator: "\n")
      print("cut while it was read: \(statuses)")
      #expect(statuses.count == 7 && Set(statuses).isSubset(of: ["0", "65"]), "\(statuses)")
    }

    // MARK: - Time

    @Test func filesThatTakeLongAreRefused() throws {
      func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: URL(filePath: bench.path(name)))
      }
      let anchors = (0..<50_000).map { "&a\($0) 1" }.joined(separator: ",")
      try write("clips: [x.mp4]\nedits: [a]\nz: [\(anchors)]\n", to: "anchors.yaml")
      try write("clips: [in.nut]\nedits: [\(String(repeating: "a,", count: 60_000))a]\n", to: "same.yaml")
      try write("clips: [in.nut]\nedits:\n" + String(repeating: "- {edit: a}\n", count: 50_000), to: "mappings.yaml")
      try write("clips: [x.mp4]\nedits: [a]\nz: " + String(repeating: "[", count: 200_000), to: "deep.yaml")
      for (name, words) in [
        ("anchors", "more than 1000 anchors"), ("same", "must be there once"), ("mappings", "must be there once"),
        ("deep", "nested more than 100 levels"),
      ] {
        let outcome = try bench.run("\"$FATEZERO\" batch \(name).yaml -o out", seconds: 60)
        #expect(outcome.status == 65 && outcome.errors.contains(words), "\(outcome.errors)")
        #expect(!bench.exists("out"))
      }
    }
  }
}
