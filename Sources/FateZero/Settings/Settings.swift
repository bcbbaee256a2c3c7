import StableDiffusion
import Tensors

/// Steps at which cross-attention is taken from the source.
public struct CrossReplace: Sendable, Equatable {
  /// For every word that has no range of its own.
  public var everywhere: StepRange
  /// Words of the target prompt with their own range; a later one overwrites an earlier one.
  public var words: [WordRange]

  public init(everywhere: StepRange, words: [WordRange] = []) {
    self.everywhere = everywhere
    self.words = words
  }
}

public struct WordRange: Sendable, Equatable {
  public var word: String
  public var steps: StepRange

  public init(word: String, steps: StepRange) {
    self.word = word
    self.steps = steps
  }
}

public struct WordWeight: Sendable, Equatable {
  public var word: String
  /// Factor of the word's cross-attention; 1 changes nothing.
  public var weight: Float

  public init(word: String, weight: Float) {
    self.word = word
    self.weight = weight
  }
}

/// Words whose attention shows where to edit.
public struct BlendWords: Sendable, Equatable {
  /// Words of the source prompt; their attention makes the mask.
  public var source: [String]
  /// Words of the target prompt; latent blending adds their attention to the mask.
  public var target: [String]

  public init(source: [String], target: [String]) {
    self.source = source
    self.target = target
  }
}

/// Size of the frames that the model works on, in pixels.
public struct WorkingSize: Sendable, Equatable {
  public var width: Int
  public var height: Int

  public init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }
}

/// What the network predicts, where the model's own word is not to be taken.
public enum PredictionChoice: String, Sendable, CaseIterable {
  case auto, epsilon
  case velocity = "v_prediction"

  var type: SchedulerConfiguration.PredictionType? {
    switch self {
    case .auto: nil
    case .epsilon: .epsilon
    case .velocity: .velocity
    }
  }
}

/// Everything that decides what an edit does. `Knobs.all` describes each setting; `set(_:to:)` writes one from text.
public struct Settings: Sendable, Equatable {
  public enum BlendAttention: String, Sendable, CaseIterable { case auto, on, off }
  public enum AttentionSource: String, Sendable, CaseIterable { case inversion, reconstruction, none }
  public enum Precision: String, Sendable, CaseIterable {
    /// `bfloat16` where the processor computes in it, else `float32`.
    case automatic = "auto"
    case float32 = "f32"
    case bfloat16 = "bf16"

    public var ofDevice: Device.Precision {
      switch self {
      case .automatic: .fastest
      case .float32: .float32
      case .bfloat16: .bfloat16
      }
    }
  }
  public enum Record: String, Sendable, CaseIterable {
    /// `queriesKeys`, or `recompute` where the memory does not allow that.
    case auto
    case queriesKeys = "queries-keys"
    case maps, recompute
  }

  /// Channels from which on self-attention layers are coupled over frames.
  public enum CouplingMinWidth: Sendable, Equatable {
    case channels(Int)
    /// The width of the UNet's second level with attention (640 in Stable Diffusion 1), or of its only one.
    case secondLevel
  }

  enum Prompt: String, Sendable, CaseIterable { case edit, source, negative }

  /// Bytes of a prompt, at most. The text encoder sees some hundreds of them.
  public static let promptBytes = 8192

  /// Settings by name, in the notation of `set(_:to:)`; a later one overwrites an earlier one.
  public typealias Layer = [(name: String, text: String)]

