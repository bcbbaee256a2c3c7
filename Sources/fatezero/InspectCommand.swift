import ArgumentParser
import FateZero
import StableDiffusion

/// `fatezero inspect`: what a checkpoint is.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract:
      "Print what a checkpoint is: architecture, sizes, precision, parameters, and what is missing or left over.",
    discussion: "Ends with status 65 if an edit would refuse the checkpoint.")

  @Argument(
    help: ArgumentHelp(
      "Stable Diffusion checkpoint: a folder in diffusers' layout or one file; by default the model that edit would take.",
      valueName: "model"), completion: .file())
  var model: String?

  @Option(help: ArgumentHelp("Take the weights of this variant where there are such, like fp16.", valueName: "name"))
  var variant: String?

  func run() throws {
    let directory = try Checkpoint(path: try ModelLocation.find(model), options: Checkpoint.Options(variant: variant))
    let inspection = try ModelInspection(directory)
    print(inspection.text)
    if let recommended = directory.recommendedSettings {
      let layer = try ModelDefaults.layer(json: Array(recommended.utf8))
      print("recommends: " + layer.map { "\($0.name)=\($0.text)" }.joined(separator: " "))
    }
    if !inspection.isComplete { throw CommandFailure(.data, "an edit would refuse \(directory.path)") }
  }
}
