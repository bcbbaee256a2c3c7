import Foundation
import TestSupport
import Testing

@testable import StableDiffusion

/// The layout of Hugging Face's cache, as `hf download` leaves it: links from snapshots to blobs.
struct HubCacheTests {
  @Test(arguments: [
    ("org/name", "main"), ("stable-diffusion-v1-5/stable-diffusion-v1-5", "main"), ("org/name@fp16", "fp16"),
    ("org/name@refs/pr/1", "refs/pr/1"),
  ])
  func namesOfRepositories(_ text: String, _ revision: String) {
    #expect(HubCache.Repository(text)?.revision == revision)
  }

  @Test(arguments: [
    "name", "/org/name", "org/name/unet", "../name", "org/", "org/name@", "org/na me", "org/name@../x", "",
  ])
  func namesThatAreNone(_ text: String) { #expect(HubCache.Repository(text) == nil) }

  @Test func foldersFollowTheEnvironment() {
    func folder(_ variables: [String: String]) -> String { HubCache(environment: { variables[$0] }).folder }
    #expect(folder(["HOME": "/h"]) == "/h/.cache/huggingface/hub")
    #expect(folder(["HOME": "/h", "XDG_CACHE_HOME": "/x"]) == "/x/huggingface/hub")
    #expect(folder(["HOME": "/h", "XDG_CACHE_HOME": "/x", "HF_HOME": "/f"]) == "/f/hub")
    #expect(folder(["HF_HOME": "/f", "HF_HUB_CACHE": "/c"]) == "/c")
    #expect(folder(["HF_HOME": "/f", "HF_HUB_CACHE": ""]) == "/f/hub")
  }

  private static let commit = "39593d5650112b4cc580433f6b0435385882d819"

  /// A cache with one model, by links as the hub's own tools make them.
  private func withCache(_ body: (HubCache, URL) throws -> Void) throws {
    try Fixtures.withTemporaryFolder { folder in
      let model = folder.appendingPathComponent("models--org--tiny")
      let snapshot = model.appendingPathComponent("snapshots/\(Self.commit)")
      let source = Fixtures.folder.appendingPathComponent("modules/sd1")
      let files = FileManager.default
      try files.createDirectory(at: model.appendingPathComponent("blobs"), withIntermediateDirectories: true)
      try files.createDirectory(at: model.appendingPathComponent("refs/pr"), withIntermediateDirectories: true)
      for (name, number) in zip(try files.subpathsOfDirectory(atPath: source.path), 0...) {
        let file = source.appendingPathComponent(name)
        guard try file.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true else { continue }
        let blob = model.appendingPathComponent("blobs/\(number)")
        try files.copyItem(at: file, to: blob)
        let link = snapshot.appendingPathComponent(name)
        try files.createDirectory(at: link.deletingLastPathComponent(), withIntermediateDirectories: true)
        try files.createSymbolicLink(at: link, withDestinationURL: blob)
      }
      try Data(Self.commit.utf8).write(to: model.appendingPathComponent("refs/main"))
      try Data((Self.commit + "\n").utf8).write(to: model.appendingPathComponent("refs/pr/1"))
      try body(HubCache(environment: { $0 == "HF_HUB_CACHE" ? folder.path : nil }), folder)
    }
  }

  @Test func findsSnapshots() throws {
    try withCache { cache, folder in
      let snapshot = "\(folder.path)/models--org--tiny/snapshots/\(Self.commit)"
      for name in ["org/tiny", "org/tiny@main", "org/tiny@pr/1", "org/tiny@\(Self.commit)", "org/tiny@39593d5"] {
        #expect(try ModelLocation.place(name, cache: cache) == snapshot, "\(name)")
      }
      // A path that exists is that path, and other text stays as it is.
      #expect(try ModelLocation.place(folder.path, cache: cache) == folder.path)
      #expect(try ModelLocation.place("nowhere", cache: cache) == "nowhere")
      let model = try Checkpoint(path: snapshot)
      #expect(
        try model.identity == Checkpoint(path: Fixtures.folder.appendingPathComponent("modules/sd1").path).identity)
    }
  }

  @Test func saysHowToDownloadWhatIsMissing() throws {
    try withCache { cache, folder in
      let missing = modelError { _ = try ModelLocation.place("org/other", cache: cache) }
      #expect(missing?.kind == .notFound && missing?.text.hasSuffix("get it with: hf download org/other") == true)
      #expect(missing?.text.contains(folder.path) == true)
      for revision in ["fp16", "39593d6", "3959", "pr"] {
        let error = modelError { _ = try ModelLocation.place("org/tiny@\(revision)", cache: cache) }
        #expect(
          error?.text.hasSuffix("hf download org/tiny --revision \(revision)") == true, "\(error?.text ?? "none")")
        #expect(error?.text.contains(Self.commit) == true)
      }
    }
  }

  /// What is left after one checkpoint in one file was downloaded.
  @Test func aSnapshotMayHoldOneFile() throws {
    try Fixtures.withTemporaryFolder { folder in
      _ = try OriginalFile("sd1").write(Fixtures.folder.appendingPathComponent("modules/sd1"), into: folder)
      #expect(try Checkpoint(path: folder.path).unet.blockOutChannels == [8, 16, 16, 24])
    }
  }
}
