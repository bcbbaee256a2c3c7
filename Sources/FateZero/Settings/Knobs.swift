import StableDiffusion
import Text

/// One setting as users see it. The command's help, GStreamer's properties, the C header and the documentation are all
/// made from this.
public struct Knob: Sendable {
  public enum Kind: Sendable, Equatable {
    case text
    case path
    case integer(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    case flag
    case choice([String])
    /// Text in the notation that `range` describes.
    case list
  }

  /// As in option `--name` and property `name`.
  public let name: String
  /// Full sentences: what it does, its unit, its default.
  public let blurb: String
  public let kind: Kind
  /// What is accepted, for people.
  public let range: String
  /// The default in the notation of `Settings.set(_:to:)`.
  public let defaultText: String

  let read: @Sendable (Settings) -> String
  let write: @Sendable (inout Settings, String) throws -> Void
}

public enum Knobs {
  public static let all: [Knob] = [
    text(
      "edit",
      "Target prompt: the content you want; brackets give the source prompt as well: a [cat -> tiger] on the grass.",
      { WebUISyntax.escaped($0.edit) },
      { settings, text in
        try Settings.checkLength(of: text, in: "edit")
        guard let inline = try InlineEdit.parse(text) else {
          settings.setPrompt(\.edit, .edit, to: InlineEdit.plain(text))
          return
        }
        settings.setPrompt(\.edit, .edit, to: inline.target)
        settings.setSource(inline.source)
        settings.blendWords = inline.blendWords
      }),
    text(
      "source",
      "Source prompt: what the clip shows now. Without one, only self-attention is fused, over fewer steps.",
      { WebUISyntax.escaped($0.source ?? "") },
      { settings, text in
        try Settings.checkLength(of: text, in: "source")
        settings.setSource(InlineEdit.plain(text))
      }),
    text(
      "negative", "Negative prompt: what to avoid; empty by default.",
      { WebUISyntax.escaped($0.negative) },
      { settings, text in
        try Settings.checkLength(of: text, in: "negative")
        settings.setPrompt(\.negative, .negative, to: InlineEdit.plain(text))
      }),
    Knob(
      name: "model",
      blurb:
        "Stable Diffusion 1.x or 2.x checkpoint: a folder in the diffusers layout, a single .safetensors or .ckpt "
        + "file in the original layout, or ORG/NAME[@REVISION] in the Hugging Face cache; default "
        + "$FATEZERO_MODEL, else the small model that comes with FateZero.",
      kind: .path, range: "a folder, a file, or ORG/NAME[@REVISION]", defaultText: "", read: { $0.model ?? "" },
      write: { $0.model = $1.isEmpty ? nil : $1 }),
    Knob(
      name: "preset",
      blurb: "A starting point for the other settings: style, attribute, shape or background; none by default.",
      kind: .choice(Presets.all.map(\.name)), range: Presets.all.map(\.name).joined(separator: ", "), defaultText: "",
      read: { _ in "" },
      write: { settings, text in
        guard !text.isEmpty else { return }
        guard let preset = Presets.named(text) else {
          throw SettingsError(
            "\"\(text)\" is none of \(Presets.all.map(\.name).joined(separator: ", "))", in: "preset")
        }
        for setting in preset.settings { try settings.set(setting.name, to: setting.text) }
      }),
    Knob(
      name: "size",
      blurb:
        "Working size in pixels, WIDTHxHEIGHT; auto is the model's native area at the clip's aspect ratio. The "
        + "output keeps the clip's own size.",
      kind: .list, range: "auto or WIDTHxHEIGHT", defaultText: "auto",
      read: { $0.size.map { "\($0.width)x\($0.height)" } ?? "auto" }, write: { $0.size = try size($1) }),
    integer("steps", "Number of denoising steps; default 50.", 1...1000, \.steps),
    number(
      "guidance-scale",
      "Classifier-free guidance scale: how closely the edit follows its prompt; default 7.5, and 1 disables "
        + "guidance.", 0...100, \.guidanceScale),
    choice(
      "cross-mode",
      "How the words of the two prompts are matched: replace (by position), refine (by their longest common "
        + "subsequence), or auto (the default): replace if both have the same number of words.", \.crossMode),
    Knob(
      name: "cross-replace",
      blurb:
        "Fraction of the steps during which words keep the source's cross-attention; single words of the edit can "
        + "have their own, like 0.8,tiger=0.0:0.4; default 0.8.",
      kind: .list, range: "END or START:END, each 0 to 1, then WORD=END or WORD=START:END, separated by commas",
      defaultText: "0.8", read: { text(of: $0.crossReplace) },
      write: { $0.crossReplace = try crossReplace($1, default: $0.crossReplace.everywhere) }),
    Knob(
      name: "self-replace",
      blurb:
        "Fraction of the steps during which the source's self-attention preserves layout and motion, like 0.8 or "
        + "0.2:0.8; default 0.8, or 0.5 without a source prompt.",
      kind: .list, range: "END or START:END, each 0 to 1; auto is the default", defaultText: "auto",
      read: { $0.selfReplaceText },
      write: { $0.setSelfReplace($1 == "auto" ? nil : try StepRange(parsing: $1, in: "self-replace")) }),
    choice(
      "blend-attention",
      "Whether the source's self-attention is kept only outside the mask of the edited object: on, off, or auto "
        + "(the default): on if there are blend-words.", \.blendAttention),
    Knob(
      name: "blend-words",
      blurb:
        "Words whose cross-attention makes the mask, of the source and of the edit, like cat=tiger; default those "
        + "in the edit's brackets.",
      kind: .list, range: "SOURCE=EDIT, SOURCE or =EDIT, separated by commas", defaultText: "",
      read: { text(of: $0.blendWords) }, write: { $0.blendWords = try blendWords($1) }),
    number(
      "blend-threshold", "Normalised attention above which a pixel belongs to the mask; default 0.3.",
      0...100, \.blendThreshold),
    Knob(
      name: "blend-latents",
      blurb: "Whether latents outside the mask are taken from the inversion; default false.",
      kind: .flag, range: "true or false", defaultText: "false", read: { "\($0.blendLatents)" },
      write: { $0.blendLatents = try Grammar.flag($1, name: "blend-latents") }),
    Knob(
      name: "word-weights",
      blurb: "Scale the cross-attention of single words of the edit, like watercolor=10; none by default.",
      kind: .list, range: "WORD=FACTOR, separated by commas, each factor -1000 to 1000", defaultText: "",
      read: { $0.allWordWeights.map { "\(Grammar.escaped($0.word))=\($0.weight)" }.joined(separator: ",") },
      write: { $0.wordWeights = try wordWeights($1) }),
    choice(
      "attention-source",
      "Where the fused attention comes from: inversion (the default), a reconstruction pass, or none (plain "
        + "inversion and generation).", \.attentionSource),
    Knob(
      name: "frame-coupling",
      blurb:
        "Frames whose keys and values each frame's self-attention reads, joined by +; auto (the default) is "
        + "self+middle, or previous+first for a model with temporal attention.",
      kind: .list, range: "auto, none, or self, previous, next, first, last, middle, -2, ... joined by +",
      defaultText: "auto", read: { $0.frameCoupling.map(FrameReference.text(of:)) ?? "auto" },
      write: { $0.frameCoupling = $1 == "auto" ? nil : try FrameReference.parse($1) }),
    Knob(
      name: "coupling-min-width",
      blurb:
        "Smallest width, in channels, of the layers whose self-attention spans frames; second is the width of the "
        + "model's second level with attention (640 in Stable Diffusion 1); default 0, every layer.",
      kind: .list, range: "0 to 65536, or second", defaultText: "0", read: { text(of: $0.couplingMinWidth) },
      write: {
        $0.couplingMinWidth =
          $1 == "second" ? .secondLevel : .channels(try Grammar.integer($1, in: 0...65536, name: "coupling-min-width"))
      }),
    integer(
      "fusion-max-tokens",
      "Largest number of query tokens (pixels of a layer's feature map) whose attention is recorded and fused; "
        + "default 1024, 32x32.", 0...1_048_576, \.fusionMaxTokens),
    integer(
      "clip-length", "Frames edited together, as one window; default 8, and 0 is the whole clip.", 0...100_000,
      \.clipLength),
    choice(
      "precision",
      "Numeric precision of the network: f32, bf16 (faster, half the memory, relative error about 1e-2), or auto "
        + "(the default): bf16 if the processor supports it.", \.precision),
    integer("threads", "Number of threads; default 0: all CPUs available to this process.", 0...1024, \.threads),
    choice(
      "record",
      "What is recorded of the source's attention: queries-keys, maps (larger), recompute (nothing; slower), or "
        + "auto (the default): queries-keys, or recompute if they do not fit memory-limit.", \.record),
    Knob(
      name: "record-dir",
      blurb:
        "Folder where the source's recorded attention is stored during the edit, instead of in memory; none by "
        + "default.",
      kind: .path, range: "a folder", defaultText: "", read: { $0.recordFolder ?? "" },
      write: { $0.recordFolder = $1.isEmpty ? nil : $1 }),
    Knob(
      name: "memory-limit",
      blurb: "Memory limit for an edit, in bytes or like 8G; default 0: all available memory.",
      kind: .list, range: "bytes, or a number with K, M or G", defaultText: "0",
      read: { Grammar.byteCountText($0.memoryLimit) },
      write: { $0.memoryLimit = try Grammar.byteCount($1, name: "memory-limit") }),
    choice(
      "prediction-type",
      "What the network predicts: epsilon (the noise), v_prediction (the velocity), or auto (the default): as the "
        + "model says, else v_prediction for a single-file 2.x checkpoint and epsilon otherwise.", \.predictionType),
    path(
      "unet",
      "UNet to use instead of the model's own, such as one tuned on a clip: its folder or file; none by default.",
      \.unet),
    path(
      "vae",
      "Autoencoder (VAE) to use instead of the model's own: its folder or file, in the diffusers or the original "
        + "layout; none by default.", \.vae),
    Knob(
      name: "lora",
      blurb:
        "LoRA, LoHa, LoKr, DoRA or IA3 files to merge into the model, each optionally followed by a colon and a "
        + "weight (default 1), like style.safetensors:0.8; none by default.",
      kind: .list, range: "FILE or FILE:WEIGHT, separated by commas, each weight -100 to 100", defaultText: "",
      read: { $0.loras.map { "\(Grammar.escaped($0.path)):\($0.weight)" }.joined(separator: ",") },
      write: { $0.loras = try loras($1) }),
    Knob(
      name: "embedding",
      blurb:
        "Textual inversions, each with the word that stands for it in prompts, like <toy>=toy.pt, or under the "
        + "names in the file if no word is given; none by default.",
      kind: .list, range: "WORD=FILE or FILE, separated by commas", defaultText: "",
      read: {
        $0.embeddings.map { ($0.word.map { "\(Grammar.escaped($0))=" } ?? "") + Grammar.escaped($0.path) }.joined(
          separator: ",")
      },
      write: { $0.embeddings = try embeddings($1) }),
  ]

