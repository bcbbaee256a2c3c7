import ArgumentParser
import FateZero

/// What `edit` and `plan` share.
struct EditOptions: ParsableArguments {
  @Argument(
    help: ArgumentHelp(
      "The clip: any file libav reads, a folder of pictures or a pattern like f%05d.png, or - for standard input. "
        + "May be left out beside --config, which names a folder.", valueName: "input"), completion: .file())
  var input: String?

  @Argument(
    help: ArgumentHelp(
      "Where the result goes: any file libav writes, a folder (with a / at its end) or pattern of pictures, or - "
        + "for standard output. With several edits {n} and {edit} are replaced by an edit's number and prompt.",
      valueName: "output"),
    completion: .file())
  var output: String?

  @Option(
    help: ArgumentHelp(Knobs.named("model")?.blurb ?? "", valueName: "file|folder"), completion: .file())
  var model: String?

  @Option(
    help: ArgumentHelp("Take the model's weights of this variant where there are such, like fp16.", valueName: "name"))
  var variant: String?

  @Option(
    help: ArgumentHelp(
      "A configuration of the reference repository (YAML); it means the same here as there. Options given beside "
        + "it win.", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Flag(help: "Quick preview: edit one frame in a few steps.")
  var preview = false

  @Option(
    help: ArgumentHelp(
      "A mask of your own, a picture or one for each frame: white is edited, black stays, grey mixes both. Any file libav "
        + "reads, a folder or pattern of pictures; scaled to the clip.", valueName: "file|folder"), completion: .file())
  var mask: String?

  @Option(
    help: ArgumentHelp(
      "What a mask of your own does to that of the blend words: replace it (the default) or intersect with it.",
      valueName: "mode"), completion: .list(GivenMask.allCases.map(\.rawValue)))
  var maskMode: GivenMask?

  @OptionGroup(title: "Settings") var settings: SettingOptions
  @OptionGroup(title: "Input") var reading: InputArguments
  @OptionGroup(title: "Output") var writing: OutputArguments

  @Option(
    help: ArgumentHelp(
      "Write the numbers of the run as safetensors: tokens, text embeddings, latents, masks, images. One window "
        + "only; of several edits the last.", valueName: "file"), completion: .file())
  var trace: String?

  @Option(
    help: ArgumentHelp(
      "Write the blending mask as a clip: white is edited at all steps, black at none. With several edits as OUTPUT.",
      valueName: "file"), completion: .file())
  var maskOutput: String?

  @Option(
    help: ArgumentHelp(
      "Write a page that explains the edit, DIR/index.html, and its pictures and numbers beside it: what changed, where each "
        + "word looked, the mask, whether the inversion holds the clip. Takes one more pass per step.", valueName: "dir"
    ),
    completion: .directory)
  var report: String?

  @OptionGroup(title: "Cache") var caching: CacheOptions

  @Option(
    help: ArgumentHelp(
      "Write progress for programs, as ffmpeg does: lines of key=value, each block ended by progress=continue or "
        + "progress=end.", valueName: "file|pipe:n"), completion: .file())
  var progress: String?

  /// How the mask is used, if there is one.
  var givenMask: GivenMask? { mask == nil ? nil : maskMode ?? .instead }

  func validate() throws {
    if maskMode != nil, mask == nil { throw ValidationError("--mask-mode needs --mask FILE") }
  }
}

extension GivenMask: ExpressibleByArgument {}
