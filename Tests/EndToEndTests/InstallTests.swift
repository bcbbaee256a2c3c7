import Foundation
import Glibc
import TestSupport
import Testing

extension EndToEndTests {
  /// What `make build` left in .build/release, installed by `make install`.
  struct InstallTests {
    private let bench: Workbench

    /// What is installed under the prefix where nothing else is said.
    private static let files = [
      "bin/fatezero", "include/fatezero.h", "lib/frei0r-1/fatezero.so", "lib/gstreamer-1.0/libgstfatezero.so",
      "lib/libfatezero.so", "lib/libfatezero.so.0", "lib/pkgconfig/fatezero.pc",
      "share/gstreamer-1.0/presets/GstFateZero.prs", "share/bash-completion/completions/fatezero",
      "share/fish/vendor_completions.d/fatezero.fish",
      "share/man/man1/fatezero.1", "share/zsh/site-functions/_fatezero",
    ]

    private let version: String

    init() throws {
      bench = try Workbench()
      version = String(decoding: try bench.succeed(#"printf %s "$("$FATEZERO" --version)""#).output, as: UTF8.self)
      try #require(
        access("\(Workbench.root)/.build/release/libfatezero.so.0", R_OK) == 0, "these tests need `make build` before")
    }

    /// Runs a script with `$ROOT`, the repository.
    @discardableResult
    private func succeed(_ script: String) throws -> Outcome {
      try bench.succeed("ROOT='\(Workbench.root)'\n" + script)
    }

    private func lines(_ script: String) throws -> [String] {
      String(decoding: try succeed(script).output, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private static let models: [String] = {
      let names = (try? FileManager.default.subpathsOfDirectory(atPath: "\(Workbench.root)/Models")) ?? []
      return names.filter { [".json", ".txt", ".safetensors", ".md", "LICENSE"].contains(where: $0.hasSuffix) }
        .map { "share/fatezero/models/\($0)" }
    }()

    @Test func everythingIsWhereItBelongs() throws {
      let told = try lines(#"make -s -C "$ROOT" install DESTDIR="$PWD/stage" PREFIX=/opt/fatezero"#)
      for variable in [
        "PATH", "LD_LIBRARY_PATH", "PKG_CONFIG_PATH", "GST_PLUGIN_PATH", "GST_PRESET_PATH", "FREI0R_PATH",
      ] {
        #expect(told.contains { $0.contains("export \(variable)=/opt/fatezero/") }, "\(variable) in \(told)")
      }
      let found = try lines("cd stage/opt/fatezero; find . -type f -o -type l | sed 's,^./,,'")
      #expect(found.sorted() == (Self.files + ["lib/libfatezero.so.\(version)"] + Self.models).sorted())
      for model in ["toyworld", "clip"] {
        #expect(Self.models.contains { $0.hasPrefix("share/fatezero/models/\(model)/") })
      }
      // Readable for everybody, and nothing but the command to be run.
      let modes = try lines("cd stage; find . -type f -printf '%m %P\\n' | grep -v '^644 '")
      #expect(modes == ["755 opt/fatezero/bin/fatezero"])
      #expect(
        try lines("readlink stage/opt/fatezero/lib/libfatezero.so stage/opt/fatezero/lib/libfatezero.so.0")
          == ["libfatezero.so.0", "libfatezero.so.\(version)"])
      #expect(try lines("ls stage") == ["opt"])

      try succeed(#"make -s -C "$ROOT" uninstall DESTDIR="$PWD/stage" PREFIX=/opt/fatezero"#)
      #expect(try lines("find stage -type f -o -type l -o -name 'fatezero' -path '*/share/*'") == [])
    }

    /// Where Debian has it: GStreamer's own folder, without anything to be told to programs.
    @Test func theSystemsPrefix() throws {
      let told = try lines(
        """
        make -s -C "$ROOT" install DESTDIR="$PWD/stage" PREFIX=/usr LIBDIR=/usr/lib/$(gcc -print-multiarch)
        test -f "stage$(pkg-config --variable=pluginsdir gstreamer-1.0)/libgstfatezero.so"
        test -f stage/usr/lib/frei0r-1/fatezero.so
        export "PKG_CONFIG_PATH=$PWD/stage/usr/lib/$(gcc -print-multiarch)/pkgconfig"
        pkg-config --modversion fatezero
        pkg-config --libs fatezero
        """)
      #expect(!told.contains { $0.contains("export") }, "\(told)")
      #expect(told.suffix(2).first == version)
      #expect(try lines("cd stage; ls") == ["usr"])
    }

    @Test func nothingToInstallIsSaid() throws {
      let outcome = try bench.run("make -s -C '\(Workbench.root)' install BUILT=\"$PWD\" DESTDIR=\"$PWD/stage\"")
      #expect(outcome.status != 0)
      #expect(outcome.errors.contains("make build"), "\(outcome.errors)")
      #expect(!bench.exists("stage"))
    }

    /// The library exports the functions of its header, the plug-ins what their hosts call; none knows where it was
    /// built, or needs more than the system has.
    @Test func whatIsInsideOfTheLibraries() throws {
      try succeed(#"make -s -C "$ROOT" install DESTDIR="$PWD/stage" PREFIX=/opt/fatezero; mv stage/opt/fatezero there"#)
      let header = String(decoding: try bench.contents("there/include/fatezero.h"), as: UTF8.self)
      let code = header.replacing(/(?s)\/\*.*?\*\//, with: "")
      let interface = Set(code.matches(of: /(fatezero_\w+)\(/).map { String($0.1) })
      #expect(interface.count >= 20)
      func exported(_ file: String) throws -> Set<String> {
        Set(try lines("nm -D --defined-only --extern-only there/\(file) | sed 's/.* //'"))
      }
      #expect(try exported("lib/libfatezero.so") == interface)
      #expect(
        try exported("lib/frei0r-1/fatezero.so")
          == [
            "f0r_init", "f0r_deinit", "f0r_get_plugin_info", "f0r_get_param_info", "f0r_construct", "f0r_destruct",
            "f0r_set_param_value", "f0r_get_param_value", "f0r_update",
          ])
      #expect(
        try exported("lib/gstreamer-1.0/libgstfatezero.so")
          == ["gst_plugin_fatezero_get_desc", "gst_plugin_fatezero_register"])

      let places = [
        "bin/fatezero", "lib/libfatezero.so", "lib/frei0r-1/fatezero.so", "lib/gstreamer-1.0/libgstfatezero.so",
      ]
      for file in places {
        let dynamic = try lines("readelf -d there/\(file)")
        #expect(!dynamic.contains { $0.contains("RUNPATH") || $0.contains("RPATH") }, "\(file)")
        #expect(!dynamic.contains { $0.contains("libswift") || $0.contains("libFoundation") }, "\(file)")
        #expect(try lines("strings there/\(file) | grep -F \"$ROOT\" || true") == [], "\(file)")
      }
      #expect(
        try lines("readelf -d there/lib/libfatezero.so | grep SONAME").first?.contains("[libfatezero.so.0]") == true)
    }

    /// Installed, moved, and run from elsewhere with an empty environment: every door finds the installed model, and all
    /// give the same frames.
    @Test func everyDoorOfAMovedInstallationOpens() throws {
      try succeed(
        #"""
        make -s -C "$ROOT" install PREFIX="$PWD/first" > /dev/null
        export PKG_CONFIG_PATH="$PWD/first/lib/pkgconfig"
        cc -Wall -Wextra -Werror -std=c99 "$ROOT/Examples/edit-clip.c" $(pkg-config --cflags --libs fatezero) -o edit-clip
        mv first "second place"
        there="$PWD/second place"
        frames 12 3 64x64 > in.nut
        ffmpeg -v error -i in.nut -f rawvideo -pix_fmt rgb24 in.raw
        clean() { env -i PATH=/usr/bin:/bin HOME="$PWD" "$@"; }
        edit="a [cat -> tiger] on the grass"

        clean "$there/bin/fatezero" inspect | sed -n 1p
        clean "$there/bin/fatezero" edit in.nut command.raw --output-format rawvideo --size 64x64 --steps 2 --edit "$edit"

        clean LD_LIBRARY_PATH="$there/lib" ./edit-clip 64 64 "$edit" size=64x64 steps=2 < in.raw > library.raw
        clean LD_LIBRARY_PATH="$there/lib" python3 "$ROOT/Examples/edit_clip.py" in.nut python.mp4 "$edit" size=64x64 steps=2

        graph=$(clean "$there/bin/fatezero" ffmpeg-filter --input in.nut --size 64x64 --steps 2 --edit "$edit" 2> hint.txt)
        grep -F "FREI0R_PATH=$there/lib/frei0r-1" hint.txt
        clean FREI0R_PATH="$there/lib/frei0r-1" \
          ffmpeg -v error -i in.nut -vf "$graph" -f rawvideo -pix_fmt rgb24 filter.raw

        clean GST_PLUGIN_PATH="$there/lib/gstreamer-1.0" GST_REGISTRY="$PWD/registry" gst-launch-1.0 -q \
          filesrc location=in.raw ! rawvideoparse width=64 height=64 format=rgb framerate=12/1 ! \
          fatezero edit="$edit" size=64x64 steps=2 ! filesink location=element.raw
        clean GST_PLUGIN_PATH="$there/lib/gstreamer-1.0" GST_REGISTRY="$PWD/registry" \
          GST_PRESET_PATH="$there/share/gstreamer-1.0/presets" gst-inspect-1.0 fatezero | grep -F '"style"'
        """#)
      let expected = try bench.contents("command.raw")
      #expect(expected.count == 3 * 64 * 64 * 3)
      #expect(expected != (try bench.contents("in.raw")))
      for door in ["library", "filter", "element"] {
        #expect(try bench.contents("\(door).raw") == expected, "\(door)")
      }
      // The Python example compresses: close to the command's frames, not to the source's.
      let compressed = try bench.pixels("python.mp4")
      try #require(compressed.count == expected.count)
      func distance(_ frames: Data) -> Double {
        zip(compressed, frames).reduce(0) { $0 + abs(Double($1.0) - Double($1.1)) } / Double(frames.count)
      }
      let (edited, source) = (distance(expected), distance(try bench.contents("in.raw")))
      print("the Python example: \(edited) levels from the command's frames, \(source) from the source's")
      #expect(edited < source / 4)
    }
  }
}
