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

  @Test func refuses() {
    for (pattern, edits) in [("-", ["a", "b"]), ("{edit}.mp4", ["a dog", "a, dog"])] {
      let error = #expect(throws: CommandFailure.self) { try OutputName.names(pattern, edits: edits) }
      #expect(error?.status == .usage)
    }
  }
}
