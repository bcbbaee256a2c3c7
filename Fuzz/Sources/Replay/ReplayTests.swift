import FoundationEssentials
import TestSupport
import Testing

/// Every input that a fuzzer kept, on the targets that it was made for (`Tests/Fixtures/fuzz`).
@Suite struct ReplayTests {
  private static let corpora = Fixtures.folder.appending(path: "fuzz").path

  @Test(arguments: fuzzTargetNames) func corpus(name: String) throws {
    let type = try #require(fuzzTarget(named: name))
    let target = try type.init(scratch: try ScratchFolder())
    let folder = "\(Self.corpora)/\(name)"
    let inputs = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    #expect(!inputs.isEmpty)
    for input in inputs {
      let bytes = try #require(FileManager.default.contents(atPath: "\(folder)/\(input)"))
      #expect(throws: Never.self, "\(folder)/\(input)") { try target.run(Array(bytes)) }
    }
  }
}
