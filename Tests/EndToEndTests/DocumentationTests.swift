import FoundationEssentials
import Glibc
import Testing

extension EndToEndTests {
  /// What the documents name exists.
  struct DocumentationTests {
    private static func text(_ name: String) throws -> String {
      try String(contentsOf: URL(filePath: "\(Workbench.root)/\(name)"), encoding: .utf8)
    }

    @Test(arguments: ["README.md", "docs/ARCHITECTURE.md", "CONTRIBUTING.md"])
    func everyFileExists(document: String) throws {
      let folder = document.split(separator: "/").dropLast().joined(separator: "/")
      for match in try Self.text(document).matches(of: /\]\((?!http)([^)#]+)\)/) {
        let path = "\(Workbench.root)/\(folder)/\(match.1)"
        #expect(access(path, F_OK) == 0, "\(document) links to \(String(match.1))")
      }
      // A source file is named by its layer and its name, followed by others of that layer.
      for match in try Self.text(document).matches(of: /`(Tensors|StableDiffusion|FateZero|MediaIO)\/(\w+\.swift)`/) {
        let path = "\(Workbench.root)/Sources/\(match.1)/\(match.2)"
        #expect(access(path, F_OK) == 0, "\(document) names \(String(match.1))/\(String(match.2))")
      }
    }

    /// Every option that a document shows is one.
    @Test(arguments: ["README.md", "docs/ARCHITECTURE.md"])
    func everyOptionExists(document: String) throws {
      let bench = try Workbench()
      let help = String(decoding: try bench.succeed(#""$FATEZERO" help edit"#).output, as: UTF8.self)
      let lines = try Self.text(document).split(separator: "\n").filter { !$0.contains("curl ") }
      for match in lines.joined(separator: "\n").matches(of: /(?:^|[^\w-])--([a-z][a-z-]+)/) {
        #expect(help.contains("--\(match.1)"), "\(document) shows --\(String(match.1))")
      }
    }
  }
}
