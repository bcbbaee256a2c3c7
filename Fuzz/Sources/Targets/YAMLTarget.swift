import FateZero
import YAML

@testable import FateZeroCommand

/// A YAML file, taken for a configuration of the reference repository and for a jobs file.
struct YAMLTarget: FuzzTarget {
  static let name = "yaml"
  static let maximumLength = 4096
  init(scratch: ScratchFolder) {}

  func run(_ input: [UInt8]) throws {
    let yaml = input.text
    if let node = try? YAMLNode.read(yaml) { _ = (node.bool, node.isNull, node["edits"]) }
    if let configuration = try? ReferenceConfiguration(yaml: yaml, name: "file.yaml") {
      for index in configuration.edits.indices {
        var settings = Settings()
        configuration.apply(edit: index, to: &settings)
        for knob in Knobs.all { _ = settings.text(of: knob.name) }
      }
    }
    if let jobs = try? JobsFile(yaml: yaml, name: "file.yaml") {
      for job in jobs.jobs.prefix(50) {
        for file in [job.name] + job.files { try NamesTarget.promisePart(file) }
        _ = try? EditOptions.parse(job.arguments(output: "/output", folder: "/folder"))
      }
    }
  }
}