  /// Target prompt. Never holds brackets of the inline form, nor the web UI's syntax: `set("edit", ...)` has taken them
  /// apart.
  public var edit = ""
  /// Source prompt; nil if none was given: the inversion is then unconditional and only self-attention is fused.
  public var source: String?
  public var negative = ""
  /// Folder or file of the model, or `ORG/NAME` of the Hugging Face cache; nil to search the usual places.
  public var model: String?
  /// Networks in place of the model's own.
  public var unet: String?, vae: String?
  public var loras: [Checkpoint.LoRA] = []
  public var embeddings: [Checkpoint.Embedding] = []
  public var predictionType = PredictionChoice.auto
  public var steps = 50
  public var guidanceScale: Float = 7.5
  public var crossMode = WordAlignment.Mode.auto
  public var crossReplace = CrossReplace(everywhere: StepRange(0, 0.8))
  public var blendAttention = BlendAttention.auto
  public var blendWords: BlendWords?
  /// A pixel is edited where the normalised attention exceeds this; above 1 nothing is.
  public var blendThreshold: Float = 0.3
  public var blendLatents = false
  public var wordWeights: [WordWeight] = []
  public var attentionSource = AttentionSource.inversion
  /// nil: `self+middle`, or `previous+first` for a checkpoint with temporal attention.
  public var frameCoupling: [FrameReference]?
  public var couplingMinWidth = CouplingMinWidth.channels(0)
  public var fusionMaxTokens = 1024
  /// Frames per window; 0 is the whole clip.
  public var clipLength = 8
  /// nil: the model's native area at the clip's aspect.
  public var size: WorkingSize?
  public var precision = Precision.automatic
  /// 0: the CPUs this process may run on.
  public var threads = 0
  public var record = Record.auto
  /// nil: the record is in memory.
  public var recordFolder: String?
  /// Bytes; 0: no limit but the machine's.
  public var memoryLimit = 0
  /// `.exact` only under a configuration of the reference repository.
  public var wordMatching = WordMatching.relaxed
  /// Prompt of the reconstruction pass under `attentionSource == .reconstruction`; nil is the source prompt.
  public var reconstruction: String?

  private var chosenSelfReplace: StepRange?
  /// What the prompts held of the web UI's syntax.
  private(set) var webUI: [Prompt: WebUISyntax] = [:]

  public init() {}

  /// Steps at which self-attention is taken from the source. Until it is set: 0 to 0.8, or to 0.5 without a source
  /// prompt, where nothing else would let the edit through.
  public var selfReplace: StepRange {
    get { chosenSelfReplace ?? StepRange(0, source == nil ? 0.5 : 0.8) }
    set { chosenSelfReplace = newValue }
  }

  var selfReplaceText: String { chosenSelfReplace.map(\.description) ?? "auto" }

  mutating func setSelfReplace(_ range: StepRange?) { chosenSelfReplace = range }

  /// The factors written into the edit's prompt, then those given by name, which win.
  public var allWordWeights: [WordWeight] { (webUI[.edit]?.emphasis ?? []) + wordWeights }

  /// What prompts say of the web UI's LoRA, each once.
  var loraTags: [WebUISyntax.LoRATag] {
    Prompt.allCases.flatMap { webUI[$0]?.loras ?? [] }.reduce(into: []) { tags, tag in
      if !tags.contains(where: { $0.name == tag.name }) { tags.append(tag) }
    }
  }

  mutating func setPrompt(_ path: WritableKeyPath<Settings, String>, _ prompt: Prompt, to typed: String) {
    let syntax = WebUISyntax(typed)
    self[keyPath: path] = syntax.text
    webUI[prompt] = syntax.isPlain ? nil : syntax
  }

  mutating func setSource(_ typed: String) {
    let syntax = WebUISyntax(typed)
    source = syntax.text.isEmpty ? nil : syntax.text
    webUI[.source] = syntax.isPlain ? nil : syntax
  }

  /// - Throws: `SettingsError` for a prompt that is longer than any that is read.
  static func checkLength(of prompt: String, in name: String) throws {
    guard prompt.utf8.count <= promptBytes else {
      throw SettingsError(
        "the prompt has \(prompt.utf8.count) bytes; at most \(promptBytes) are read, and the model sees some hundreds",
        in: name)
    }
  }

  /// What became of the web UI's syntax, as sentences, without its LoRA.
  var syntaxNotes: [String] {
    func listed(_ weights: [WordWeight]) -> String {
      weights.map { "\(Grammar.escaped($0.word))=\($0.weight)" }.joined(separator: ",")
    }
    var notes: [String] = []
    let emphasis = webUI[.edit]?.emphasis ?? []
    if !emphasis.isEmpty {
      notes.append(
        "edit: parentheses and brackets are read as in the web UI, word-weights \(listed(emphasis))"
          + (source == nil ? ", which have no effect without a source prompt" : "") + "; \\( is a plain parenthesis")
    }
    for prompt in [Prompt.source, .negative] {
      let own = (webUI[prompt]?.emphasis ?? []).filter { prompt == .negative || !emphasis.contains($0) }
      if !own.isEmpty {
        notes.append(
          "\(prompt.rawValue): the weights \(listed(own)) are left out; words of the edit alone have weights here")
      }
    }
    for prompt in Prompt.allCases {
      for part in webUI[prompt]?.leftOut ?? [] { notes.append("\(prompt.rawValue): left out is \(part)") }
    }
    return notes
  }

