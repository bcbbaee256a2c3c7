import FateZero
import FoundationEssentials
import Glibc
import MediaIO
import StableDiffusion
import Text

/// What a command line asks for, with its configuration and its model's defaults folded in.
struct EditJob {
  let directory: Checkpoint
  let modelOptions: Checkpoint.Options
  /// What to say of the model; nil where it was named.
  let modelNote: String?
  /// One for each output.
  let edits: [Settings]
  /// nil where neither the command line nor a configuration names one.
  let input: String?
  /// nil where none was named.
  let output: String?
  let inputOptions: InputOptions
  let geometry: FrameGeometry
  /// Frames that a configuration wants; fewer are an error.
  let wantedFrames: Int?
  /// Side of the frames that a configuration's loader makes, for a plan without a clip.
  let configuredSide: Int?

  /// Steps of a preview, at most.
  private static let previewSteps = 10

  init(_ options: EditOptions, checkpoints: CheckpointStore = CheckpointStore()) throws {
    let configuration = try options.config.map { path in
      try ReferenceConfiguration(yaml: try ConfigurationValue.text(of: path), name: path)
    }
    let layer = options.settings.layer

    var model = options.model
    if model == nil, let configuration, let path = options.config {
      model = try Self.modelFolder(of: configuration, path: path)
    }
    let place = try ModelLocation.find(model)
    var checkpoint = try ModelOptions.checkpoint(
      layer + options.settings.edit.map { (name: "edit", text: $0) }, model: place)
    checkpoint.variant = options.variant
    let directory = try checkpoints.checkpoint(place, checkpoint)
    self.directory = directory
    modelOptions = checkpoint
    modelNote = ModelLocation.note(model)

    // Defaults, the model's recommendation, preset, the configuration, the options: later ones win.
    var base = Settings()
    try base.apply(try ModelDefaults.layer(of: directory))
    if let preset = layer.last(where: { $0.name == "preset" }) { try base.set("preset", to: preset.text) }
    let given = layer.filter { $0.name != "preset" }
    let prompts = options.settings.edit
    var edits: [Settings] = []
    for index in 0..<(prompts.isEmpty ? configuration?.edits.count ?? 0 : prompts.count) {
      var settings = base
      if let configuration { configuration.apply(edit: min(index, configuration.edits.count - 1), to: &settings) }
      // Words typed beside a configuration are looked up as typed words are.
      let names = ["blend-words", "word-weights", "cross-replace"]
      if !prompts.isEmpty || given.contains(where: { names.contains($0.name) }) { settings.wordMatching = .relaxed }
      try settings.apply((prompts.isEmpty ? [] : [("edit", prompts[index])]) + given)
      if options.preview { settings.steps = min(settings.steps, Self.previewSteps) }
      edits.append(settings)
    }
    if edits.isEmpty {
      throw CommandFailure(
        .usage, "say what you want to see: --edit \"a [cat -> tiger] on the grass\" (or --config FILE)")
    }
    self.edits = edits

    var paths = [options.input, options.output].compactMap { $0 }
    var reading = try options.reading.options()
    if let configuration, let path = options.config {
      if paths.count == 1, options.output == nil, let clip = configuration.clip.path {
        paths.insert(try Self.clipPath(clip, configuration: path), at: 0)
      }
      let clip = configuration.clip
      if let filter = clip.samplingFilter {
        reading.filter = [filter, reading.filter].compactMap { $0 }.joined(separator: ",")
      }
      wantedFrames = options.reading.frames == nil && !options.preview ? clip.frameCount : nil
      if reading.frames == nil { reading.frames = clip.frameCount }
      // At a size of the user's own the whole frame is worked on.
      let offset = clip.offset
      geometry =
        options.settings.size != nil
        ? .whole
        : .reference(
          imageSize: clip.imageSize,
          offset: CropOffset(left: offset.left, right: offset.right, top: offset.top, bottom: offset.bottom))
      configuredSide = clip.imageSize
    } else {
      wantedFrames = nil
      geometry = .whole
      configuredSide = nil
    }
    if options.preview { reading.frames = 1 }
    reading.maximumPixels = edits[0].usableMemory.map(InputOptions.pixels)
    inputOptions = reading
    input = paths.first
    output = paths.count > 1 ? paths[1] : nil
  }

  /// What a file written by this job says about itself.
  func metadata(edit index: Int) -> [(String, String)] {
    let settings = edits[index]
    let plain = Settings()
    // What may be used of the machine changes no frame.
    let left = ["edit", "source", "model", "preset"] + Knobs.ofMachine
    let given = Knobs.all.filter { !left.contains($0.name) }.compactMap { knob in
      let text = settings.text(of: knob.name)
      return text == plain.text(of: knob.name) ? nil : "\(knob.name)=\(text ?? "")"
    }
    let model = directory.path.pieces(at: "/").last.map(String.init) ?? directory.path
    let words = ["edit=\"\(settings.edit)\""] + (settings.source.map { ["source=\"\($0)\""] } ?? [])
    return [
      (
        "comment",
        (["fatezero \(toolVersion)", "model=\(model):\(directory.identity)"] + words + given).joined(separator: " ")
      )
    ]
  }

  // MARK: - Places

  /// A path of a configuration may start at its folder, at the folder above, or where the command runs.
  private static func places(_ path: String, configuration: String) -> [String] {
    if path.begins(with: "/") { return [path] }
    let folder = configuration.lastPlace(ofScalar: "/").map { String(configuration[..<$0]) } ?? "."
    return ["\(folder)/\(path)", "\(folder)/../\(path)", path]
  }

  private static func modelFolder(of configuration: ReferenceConfiguration, path: String) throws -> String {
    let places = places(configuration.modelPath, configuration: path)
    guard let found = places.first(where: { access($0 + "/model_index.json", R_OK) == 0 }) else {
      throw CommandFailure(
        .noModel,
        "\(path) names the model \(configuration.modelPath), but there is none at \(places.joined(separator: ", ")); "
          + "give its folder with --model")
    }
    return found
  }

  private static func clipPath(_ clip: String, configuration path: String) throws -> String {
    let places = places(clip, configuration: path)
    guard let found = places.first(where: { access($0, R_OK) == 0 }) else {
      throw CommandFailure(
        .noInput, "\(path) names the frames \(clip), but they are not at \(places.joined(separator: ", ")); give INPUT")
    }
    return found
  }
}

extension ReferenceConfiguration.Clip {
  /// Takes every `samplingRate`-th frame from `startFrame` on; nil where that is every frame.
  var samplingFilter: String? {
    if startFrame == 0, samplingRate == 1 { return nil }
    return "select='gte(n,\(startFrame))*not(mod(n-\(startFrame),\(samplingRate)))'"
  }
}
