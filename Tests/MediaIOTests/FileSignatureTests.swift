import Glibc
import Testing

@testable import MediaIO

/// What is given as a clip and is none is called by its name.
@Suite struct FileSignatureTests {
  private func error(_ workspace: Workspace, _ name: String) throws -> MediaError {
    try mediaError {
      let reader = try MediaReader(path: workspace.path(name))
      while try reader.nextFrame() != nil {}
    }
  }

  /// An animated WebP of two frames of one pixel (VP8L), as RIFF has it.
  private static func animatedWebP() -> [UInt8] {
    func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
      let count = data.count
      return Array(name.utf8) + (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + data
        + (count % 2 == 0 ? [] : [0])
    }
    let picture = chunk(
      "VP8L", [0x2f, 0, 0, 0, 0, 0x07, 0xd0, 0xff, 0xfe, 0xf7, 0xbf, 0xff, 0x81, 0x88, 0xe8, 0x7f, 0, 0])
    let frame = chunk("ANMF", [UInt8](repeating: 0, count: 12) + [100, 0, 0, 0] + picture)
    let body =
      Array("WEBP".utf8) + chunk("VP8X", [2, 0, 0, 0, 0, 0, 0, 0, 0, 0]) + chunk("ANIM", [0, 0, 0, 0, 0, 0]) + frame
      + frame
    return chunk("RIFF", body)
  }

  @Test func animatedWebPIsNamed() throws {
    let workspace = try Workspace()
    try workspace.write(Self.animatedWebP(), to: "in.webp")
    try workspace.write(Self.animatedWebP(), to: "in.mp4")
    #expect(mkdir(workspace.path("folder"), 0o700) == 0)
    try workspace.write(Self.animatedWebP(), to: "folder/1.webp")
    for name in ["in.webp", "in.mp4", "folder"] {
      let error = try error(workspace, name)
      print(error)
      #expect(error.kind == .badData && error.description.contains("an animated WebP"))
      #expect(error.description.contains("make a GIF, an APNG or pictures"))
    }
    // A still one is a picture like any other.
    try workspace.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=16x16", "-frames:v", "1", workspace.path("still.webp"))
    #expect(try workspace.pass("still.webp", to: "out.png").frames.count == 1)
  }

  @Test func filesOfOtherKinds() throws {
    let workspace = try Workspace()
    let header = Array("{\"weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}".utf8)
    let zeros = [UInt8](repeating: 0, count: 5000)
    let files: [(String, [UInt8], String)] = [
      ("model.safetensors", [UInt8(header.count), 0, 0, 0, 0, 0, 0, 0] + header + [0, 0, 0, 0], "safetensors"),
      ("clip.mp4", [UInt8(header.count), 0, 0, 0, 0, 0, 0, 0] + header + zeros, "safetensors"),
      ("model.gguf", Array("GGUF".utf8) + [3, 0, 0, 0] + zeros, "GGUF"),
      (
        "model.ckpt", Array("PK\u{3}\u{4}".utf8) + [20, 0] + zeros[..<20] + Array("archive/data.pkl".utf8) + zeros,
        "PyTorch"
      ),
      ("old.pt", [0x80, 2, 0x8a, 10] + zeros, "pickle"),
      ("clip.zip", Array("PK\u{3}\u{4}".utf8) + zeros, "ZIP"),
      ("clip.tar.gz", [0x1f, 0x8b, 8, 0] + zeros, "gzip"),
      ("clip.tar", zeros[..<257] + Array("ustar".utf8) + zeros, "tar"),
      ("paper.pdf", Array("%PDF-1.7\n%".utf8) + [0xe2, 0xe3] + zeros, "PDF"),
      ("photo.heic", [0, 0, 0, 24] + Array("ftypheic".utf8) + zeros, "HEIF"),
      ("frames.npy", [0x93] + Array("NUMPY".utf8) + zeros, "NumPy"),
      ("video.mp4", Array("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n".utf8), "web page"),
      ("lfs.mp4", Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n".utf8), "git lfs pull"),
      ("notes.txt", Array("A cat on the grass.\n".utf8), "a text file"),
      ("art.nfo", Array("A cat\n  on the grass.\n".utf8), "a text file"),
      ("long.txt", Array(String(repeating: "Die Katze schläft. ", count: 1000).utf8), "a text file"),
      ("jobs.yaml", Array("jobs:\n  - input: a.mp4\n".utf8), "a text file"),
      ("model_index.json", Array("{\n  \"_class_name\": \"StableDiffusionPipeline\"\n}\n".utf8), "a JSON file"),
      ("wide.txt", [0xff, 0xfe] + "A cat".utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }, "a text file"),
      ("lines.srt", Array("1\n00:00:00,200 --> 00:00:00,600\nA tiger\n".utf8), "a subtitle file"),
      ("lines.vtt", Array("WEBVTT\n\n00:00.200 --> 00:00.600\nA tiger\n".utf8), "a subtitle file"),
      ("clip.m3u", Array("#EXTM3U\n#EXTINF:1,a\na.mp4\n".utf8), "an M3U playlist"),
    ]
    for (name, bytes, words) in files {
      try workspace.write(bytes, to: name)
      let error = try error(workspace, name)
      print(error)
      #expect(
        error.kind == .badData && error.description.contains(name) && error.description.contains(words), "\(error)")
    }
    // Through a pipe nothing is known but the bytes.
    let fifo = workspace.path("fifo")
    #expect(mkfifo(fifo, 0o600) == 0)
    let process = try Workspace.startCopying(workspace.path("model.safetensors"), to: fifo)
    #expect(try error(workspace, "fifo").description.contains("safetensors"))
    _ = Workspace.wait(process)
  }

  @Test func foldersOfOtherThings() throws {
    let workspace = try Workspace()
    for (file, words) in [("model_index.json", "--model"), ("b10.mp4", "b10.mp4"), ("notes.txt", "no pictures")] {
      #expect(mkdir(workspace.path("folder"), 0o700) == 0)
      try workspace.write([1], to: "folder/" + file)
      let error = try error(workspace, "folder")
      print(error)
      #expect(error.kind == .noInput && error.description.contains(words))
      try Workspace.run("rm", ["-r", workspace.path("folder")])
    }
  }

  /// Clips whose first bytes are not those of a signature.
  @Test func clipsAreLeftAlone() throws {
    let workspace = try Workspace()
    for (name, options) in [
      ("a.mp4", []), ("a.mkv", []), ("a.avi", []), ("a.gif", []), ("a.apng", ["-f", "apng"]), ("a.y4m", []),
      ("a.nut", []),
      ("a.ppm", ["-frames:v", "1"]), ("a.xbm", ["-frames:v", "1"]), ("a.xwd", ["-frames:v", "1"]), ("a.ogv", []),
      ("a.flv", []),
      ("a.mjpeg", []), ("a.m1v", []),
    ] as [(String, [String])] {
      let arguments = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.2"] + options
      #expect(try Workspace.run("ffmpeg", arguments + [workspace.path(name)]) == 0)
      let passed = try workspace.pass(name, to: "out.nut", InputOptions(), OutputOptions(overwrite: .replace))
      #expect(!passed.frames.isEmpty, "\(name)")
    }
  }
}
