import TestSupport
import Testing

extension EndToEndTests {
  /// The ways of `docs/service.md` to edit a stranger's clip.
  struct SandboxTests {
    private let bench: Workbench

    /// Containers seldom let others make containers.
    private static let hasSandbox =
      (try? Workbench().run("bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev true").status == 0) ?? false

    /// As it is installed: the one that lies beside the tests wants the compiler's own libraries.
    private static let tool = "\(Workbench.root)/.build/release/fatezero"

    init() throws {
      bench = try Workbench()
      try #require(bench.run("test -x '\(Self.tool)'").status == 0, "these tests need `make build` before")
    }

    private static let clip = """
      export FATEZERO='\(tool)' FATEZERO_MODEL="$MODEL"
      sandboxed() {
        input=$1 output=$2
        shift 2
        '\(Workbench.root)/Examples/sandboxed-edit.sh' "$input" "$output" -y --size 64x64 --steps 2 \
          --edit "a [cat -> tiger] on the grass" "$@"
      }
      frames 12 4 > in.nut
      mkdir results

      """

    @Test(.enabled(if: hasSandbox, "bubblewrap may not make a sandbox here")) func bubblewrap() throws {
      try bench.succeed(
        Self.clip + """
          sandboxed in.nut results/inside.y4m
          edit in.nut outside.y4m
          cmp results/inside.y4m outside.y4m
          # In less than the time of so many steps.
          if SECONDS_MOST=3 sandboxed in.nut results/late.y4m --steps 900; then exit 1; fi
          test "$(ls -A results)" = inside.y4m
          """)
    }

    @Test(.enabled(if: hasSandbox, "bubblewrap may not make a sandbox here")) func nothingElseIsThere() throws {
      try bench.succeed(
        Self.clip + """
          refused() {
            if sandboxed "$@" 2> errors; then exit 1; fi
            cat errors >&2
          }
          # A picture beside the clip, a place beside the output's folder.
          ffmpeg -v error -i in.nut -frames:v 1 mask.png
          refused in.nut results/a.y4m --mask "$PWD/mask.png"
          refused in.nut results/a.y4m --mask-output /usr/mask.y4m
          refused in.nut results/a.y4m --trace "$PWD/trace.safetensors"
          refused in.nut results/a.y4m --mask http://127.0.0.1:80/mask.png
          test -z "$(ls -A results)"
          """)
    }

    /// The unit's lines are known to systemd, and every call of an edit is one that they allow.
    @Test(.enabled(if: (try? Workbench().run("command -v systemd-analyze strace").status == 0) ?? false))
    func systemd() throws {
      try bench.succeed(
        Self.clip + #"""
          systemd-analyze verify '\#(Workbench.root)/Examples/fatezero-edit@.service' 2> warnings || { cat warnings >&2; exit 1; }
          if grep 'fatezero-edit@' warnings >&2; then exit 1; fi
          members() {
            systemd-analyze syscall-filter "$1" | tail -n +2 | grep -v '#' | while read -r name; do
              case $name in @*) members "$name" ;; *) echo "$name" ;; esac
            done
          }
          members @system-service | sort -u > allowed
          strace -f -qq -o calls "$FATEZERO" edit in.nut out.y4m --size 64x64 --steps 2 --edit "a [cat -> tiger] on the grass"
          sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' calls | sort -u > used
          grep -qx openat used
          comm -23 used allowed > refused
          if [ -s refused ]; then cat refused >&2; exit 1; fi
          """#)
    }
  }
}
