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

    @Test(arguments: [
      "README.md", "docs/ARCHITECTURE.md", "docs/ffmpeg.md", "docs/install.md", "docs/metrics.md", "docs/batch.md",
      "CONTRIBUTING.md",
    ])
    func everyFileExists(document: String) throws {
      let text = try Self.text(document)
      let folder = document.split(separator: "/").dropLast().map { $0 + "/" }.joined()
      let links = text.matches(of: /\]\((?!http)([^)#]+)\)/).map { folder + $0.1 }
      let sources = text.matches(of: /`((?:Tensors|StableDiffusion|FateZero|MediaIO)\/(?:\w+\/)?\w+\.swift)`/).map {
        "Sources/" + $0.1
      }
      let missing = Set(links + sources).filter { access("\(Workbench.root)/\($0)", F_OK) != 0 }
      #expect(missing.sorted() == [])
    }

    private func help() throws -> String {
      let script =
        #"for command in edit ffmpeg-filter plan inspect metrics cache "cache prune" batch plan-jobs run-job join; do "$FATEZERO" help $command; done"#
      return String(decoding: try Workbench().succeed(script).output, as: UTF8.self)
    }

    /// The manual page was made of the present options: `make manual`.
    @Test func theManualPageIsComplete() throws {
      let page = try Self.text("docs/fatezero.1")
      let options = Set(try help().matches(of: /(?m)^ +(?:-\w, |-\w\/)?--([a-z-]+)/).map { String($0.1) })
      #expect(options.count > 40)
      #expect(options.filter { !page.contains("Fl -\($0)") && !page.contains(", -\($0)") }.sorted() == [])
      for command in [
        "edit", "plan", "inspect", "metrics", "cache", "batch", "plan-jobs", "run-job", "join", "ffmpeg-filter",
      ] {
        #expect(page.contains(".It Em \(command)\n"))
      }
    }

    /// Every option that a document shows is one.
    @Test(arguments: ["README.md", "docs/ARCHITECTURE.md", "docs/ffmpeg.md", "docs/metrics.md", "docs/batch.md"])
    func everyOptionExists(document: String) throws {
      let help = try help()
      let text = try Self.text(document).split(separator: "\n").filter {
        !$0.contains("curl ") && !$0.contains("pkg-config") && !$0.contains("sbatch") && !$0.contains("jq ")
      }.joined(separator: "\n")
      let options = Set(text.matches(of: /(?:^|[^\w-])(--[a-z][a-z-]+)/).map { String($0.1) })
      #expect(options.filter { !help.contains($0) }.sorted() == [])
    }
  }
}
