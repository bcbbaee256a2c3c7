import FateZero
import FoundationEssentials

@testable import FateZeroCommand

/// The plan of a folder of jobs; the word VERSION in it is replaced by that of this program.
struct JobsTarget: FuzzTarget {
  static let name = "jobs"
  static let maximumLength = 4096
  let scratch: ScratchFolder

  func run(_ input: [UInt8]) throws {
    var plan = input
    if let version = plan.firstRange(of: "VERSION".utf8) { plan.replaceSubrange(version, with: "\(Version.text)".utf8) }
    let folder = scratch.folder("jobs")
    _ = try scratch.file("jobs/plan.json", plan)
    _ = try? JSONDecoder().decode(JobFolder.Done.self, from: Data(input))
    guard let jobs = try? JobFolder(path: folder) else { return }
    _ = jobs.directory
    for number in 1...min(jobs.plan.count, 50) {
      try NamesTarget.promisePart(jobs.plan.name(of: number))
      if case .edits(let edits) = jobs.plan.work {
        for file in edits[number - 1].files { try NamesTarget.promisePart(file) }
      }
      _ = jobs.plan.resultCount(of: number)
      _ = try? EditOptions.parse(jobs.arguments(of: number))
    }
  }
}
