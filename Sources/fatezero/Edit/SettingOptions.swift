import ArgumentParser
import FateZero

/// The settings of an edit. Each option is a knob of the same name and is read by `Settings.set(_:to:)`.
struct SettingOptions: ParsableArguments {
  @Option(
    name: .long, help: .knob("edit", repeated: "Several make several outputs from one inversion.", value: "prompt"))
  var edit: [String] = []

  @Option(help: .knob("source", value: "prompt")) var source: String?
  @Option(parsing: .unconditional, help: .knob("negative", value: "prompt")) var negative: String?
  @Option(help: .knob("preset", value: "name"), completion: .knob("preset")) var preset: String?
  @Option(help: .knob("size", value: "WxH")) var size: String?
  @Option(help: .knob("steps", value: "n")) var steps: String?
  @Option(help: .knob("guidance-scale", value: "x")) var guidanceScale: String?
  @Option(help: .knob("cross-mode", value: "mode"), completion: .knob("cross-mode")) var crossMode: String?
  @Option(help: .knob("cross-replace", repeated: "May be repeated.", value: "ranges")) var crossReplace: [String] = []
  @Option(help: .knob("self-replace", value: "range")) var selfReplace: String?
  @Option(help: .knob("blend-attention", value: "mode"), completion: .knob("blend-attention")) var blendAttention:
    String?
  @Option(help: .knob("blend-words", repeated: "May be repeated.", value: "words")) var blendWords: [String] = []
  @Option(help: .knob("blend-threshold", value: "x")) var blendThreshold: String?
  @Flag(inversion: .prefixedNo, help: .knob("blend-latents")) var blendLatents: Bool?
  @Option(help: .knob("word-weights", repeated: "May be repeated.", value: "weights")) var wordWeights: [String] = []
  @Option(help: .knob("attention-source", value: "source"), completion: .knob("attention-source"))
  var attentionSource: String?
  @Option(parsing: .unconditional, help: .knob("frame-coupling", value: "frames")) var frameCoupling: String?
  @Option(help: .knob("coupling-min-width", value: "channels")) var couplingMinWidth: String?
  @Option(help: .knob("fusion-max-tokens", value: "n")) var fusionMaxTokens: String?
  @Option(help: .knob("clip-length", value: "frames")) var clipLength: String?
  @Option(help: .knob("precision", value: "type"), completion: .knob("precision")) var precision: String?
  @Option(help: .knob("threads", value: "n")) var threads: String?
  @Option(help: .knob("record", value: "kind"), completion: .knob("record")) var record: String?
  @Option(help: .knob("record-dir", value: "folder"), completion: .directory) var recordDir: String?
  @Option(help: .knob("memory-limit", value: "bytes")) var memoryLimit: String?
  @Option(help: .knob("prediction-type", value: "type"), completion: .knob("prediction-type"))
  var predictionType: String?
  @Option(help: .knob("unet", value: "file|folder"), completion: .file()) var unet: String?
  @Option(help: .knob("vae", value: "file|folder"), completion: .file()) var vae: String?
  @Option(help: .knob("lora", repeated: "May be repeated.", value: "files"), completion: .file()) var lora: [String] =
    []
  @Option(help: .knob("embedding", repeated: "May be repeated.", value: "words"), completion: .file())
  var embedding: [String] = []

  /// What was given, without the edits.
  var layer: Settings.Layer {
    let single: [(String, String?)] = [
      ("source", source), ("negative", negative), ("preset", preset), ("size", size), ("steps", steps),
      ("guidance-scale", guidanceScale), ("cross-mode", crossMode), ("self-replace", selfReplace),
      ("blend-attention", blendAttention), ("blend-threshold", blendThreshold),
      ("blend-latents", blendLatents.map { "\($0)" }), ("attention-source", attentionSource),
      ("frame-coupling", frameCoupling), ("coupling-min-width", couplingMinWidth),
      ("fusion-max-tokens", fusionMaxTokens), ("clip-length", clipLength), ("precision", precision),
      ("threads", threads), ("record", record), ("record-dir", recordDir),
      ("memory-limit", memoryLimit), ("prediction-type", predictionType), ("unet", unet), ("vae", vae),
    ]
    let lists = [
      ("cross-replace", crossReplace), ("blend-words", blendWords), ("word-weights", wordWeights), ("lora", lora),
      ("embedding", embedding),
    ]
    return single.compactMap { name, text in text.map { (name, $0) } }
      + lists.compactMap { name, texts in texts.isEmpty ? nil : (name, texts.joined(separator: ",")) }
  }
}

extension ArgumentHelp {
  /// The knob's own words, what the option adds to them, and the values it takes.
  fileprivate static func knob(_ name: String, repeated: String? = nil, value: String? = nil) -> ArgumentHelp {
    guard let knob = Knobs.named(name) else { preconditionFailure("no knob \(name)") }
    var text = knob.blurb
    if let repeated { text += " " + repeated }
    switch knob.kind {
    case .list, .integer, .number: text += " (\(knob.range))"
    case .text, .path, .flag, .choice: break
    }
    return ArgumentHelp(text, valueName: value)
  }
}

extension CompletionKind {
  /// The values of a knob that is a choice.
  fileprivate static func knob(_ name: String) -> CompletionKind {
    if case .choice(let names)? = Knobs.named(name)?.kind { .list(names) } else { .default }
  }
}
