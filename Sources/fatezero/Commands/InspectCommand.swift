import ArgumentParser
import FateZero
import StableDiffusion

/// `fatezero inspect`: what a checkpoint is.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract:
      "Print what a checkpoint, LoRA, textual inversion or single network is: architecture, sizes, precision, what it "
      + "changes, and what is missing or left over.",
    discussion: "Ends with status 65 if an edit would refuse it.")

  @Argument(
    help: ArgumentHelp(
      "A folder or file, or ORG/NAME[@REVISION] in the Hugging Face cache; by default the model that edit would take.",
      valueName: "file|folder"), completion: .file())
  var model: String?

  @Option(help: ArgumentHelp("Take the weights of this variant where there are such, like fp16.", valueName: "name"))
  var variant: String?

  func run() throws {
    let path = try ModelLocation.find(model)
    if let file = try FileInspection(path) { return try StandardOutput.lines(file.lines) }
    let directory = try Checkpoint(path: path, options: Checkpoint.Options(variant: variant))
    let inspection = try ModelInspection(directory)
    try StandardOutput.lines(inspection.lines)
    if let recommended = directory.recommendedSettings {
      let layer = try ModelDefaults.layer(json: Array(recommended.utf8))
      try StandardOutput.line("recommends: " + layer.map { "\($0.name)=\($0.text)" }.joined(separator: " "))
    }
    if !inspection.isComplete { throw CommandFailure(.data, "an edit would refuse \(directory.path)") }
  }
}
