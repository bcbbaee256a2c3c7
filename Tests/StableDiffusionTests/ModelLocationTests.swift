import Foundation
import TestSupport
import Testing

@testable import StableDiffusion

struct ModelLocationTests {
  @Test func takesTheFirstThatIsNamedOrThere() throws {
    try Fixtures.withTemporaryFolder { folder in
      func make(_ path: String) throws -> String {
        let model = folder.appendingPathComponent(path)
        try FileManager.default.createDirectory(at: model, withIntermediateDirectories: true)
        try Data("{}".utf8).write(to: model.appendingPathComponent("model_index.json"))
        return model.path
      }
      func found(_ path: String?, _ variable: String?, from image: String) throws -> String {
        try ModelLocation.find(path, variable: variable, imageFolder: folder.appendingPathComponent(image).path)
      }
      let installed = try make("usr/share/fatezero/models/toyworld")
      let own = try make("source/Models/toyworld")
      #expect(try found("given", installed, from: "usr/bin") == "given")
      #expect(try found("", installed, from: "source/.build/debug") == installed)
      #expect(try found(nil, nil, from: "usr/bin") == installed)
      #expect(try found(nil, "", from: "usr/lib/gstreamer-1.0") == installed)
      #expect(try found(nil, nil, from: "usr/lib/x86_64-linux-gnu/gstreamer-1.0") == installed)
      #expect(try found(nil, nil, from: "source/.build/x86_64-unknown-linux-gnu/debug") == own)
    }
  }

  @Test func listsThePlacesTried() throws {
    let error = modelError { _ = try ModelLocation.find(nil, variable: nil, imageFolder: "/nowhere/src/.build/debug") }
    #expect(error?.kind == .notFound)
    for place in [
      "$FATEZERO_MODEL (not set)", "/nowhere/src/.build/share/fatezero/models/toyworld",
      "/nowhere/src/share/fatezero/models/toyworld", "/nowhere/src/Models/toyworld",
    ] {
      #expect(error?.text.contains("\n  \(place)") == true, "\(place)")
    }
    let wrong = modelError { _ = try ModelLocation.find(nil, variable: "/nowhere", imageFolder: nil) }
    #expect(wrong?.text.contains("/nowhere, which $FATEZERO_MODEL names") == true)
  }

  @Test func findsTheRepositorysOwnModelFromATest() throws {
    guard ProcessInfo.processInfo.environment["FATEZERO_MODEL"] == nil else { return }
    let path = try ModelLocation.find()
    #expect(path.hasSuffix("/Models/toyworld"))
  }

  @Test func theDefaultModelIsAnnounced() {
    #expect(ModelLocation.note(nil, variable: nil)?.contains("Toy World") == true)
    #expect(ModelLocation.note("", variable: "") != nil)
    #expect(ModelLocation.note("sd15", variable: nil) == nil)
    #expect(ModelLocation.note(nil, variable: "sd15") == nil)
  }
}
