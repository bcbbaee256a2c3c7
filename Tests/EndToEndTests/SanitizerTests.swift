import TestSupport
import Testing

extension EndToEndTests {
  /// Programs in C and the library with a sanitizer compiled into both: what `make sanitized` left in .build-address and
  /// .build-thread.
  struct SanitizerTests {
    private let bench: Workbench

    enum Sanitizer: String, CaseIterable {
      case address, thread
    }

    init() throws {
      bench = try Workbench()
      for sanitizer in Sanitizer.allCases {
        try #require(
          bench.run("test -e '\(Self.folder(sanitizer))/libFateZero.so'").status == 0,
          "these tests need `make sanitized` before")
      }
    }

    private static func folder(_ sanitizer: Sanitizer) -> String {
      "\(Workbench.root)/.build-\(sanitizer.rawValue)/release"
    }

    /// Builds `program` of a file of the repository, and runs `script`. Whatever a sanitizer finds makes it end with 99.
    private func run(_ source: String, _ sanitizer: Sanitizer, _ script: String) throws -> Outcome {
      let folder = Self.folder(sanitizer)
      return try bench.run(
        """
        clang -g -O1 -std=c99 -Wall -Wextra -Werror -fsanitize=\(sanitizer.rawValue) \
          -I '\(Workbench.root)/CShims/CFateZero/include' -c '\(Workbench.root)/\(source)' -o program.o
        # The compiler that made the library knows which run-time libraries the sanitizer needs.
        swiftc -sanitize=\(sanitizer.rawValue) -use-ld=lld program.o -L '\(folder)' -lFateZero \
          -Xlinker -rpath -Xlinker '\(folder)' -o program
        export ASAN_OPTIONS=exitcode=99:detect_leaks=1 TSAN_OPTIONS=exitcode=99
        \(script)
        """)
    }

    /// On one thread: what several threads do in a loop of libgomp's, no sanitizer sees.
    @Test(arguments: Sanitizer.allCases)
    func theExample(sanitizer: Sanitizer) throws {
      let outcome = try run(
        "Examples/edit-clip.c", sanitizer,
        """
        frames 12 5 101x67 | ffmpeg -v error -i - -f rawvideo -pix_fmt rgb24 in.raw
        ./program 101 67 "a [cat -> tiger] on the grass" model="$MODEL" size=64x64 steps=2 clip-length=3 threads=1 \
          < in.raw > out.raw
        cmp -s in.raw out.raw && exit 1
        test $(stat -c %s in.raw) = $(stat -c %s out.raw)
        """)
      #expect(outcome.status == 0, "\(outcome.errors)")
    }

    /// Two contexts on two threads, one of them cancelled by a third.
    @Test(arguments: Sanitizer.allCases)
    func parallelContexts(sanitizer: Sanitizer) throws {
      let outcome = try run("Tests/EndToEndTests/Programs/parallel.c", sanitizer, #"./program "$MODEL""#)
      #expect(outcome.status == 0, "\(outcome.errors)")
    }

    /// They see into the library.
    @Test(arguments: [
      (Sanitizer.address, "overrun", "heap-buffer-overflow"), (Sanitizer.thread, "race", "data race"),
    ])
    func errorsAreFound(sanitizer: Sanitizer, error: String, name: String) throws {
      let outcome = try run("Tests/EndToEndTests/Programs/wrong.c", sanitizer, "./program \(error) \"$MODEL\"")
      #expect(outcome.status == 99)
      #expect(outcome.errors.contains(name) && outcome.errors.contains("fatezero_push"), "\(outcome.errors)")
    }
  }
}
