import Foundation
import Glibc
import TestSupport
import Testing

extension EndToEndTests {
  /// C programs against the library that `make sanitized` built: Swift and C are instrumented alike.
  struct SanitizerTests {
    private let bench: Workbench

    init() throws { bench = try Workbench() }

    /// `compile KIND SOURCE PROGRAM` makes a program with a sanitizer and links it with the library of the same; `edit
    /// PROGRAM` runs one like Examples/edit-clip.c on three frames.
    private func script(_ text: String) throws -> String {
      for kind in ["address", "thread"] {
        let library = "\(Workbench.root)/.build-\(kind)/release/libFateZero.so"
        try #require(access(library, R_OK) == 0, "these tests need `make sanitized` before")
      }
      return """
        ROOT='\(Workbench.root)'
        swift=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")
        compile() {
          local folder="$ROOT/.build-$1/release" runtime="$swift/lib/swift/linux"
          "$swift/bin/clang" -g -fsanitize=$1 -std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror \\
            -I"$ROOT/CShims/CFateZero/include" "$2" -o "$3" "$folder/libFateZero.so" -Wl,-rpath,"$folder" \\
            -L"$runtime" -Wl,-rpath,"$runtime" -Wl,--no-as-needed -ldispatch -lBlocksRuntime -lpthread 2> link.txt ||
            { cat link.txt >&2; return 1; }
        }
        edit() {
          frames 12 3 64x64 | ffmpeg -v error -i - -f rawvideo -pix_fmt rgb24 - |
            "./$1" 64 64 "a [cat -> tiger] on the grass" size=64x64 steps=2 threads=1 "model=$MODEL"
        }

        """ + text
    }

    @Test(arguments: ["address", "thread"])
    func theExampleIsClean(sanitizer: String) throws {
      let outcome = try bench.succeed(
        try script(#"compile \#(sanitizer) "$ROOT/Examples/edit-clip.c" edit-clip; edit edit-clip"#))
      #expect(outcome.output.count == 3 * 64 * 64 * 3)
      #expect(!outcome.errors.contains("Sanitizer"), "\(outcome.errors)")
    }

    @Test(arguments: ["address", "thread"])
    func contextsInParallelAreClean(sanitizer: String) throws {
      let outcome = try bench.succeed(
        try script(
          #"compile \#(sanitizer) "$ROOT/Tests/EndToEndTests/Programs/parallel.c" parallel; ./parallel "$MODEL""#))
      #expect(!outcome.errors.contains("Sanitizer"), "\(outcome.errors)")
    }

    /// What the tests above would say: a frame that is read beyond its end by Swift, a context that is not destroyed.
    @Test(arguments: [
      ("address", "s/status = fatezero_push/frame.height *= 2; &/", "heap-buffer-overflow"),
      ("address", "s/fatezero_destroy(context)/context = NULL/", "detected memory leaks"),
    ])
    func plantedErrorsAreFound(sanitizer: String, error: String, report: String) throws {
      let outcome = try bench.run(
        try script(
          """
          sed '\(error)' "$ROOT/Examples/edit-clip.c" > wrong.c
          ! cmp -s wrong.c "$ROOT/Examples/edit-clip.c"
          compile \(sanitizer) wrong.c wrong
          edit wrong
          """))
      #expect(outcome.status != 0)
      #expect(outcome.errors.contains(report), "\(outcome.errors)")
    }

    @Test func aPlantedRaceIsFound() throws {
      let outcome = try bench.run(
        try script(
          """
          # Progress is counted in one thread and read in another.
          sed '/pthread_mutex_\\(un\\)\\?lock/d' "$ROOT/Tests/EndToEndTests/Programs/parallel.c" |
            sed 's/while (self->steps == 0) pthread_cond_wait.*/while (self->steps == 0);/' > wrong.c
          nm -D "$ROOT/.build-thread/release/libFateZero.so" | grep __tsan_write > symbols.txt
          compile thread wrong.c wrong
          ./wrong "$MODEL"
          """))
      #expect(outcome.status != 0)
      #expect(outcome.errors.contains("ThreadSanitizer: data race"), "\(outcome.errors)")
    }
  }
}