  /// Whether self-attention is fused under a mask, where no other one is given.
  public var blendsAttention: Bool {
    switch blendAttention {
    case .on: true
    case .off: false
    case .auto: blendWords != nil
    }
  }

  /// Writes one setting.
  /// - Parameter name: one of `Knobs.all`. `preset` writes all the settings of that preset.
  /// - Throws: `SettingsError`; the settings are unchanged then.
  public mutating func set(_ name: String, to text: String) throws {
    guard let knob = Knobs.named(name) else {
      throw SettingsError(
        "there is no setting \"\(name.prefix(80))\"\(Knobs.nearest(to: name).map { "; did you mean \($0)?" } ?? "")")
    }
    var changed = self
    try knob.write(&changed, text)
    self = changed
  }

  /// The text that `set(_:to:)` would read back; nil for an unknown name.
  public func text(of name: String) -> String? { Knobs.named(name).map { $0.read(self) } }

  /// Writes the settings of one origin. Their order among each other does not matter except for a repeated name: a
  /// preset comes first, then the edit, so that words given beside an inline edit replace those of its brackets.
  /// - Throws: `SettingsError`, also for a source prompt beside an edit with brackets, which already holds one, unless both
  ///   are the same.
  public mutating func apply(_ layer: Layer) throws {
    for entry in layer where entry.name == "preset" { try set(entry.name, to: entry.text) }
    for entry in layer where entry.name == "edit" {
      if let inline = try InlineEdit.parse(entry.text), let source = layer.last(where: { $0.name == "source" }),
        InlineEdit.plain(source.text) != inline.source
      {
        throw SettingsError(
          "the source prompt is given twice, here and by the brackets of the edit; leave one out", in: "source")
      }
      try set(entry.name, to: entry.text)
    }
    for entry in layer where entry.name != "preset" && entry.name != "edit" { try set(entry.name, to: entry.text) }
  }

  /// Settings from all origins, later ones over earlier ones: defaults, then the layers in order (the model's, the user's).
  public init(layers: [Layer]) throws {
    self.init()
    for layer in layers { try apply(layer) }
  }

  /// What single settings cannot see.
  /// - Parameter mask: How a mask of the user's own is used, if there is one.
  /// - Throws: `SettingsError` for settings that contradict each other.
  public func validate(mask: GivenMask? = nil) throws {
    if edit.isEmpty { throw SettingsError("no prompt was given; say what you want to see", in: "edit") }
    for (name, prompt) in [("edit", edit), ("source", source ?? reconstruction ?? ""), ("negative", negative)] {
      try Settings.checkLength(of: prompt, in: name)
    }
    if mask != nil, blendAttention == .off, !blendLatents {
      throw SettingsError("a mask was given, but nothing is blended; set blend-attention to auto or on", in: "mask")
    }
    if mask != nil, attentionSource == .none {
      throw SettingsError("a mask was given, but nothing is kept of the source; leave attention-source out", in: "mask")
    }
    let blends = mask == nil ? blendAttention == .on || blendLatents : mask == .intersected
    if blends, (blendWords?.source ?? []).isEmpty {
      throw SettingsError(
        "blending needs the words to blend around; write the edit like \"a [cat -> tiger] on the grass\" or set "
          + "blend-words to cat=tiger", in: "blend-words")
    }
    if source == nil {
      let named: [(Bool, String)] = [
        (blends || blendWords != nil, "blend-words"), (!crossReplace.words.isEmpty, "cross-replace"),
        (!wordWeights.isEmpty, "word-weights"),
      ]
      if let (_, name) = named.first(where: \.0) {
        throw SettingsError("words can be named only beside a source prompt; set source", in: name)
      }
    }
  }
}