  /// Names of the settings that say what of the machine is used and where files go. They change no frame, and belong to whoever
  /// runs the edit.
  public static let ofMachine = ["threads", "record", "record-dir", "memory-limit"]

  public static func named(_ name: String) -> Knob? { all.first { $0.name == name } }

  /// The knob whose name is `name` but for one or two slips.
  static func nearest(to name: String) -> String? {
    let length = name.count
    // A slip changes the length by one at most; of a megabyte of name no distance need be found.
    let distances = all.filter { abs($0.name.count - length) <= 2 }.map { (editDistance(name, $0.name), $0.name) }
    return distances.min { $0.0 < $1.0 }.flatMap { $0.0 <= 2 ? $0.1 : nil }
  }

  private static func editDistance(_ a: String, _ b: String) -> Int {
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let substituted = diagonal + (x == y ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(row[j] + 1, row[j + 1] + 1, substituted)
      }
    }
    return row[b.count]
  }

  // MARK: - Kinds

  private static func text(
    _ name: String, _ blurb: String, _ read: @escaping @Sendable (Settings) -> String,
    _ write: @escaping @Sendable (inout Settings, String) throws -> Void
  ) -> Knob {
    Knob(name: name, blurb: blurb, kind: .text, range: "text", defaultText: "", read: read, write: write)
  }

