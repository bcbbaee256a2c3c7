import FoundationEssentials
import Glibc
import TestSupport
import Testing

extension EndToEndTests {
  /// What the documents name exists.
  struct DocumentationTests {
    private static func text(_ name: String) throws -> String {
      try String(contentsOf: URL(filePath: "\(Workbench.root)/\(name)"), encoding: .utf8)
    }

    @Test(arguments: ["README.md", "docs/ARCHITECTURE.md", "CONTRIBUTING.md"])
    func everyFileExists(document: String) throws {
      let text = try Self.text(document)
      let folder = document.split(separator: "/").dropLast().map { $0 + "/" }.joined()
      let links = text.matches(of: /\]\((?!http)([^)#]+)\)/).map { folder + $0.1 }
      let sources = text.matches(of: /`((?:Tensors|StableDiffusion|FateZero|MediaIO)\/\w+\.swift)`/).map {
        "Sources/" + $0.1
      }
      let missing = Set(links + sources).filter { access("\(Workbench.root)/\($0)", F_OK) != 0 }
      #expect(missing.sorted() == [])
    }

    /// Every option that a document shows is one.
    @Test(arguments: ["README.md", "docs/ARCHITECTURE.md"])
    func everyOptionExists(document: String) throws {
      let bench = try Workbench()
      let help = String(decoding: try bench.succeed(#""$FATEZERO" help edit"#).output, as: UTF8.self)
      let text = try Self.text(document).split(separator: "\n").filter { !$0.contains("curl ") }.joined(separator: "\n")
      let options = Set(text.matches(of: /(?:^|[^\w-])(--[a-z][a-z-]+)/).map { String($0.1) })
      #expect(options.filter { !help.contains($0) }.sorted() == [])
    }
  }
}
