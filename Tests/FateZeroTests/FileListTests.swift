import FateZero
import Foundation
import StableDiffusion
import TestSupport
import Testing

/// Names of files in lists: what names a file that is there is that file.
@Suite struct FileListTests {
  /// Settings read in a folder with files of these names.
  private func settings(
    _ name: String, _ text: (String) -> String, files: [String]
  ) throws -> (settings: Settings, folder: String) {
    try Fixtures.withTemporaryFolder { folder in
      for file in files {
        let place = folder.appendingPathComponent(file)
        try FileManager.default.createDirectory(
          at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data().write(to: place)
      }
      var settings = Settings()
      try settings.set(name, to: text(folder.path))
      // What is told means the same, whether the files are there or not.
      var again = Settings()
      try again.set(name, to: try #require(settings.text(of: name)))
      #expect(again == settings)
      return (settings, folder.path)
    }
  }

  @Test(
    arguments: [
      (["neon, v2.safetensors"], "/neon, v2.safetensors:0.8", [("neon, v2.safetensors", 0.8)]),
      (["a,b,c", "d"], "/a,b,c,/d:2", [("a,b,c", 1), ("d", 2)]),
      (["a:0.5", "b=c"], "/a:0.5,/b=c:0.25", [("a:0.5", 1), ("b=c", 0.25)]),
      ([#"a\,b"#], #"/a\,b"#, [(#"a\,b"#, 1)]), (["a,b"], #"/a\,b:-1"#, [("a,b", -1)]),
      (["x, y/z.safetensors", "x"], "/x, y/z.safetensors,/x", [("x, y/z.safetensors", 1), ("x", 1)]),
      ([], "/a:1,/b", [("a", 1), ("b", 1)]),
    ] as [([String], String, [(String, Float)])])
  func loras(_ files: [String], _ text: String, _ expected: [(String, Float)]) throws {
    let (settings, folder) = try settings(
      "lora",
      {
        text.replacingOccurrences(of: "/", with: "\($0)/", options: .anchored)
          .replacingOccurrences(of: ",/", with: ",\($0)/")
      }, files: files)
    #expect(settings.loras == expected.map { Checkpoint.LoRA(path: "\(folder)/\($0.0)", weight: $0.1) })
  }

  @Test func embeddings() throws {
    let (settings, folder) = try settings(
      "embedding", { "<toy>=\($0)/toys, new/toy.bin,<b>=\($0)/a=b.pt,\($0)/c=d, e.pt,\($0)/f.pt" },
      files: ["toys, new/toy.bin", "a=b.pt", "c=d, e.pt", "f.pt"])
    #expect(
      settings.embeddings == [
        Checkpoint.Embedding(word: "<toy>", path: "\(folder)/toys, new/toy.bin"),
        Checkpoint.Embedding(word: "<b>", path: "\(folder)/a=b.pt"),
        Checkpoint.Embedding(word: nil, path: "\(folder)/c=d, e.pt"),
        Checkpoint.Embedding(word: nil, path: "\(folder)/f.pt"),
      ])
  }

  @Test(arguments: [
    ("lora", ":0.5"), ("lora", "a:101"), ("lora", "a:nan"), ("lora", #"a\"#), ("embedding", "=a"),
    ("embedding", "a="), ("embedding", "a b=c"), ("embedding", "a=x,A=y"),
  ])
  func whatNamesNoFileIsRefused(_ name: String, _ text: String) {
    var settings = Settings()
    #expect(throws: SettingsError.self) { try settings.set(name, to: text) }
  }
}