  private static func path(
    _ name: String, _ blurb: String, _ path: WritableKeyPath<Settings, String?> & Sendable
  ) -> Knob {
    Knob(
      name: name, blurb: blurb, kind: .path, range: "a folder, a file, or ORG/NAME[@REVISION]", defaultText: "",
      read: { $0[keyPath: path] ?? "" }, write: { $0[keyPath: path] = $1.isEmpty ? nil : $1 })
  }

  private static func integer(
    _ name: String, _ blurb: String, _ range: ClosedRange<Int>, _ path: WritableKeyPath<Settings, Int> & Sendable
  ) -> Knob {
    Knob(
      name: name, blurb: blurb, kind: .integer(range), range: "\(range.lowerBound) to \(range.upperBound)",
      defaultText: "\(Settings()[keyPath: path])", read: { "\($0[keyPath: path])" },
      write: { $0[keyPath: path] = try Grammar.integer($1, in: range, name: name) })
  }

  private static func number(
    _ name: String, _ blurb: String, _ range: ClosedRange<Double>, _ path: WritableKeyPath<Settings, Float> & Sendable
  ) -> Knob {
    Knob(
      name: name, blurb: blurb, kind: .number(range), range: "\(range.lowerBound) to \(range.upperBound)",
      defaultText: "\(Settings()[keyPath: path])", read: { "\($0[keyPath: path])" },
      write: { $0[keyPath: path] = Float(try Grammar.number($1, in: range, name: name)) })
  }

