import Testing

@testable import FateZeroCommand

@Suite struct OutputNameTests {
  @Test func oneEditKeepsTheName() throws {
    #expect(try OutputName.names("out.mp4", edits: ["a"]) == ["out.mp4"])
    #expect(try OutputName.names("-", edits: ["a"]) == ["-"])
    #expect(try OutputName.names("out-{n}.mp4", edits: ["a"]) == ["out-1.mp4"])
  }

  @Test func severalEditsAreNumberedBeforeTheExtension() throws {
    let edits = ["a dog", "a fox"]
    #expect(try OutputName.names("a.b/out.mp4", edits: edits) == ["a.b/out-1.mp4", "a.b/out-2.mp4"])
    #expect(try OutputName.names("a.b/out", edits: edits) == ["a.b/out-1", "a.b/out-2"])
    #expect(try OutputName.names("frames/", edits: edits) == ["frames-1/", "frames-2/"])
    #expect(try OutputName.names("f/%05d.png", edits: edits) == ["f/%05d-1.png", "f/%05d-2.png"])
    #expect(try OutputName.names(".hidden", edits: edits) == [".hidden-1", ".hidden-2"])
  }

  @Test func placeholders() throws {
    #expect(
      try OutputName.names("{n}_{edit}.mp4", edits: ["a dog, asleep!", "../etc"]) == [
        "1_a-dog-asleep.mp4", "2_etc.mp4",
      ])
    let long = String(repeating: "word ", count: 40)
    #expect(try OutputName.names("{edit}", edits: [long])[0].count <= 60)
    #expect(try OutputName.names("{edit}.mp4", edits: ["!!!"]) == ["edit.mp4"])
  }

  /// A slash that combines with a letter before it, or with a mark behind it, is a slash.
  @Test(arguments: ["..\u{d4e}/..\u{d4e}/etc", "a/\u{301}b", "\u{111c2}/x", "a\u{600}/b", "/\u{20dd}", "a\0\u{301}b"])
  func noPromptGivesAFolder(_ edit: String) throws {
    for name in [OutputName.fileName(of: edit), OutputName.fileName(of: edit, keeping: ".+")] {
      #expect(!name.utf8.contains(UInt8(ascii: "/")) && !name.utf8.contains(0) && !name.isEmpty, "\(name)")
    }
    #expect(try OutputName.names("{edit}.mp4", edits: [edit])[0].utf8.split(separator: UInt8(ascii: "/")).count == 1)
  }

  @Test func lettersKeepTheirMarks() {
    #expect(OutputName.fileName(of: "cafe\u{301} noir") == "cafe\u{301}-noir")
    #expect(OutputName.fileName(of: "\u{301}x") == "x")
  }

  /// Each is there once, also where numbers behind names make names that are there.
  @Test func namesOfJobsAreUnique() {
    var names = JobNames()
    let all = (0..<20_000).map { _ in names.unique("a") } + ["a_2", "b", "a_2"].map { names.unique($0) }
    #expect(Set(all).count == all.count && all[1] == "a_2" && all[19_999] == "a_20000")
    #expect(names.unique(String(repeating: "\u{e9}", count: 200)).utf8.count <= 180)
  }

  @Test func refuses() {
    for (pattern, edits) in [("-", ["a", "b"]), ("{edit}.mp4", ["a dog", "a, dog"])] {
      let error = #expect(throws: CommandFailure.self) { try OutputName.names(pattern, edits: edits) }
      #expect(error?.status == .usage)
    }
  }
}