  private static func choice<Choice>(
    _ name: String, _ blurb: String, _ path: WritableKeyPath<Settings, Choice> & Sendable
  ) -> Knob where Choice: RawRepresentable & CaseIterable & Sendable, Choice.RawValue == String {
    let names = Choice.allCases.map(\.rawValue)
    return Knob(
      name: name, blurb: blurb, kind: .choice(names), range: names.joined(separator: ", "),
      defaultText: Settings()[keyPath: path].rawValue, read: { $0[keyPath: path].rawValue },
      write: { $0[keyPath: path] = try Grammar.choice($1, as: Choice.self, name: name) })
  }

  // MARK: - Lists

  private static func size(_ text: String) throws -> WorkingSize? {
    if text == "auto" { return nil }
    let sides = text.pieces(at: "x", keepingEmpty: true)
    guard sides.count == 2 else {
      throw SettingsError("\"\(text)\" is no size; write it like 512x320, in pixels", in: "size")
    }
    return WorkingSize(
      width: try Grammar.integer(String(sides[0]), in: 8...8192, name: "size"),
      height: try Grammar.integer(String(sides[1]), in: 8...8192, name: "size"))
  }

  private static func crossReplace(_ text: String, default everywhere: StepRange) throws -> CrossReplace {
    var result = CrossReplace(everywhere: everywhere)
    for entry in try Grammar.entries(text, in: "cross-replace") {
      let steps = try StepRange(parsing: entry.value, in: "cross-replace")
      switch entry.word {
      case nil: result.everywhere = steps
      case "": throw SettingsError("\"\(text)\" names no word before =", in: "cross-replace")
      case let word?: result.words.append(WordRange(word: word, steps: steps))
      }
    }
    return result
  }

  private static func text(of crossReplace: CrossReplace) -> String {
    ([crossReplace.everywhere.description] + crossReplace.words.map { "\(Grammar.escaped($0.word))=\($0.steps)" })
      .joined(separator: ",")
  }

  private static func blendWords(_ text: String) throws -> BlendWords? {
    var words = BlendWords(source: [], target: [])
    for entry in try Grammar.entries(text, in: "blend-words") {
      let (source, target) = entry.word.map { ($0, entry.value) } ?? (entry.value, "")
      if !source.isEmpty { words.source.append(source) }
      if !target.isEmpty { words.target.append(target) }
    }
    return words.source.isEmpty && words.target.isEmpty ? nil : words
  }

  private static func text(of words: BlendWords?) -> String {
    guard let words else { return "" }
    return (0..<max(words.source.count, words.target.count)).map { index in
      let source = index < words.source.count ? Grammar.escaped(words.source[index]) : ""
      return index < words.target.count ? "\(source)=\(Grammar.escaped(words.target[index]))" : source
    }.joined(separator: ",")
  }

  private static func wordWeights(_ text: String) throws -> [WordWeight] {
    try Grammar.entries(text, in: "word-weights").map { entry in
      guard let word = entry.word, !word.isEmpty else {
        throw SettingsError("\"\(entry.value)\" names no word; write watercolor=10", in: "word-weights")
      }
      return WordWeight(
        word: word, weight: Float(try Grammar.number(entry.value, in: -1000...1000, name: "word-weights")))
    }
  }

  private static func loras(_ text: String) throws -> [Checkpoint.LoRA] {
    try FileList.entries(text, takesWeights: true, in: "lora").map { entry in
      guard !entry.path.isEmpty else { throw SettingsError("\"\(text)\" names no file before :", in: "lora") }
      let weight = entry.weight ?? 1
      guard weight.isFinite, (-100...100).contains(weight) else {
        throw SettingsError("the weight \(weight) is out of range; it is -100 to 100", in: "lora")
      }
      return Checkpoint.LoRA(path: entry.path, weight: Float(weight))
    }
  }

  private static func embeddings(_ text: String) throws -> [Checkpoint.Embedding] {
    var embeddings: [Checkpoint.Embedding] = []
    for entry in try FileList.entries(text, takesWords: true, in: "embedding") {
      guard entry.word != "", !entry.path.isEmpty else {
        throw SettingsError(
          "\"\(entry.word ?? "")=\(entry.path)\" is no WORD=FILE; write <toy>=toy.pt", in: "embedding")
      }
      guard !(entry.word ?? "").contains(where: \.isWhitespace) else {
        throw SettingsError(
          "\"\(entry.word ?? "")\" is more than one word; a textual inversion stands for one", in: "embedding")
      }
      guard let word = entry.word, embeddings.contains(where: { $0.word?.lowercased() == word.lowercased() }) else {
        embeddings.append(Checkpoint.Embedding(word: entry.word, path: entry.path))
        continue
      }
      throw SettingsError("\"\(word)\" is given twice (case does not matter)", in: "embedding")
    }
    return embeddings
  }

  private static func text(of width: Settings.CouplingMinWidth) -> String {
    switch width {
    case .channels(let count): "\(count)"
    case .secondLevel: "second"
    }
  }
}
