import Glibc
import StableDiffusion
import Tensors

/// How a mask of the user's own meets the one that the blend words make.
public enum GivenMask: String, Sendable, CaseIterable {
  /// It takes its place.
  case instead = "replace"
  /// What is edited lies in both.
  case intersected = "intersect"
}

/// One edit with all its words found: what `AttentionFusion` needs, before any work.
public struct PlannedEdit: Sendable {
  public let settings: Settings
  public let target: PromptWords
  /// Padded token ids.
  public let targetTokens: [Int]
  /// nil where there is no source prompt to align with.
  public let alignment: WordAlignment?
  let cross: CrossAttentionFusion?
  /// Edit steps whose self-attention is fused.
  public let selfSteps: Range<Int>
  public let blendsAttention: Bool, blendsLatents: Bool
  /// Whether the blend words make a mask.
  let findsMask: Bool
  /// 1 at the tokens of the blend words, in the source and in the target prompt.
  let sourceBlendWeights: [Float], targetBlendWeights: [Float]
  /// What the method reads of the source's attention.
  private(set) var needs: RecordingNeeds
  /// Whether some step reads the source's cross-attention and the edit's own.
  let mixesCrossAttention: Bool

  /// What becomes of the words; nil without a source prompt to compare with.
  public func fate(source: PromptWords?) -> WordFate? {
    guard let source, let alignment else { return nil }
    return WordFate(source: source, target: target, alignment: alignment)
  }
}

/// Everything about a run that can be known before it: sizes, tokens, alignment, layers, steps. Making a plan checks all
/// settings against each other and against the model; it reads no weights.
public struct EditPlan: Sendable {
  public let edits: [PlannedEdit]
  public let method: any EditingMethod
  /// The source prompt; nil where none was given (the inversion is then unconditional).
  public let source: PromptWords?
  /// Padded token ids.
  public let sourceTokens: [Int], negativeTokens: [[Int]]
  /// Padded ids of the reconstruction's prompt, where attention comes from a reconstruction.
  public let reconstructionTokens: [Int]?
  public let scheduler: DDIMScheduler
  public let frameSize: FrameSize, workingSize: FrameSize, outputSize: FrameSize
  public let latentRows: Int, latentColumns: Int
  public let coupling: [FrameReference]
  /// Layers with fewer channels stay within their frame.
  public let couplingMinWidth: Int
  /// Frames per window; nil is the whole clip.
  public let clipLength: Int?
  private let chosenRecord: Settings.Record
  /// How 3x3 convolutions are to be computed.
  public internal(set) var convolutions = Device.Convolutions.direct
  /// What is done without to fit the memory.
  public internal(set) var economies: Set<Economy> = []
  /// How the autoencoder cuts frames that are larger than a tile, where nothing else fits: colours may change a little from
  /// tile to tile. nil: not at all.
  public internal(set) var tiling: AutoencoderTiling?
  /// Where the record's files lie while they are needed; nil where it is in memory, or there is none.
  public let recordFolder: String?
  /// What the device is to compute in.
  public let precision: Device.Precision
  /// What the device is to have; 0 is all CPUs.
  let threads: Int
  public let sites: [AttentionSite]
  /// The cross-attention layers that the blending mask is taken from.
  public let maskSites: [AttentionSite]
  /// How the user's own mask is used, which every frame then comes with; nil where there is none.
  public let mask: GivenMask?
  /// What the user should know, a sentence each.
  public let warnings: [String]
  let transform: FrameTransform
  let needs: RecordingNeeds
  let channels: Int
  let estimate: CostEstimate
  /// What inversions of this plan depend on.
  let inversionBasis: Inversion.Basis

  /// - Parameters:
  ///   - model: Opened or loaded.
  ///   - edits: At least one. What belongs to the clip rather than to the edit (source, steps, coupling, clip length, size,
  ///     record) is the same in all of them.
  ///   - frameSize: Of the clip.
  ///   - mask: How the mask is used that comes with every frame, if one does.
  ///   - method: nil: the one that the settings' source of attention names.
  /// - Throws: `EditError`, `SettingsError`, `ModelError`.
  public init(
    model: StableDiffusionModel, edits: [Settings], frameSize: FrameSize, geometry: FrameGeometry = .whole,
    mask: GivenMask? = nil, method chosenMethod: (any EditingMethod)? = nil
  ) throws {
    guard let shared = edits.first else { throw EditError(.settings, "there is no edit to do") }
    method = chosenMethod ?? shared.attentionSource.method
    for edit in edits {
      try edit.validate(mask: mask)
      guard edit.sharesClip(with: shared) else {
        throw EditError(
          .settings, "several edits of one inversion need the same source prompt, steps, sizes and frame coupling")
      }
    }
    do {
      scheduler = try DDIMScheduler(model.schedulerConfiguration, steps: shared.steps)
    } catch let error as ModelError {
      throw SettingsError(error.description, in: "steps")
    }
    var warnings: [String] = []

    guard model.tokenizer.length == PromptWords.contextLength else {
      throw EditError(
        .settings,
        "the model reads \(model.tokenizer.length) tokens; \(PromptWords.contextLength) are implemented")
    }

    // Sizes.
    try EditPlan.check(frameSize, "the clip")
    self.frameSize = frameSize
    let factor = model.autoencoder.factor
    let chosen = try EditPlan.workingSize(shared.size, frameSize: frameSize, model: model)
    try EditPlan.check(chosen, "size")
    transform = try FrameTransform(geometry, frameSize: frameSize, workingSize: chosen)
    workingSize = transform.workingSize
    outputSize = transform.outputSize
    guard workingSize.width % factor == 0, workingSize.height % factor == 0 else {
      throw EditError(
        .settings, "size: \(workingSize) is not a multiple of \(factor) pixels, the model's factor, on both sides")
    }
    (latentRows, latentColumns) = (workingSize.height / factor, workingSize.width / factor)
    channels = model.unet.configuration.inputChannels

    // Layers.
    sites = model.unet.sites(rows: latentRows, columns: latentColumns)
    guard sites.allSatisfy({ $0.rows > 0 && $0.columns > 0 }) else {
      throw EditError(
        .settings, "size: \(workingSize) is too small for the model's \(model.unet.configuration.levels) levels")
    }
    coupling =
      shared.frameCoupling
      ?? (model.unet.hasTemporalAttention ? [.relative(-1), .first] : [.relative(0), .middle])
    let configuration = model.unet.configuration
    let widths = zip(configuration.blockOutChannels, configuration.downBlockHasAttention).filter(\.1).map(\.0)
    switch shared.couplingMinWidth {
    case .channels(let width): couplingMinWidth = width
    case .secondLevel: couplingMinWidth = widths.dropFirst().first ?? widths.first ?? 0
    }
    clipLength = shared.clipLength > 0 ? shared.clipLength : nil
    chosenRecord = shared.record
    if let folder = shared.recordFolder { try EditPlan.check(recordFolder: folder) }
    recordFolder = shared.record == .recompute ? nil : shared.recordFolder
    self.mask = mask
    precision = shared.precision.ofDevice
    threads = shared.threads
    guard precision == .float32 || precision == .fastest else {
      throw SettingsError("this processor has no bf16 arithmetic (AVX512-BF16); use f32 or auto", in: "precision")
    }
    maskSites = BlendMask.sites(
      among: sites, latentRows: latentRows, latentColumns: latentColumns, maxTokens: shared.fusionMaxTokens)

    // Words.
    func padded(_ prompt: String, _ name: String) -> [Int] {
      let (ids, lost) = model.tokenizer.padded(prompt)
      if let lost {
        EditPlan.note("\(name): the prompt is longer than the model reads; lost: \(lost)", in: &warnings)
      }
      return ids
    }
    source = shared.source.map { PromptWords($0, tokenizer: model.tokenizer, matching: shared.wordMatching) }
    sourceTokens = padded(shared.source ?? "", "source")
    negativeTokens = edits.map { padded($0.negative, "negative") }
    if shared.attentionSource == .reconstruction {
      reconstructionTokens = padded(shared.reconstruction ?? shared.source ?? "", "source")
    } else {
      reconstructionTokens = nil
    }
    if shared.source == nil, shared.attentionSource != .none {
      warnings.append(
        "no source prompt: only self-attention can be kept. Say what the clip shows (source, or an edit like "
          + "\"a [cat -> tiger] on the grass\") and the words that stay will hold their place too")
    }

    for edit in edits {
      for note in edit.syntaxNotes { EditPlan.note(note, in: &warnings) }
      for tag in edit.loraTags { EditPlan.note(ModelOptions.note(on: tag, loras: model.loras), in: &warnings) }
    }

    var planned: [PlannedEdit] = []
    let targets = edits.map { PromptWords($0.edit, tokenizer: model.tokenizer, matching: $0.wordMatching) }
    for (edit, target) in zip(edits, targets) {
      planned.append(
        try PlannedEdit(
          edit.leavingOutWords { word in
            target.positions(of: word).isEmpty && targets.contains { !$0.positions(of: word).isEmpty }
          }, source: source, target: target, targetTokens: padded(edit.edit, "edit"), steps: shared.steps,
          maskSites: maskSites, mask: mask, method: method, warnings: &warnings))
    }
    self.edits = planned
    let needs = planned.map(\.needs).reduce(RecordingNeeds(maxTokens: shared.fusionMaxTokens)) { $0.union($1) }
    self.needs = needs
    if !needs.selfSteps.isEmpty, !sites.contains(where: { $0.tokens <= needs.maxTokens }) {
      warnings.append(
        "no attention layer has \(needs.maxTokens) or fewer tokens at \(workingSize): nothing can be fused; raise "
          + "fusion-max-tokens or lower size")
    }
    self.warnings = warnings
    estimate = CostEstimate(model: model)
    inversionBasis = Inversion.Basis(
      model: model.identity, method: method.sourceName, sourceTokens: sourceTokens,
      reconstructionTokens: reconstructionTokens,
      frameSize: frameSize, workingSize: workingSize, timesteps: scheduler.timesteps, coupling: coupling,
      couplingMinWidth: couplingMinWidth, precision: precision)
  }

  /// Adds a warning once.
  static func note(_ warning: String, in warnings: inout [String]) {
    if !warnings.contains(warning) { warnings.append(warning) }
  }

  private static func check(_ size: FrameSize, _ what: String) throws {
    guard 1...1 << 16 ~= size.width, 1...1 << 16 ~= size.height else {
      throw EditError(.settings, "\(what): \(size) pixels; each side must be 1 to \(1 << 16)")
    }
  }

  private static func check(recordFolder folder: String) throws {
    guard Folder.exists(folder) else {
      throw SettingsError("there is no folder \(folder); make it, or name another", in: "record-dir")
    }
    guard access(folder, W_OK | X_OK) == 0 else {
      throw SettingsError("cannot write to the folder \(folder)", in: "record-dir")
    }
  }

  /// The working size: the one asked for, else the model's native area at the clip's aspect with sides that the UNet
  /// halves evenly.
  private static func workingSize(
    _ size: WorkingSize?, frameSize: FrameSize, model: StableDiffusionModel
  ) throws -> FrameSize {
    if let size { return FrameSize(width: size.width, height: size.height) }
    let factor = model.autoencoder.factor
    let multiple = factor << (model.unet.configuration.levels - 1)
    let side = Double((model.unet.configuration.sampleSize ?? 64) * factor)
    let aspect = (Double(frameSize.width) / Double(frameSize.height)).squareRoot()
    func rounded(_ length: Double) -> Int { max(1, Int((length / Double(multiple)).rounded())) * multiple }
    return FrameSize(width: rounded(side * aspect), height: rounded(side / aspect))
  }

  /// The size of a clip that is not there yet: the working size, or the model's native one.
  public static func assumedFrameSize(_ settings: Settings, model: StableDiffusionModel) -> FrameSize {
    if let size = settings.size { return FrameSize(width: size.width, height: size.height) }
    let side = (model.unet.configuration.sampleSize ?? 64) * model.autoencoder.factor
    return FrameSize(width: side, height: side)
  }

  /// What is kept of the source's attention; never `auto`.
  public var record: Settings.Record {
    guard chosenRecord == .auto else { return chosenRecord }
    return economies.contains(.recomputedAttention) ? .recompute : .queriesKeys
  }

  /// Latents of each frame that are kept of the source.
  var sourceLevels: Int { method.sourceLevels(steps: scheduler.steps) }

  /// Whether all that is kept of the source's attention is in memory.
  var isRecordInMemory: Bool { record != .recompute && recordFolder == nil }

  /// Whether memory may decide what is kept.
  var isRecordOpen: Bool { chosenRecord == .auto && recordFolder == nil }

  /// Layers whose self-attention reads other frames.
  public var coupledSites: [AttentionSite] {
    coupling.isEmpty || coupling.allSatisfy({ $0 == .relative(0) })
      ? [] : sites.filter { $0.kind == .selfAttention && $0.channels >= couplingMinWidth }
  }

  /// How a clip of `frames` frames is cut into windows: how many there are, and the frames of the first and of the last.
  public func windows(frames: Int) -> (count: Int, first: Int, last: Int) {
    let length = min(clipLength ?? frames, frames)
    guard length > 0 else { return (0, 0, 0) }
    let (whole, rest) = frames.quotientAndRemainder(dividingBy: length)
    return (whole + (rest > 0 ? 1 : 0), length, rest > 0 ? rest : length)
  }

  /// The different windows of a clip and how often each comes: at most three, however long the clip says it is.
  func windowKinds(frames: Int) -> [(window: ClipWindow, times: Int)] {
    let windows = windows(frames: frames)
    guard windows.count > 0 else { return [] }
    var kinds = [(window: window(index: 0, count: windows.first), times: 1)]
    if windows.count > 2 { kinds.append((window(index: 1, count: windows.first), windows.count - 2)) }
    if windows.count > 1 { kinds.append((window(index: 1, count: windows.last), 1)) }
    return kinds
  }

  /// Whether each window carries frames of the one before, so that none can be edited before that one is.
  public var windowsFollowEachOther: Bool { window(index: 1, count: 1).carriesPrevious }

  func window(index: Int, count: Int) -> ClipWindow { ClipWindow(index: index, count: count, coupling: coupling) }
}

extension Settings {
  /// What is said of single words is said to all edits of a clip: an edit leaves out what is about another's.
  /// - Parameter isForeign: Whether a word is another edit's and not this one's.
  func leavingOutWords(where isForeign: (String) -> Bool) -> Settings {
    var settings = self
    settings.wordWeights.removeAll { isForeign($0.word) }
    settings.crossReplace.words.removeAll { isForeign($0.word) }
    settings.blendWords?.target.removeAll(where: isForeign)
    return settings
  }

  /// Whether two edits can share one inversion.
  func sharesClip(with other: Settings) -> Bool {
    source == other.source && steps == other.steps && frameCoupling == other.frameCoupling
      && couplingMinWidth == other.couplingMinWidth && clipLength == other.clipLength && size == other.size
      && record == other.record && recordFolder == other.recordFolder && fusionMaxTokens == other.fusionMaxTokens
      && precision == other.precision
      && attentionSource == other.attentionSource && reconstruction == other.reconstruction
      && wordMatching == other.wordMatching
  }
}

extension PlannedEdit {
  init(
    _ settings: Settings, source: PromptWords?, target: PromptWords, targetTokens: [Int], steps: Int,
    maskSites: [AttentionSite], mask: GivenMask?, method: any EditingMethod, warnings: inout [String]
  ) throws {
    self.settings = settings
    self.target = target
    self.targetTokens = targetTokens
    let fuses = settings.attentionSource != .none
    selfSteps = fuses ? settings.selfReplace.steps(of: steps) : 0..<0

    // Under the reference's exact matching a missing word is no error, but has no effect.
    if settings.wordMatching == .exact {
      let named =
        settings.wordWeights.map(\.word) + settings.crossReplace.words.map(\.word)
        + (settings.blendWords?.target ?? [])
      for word in target.missing(named) {
        EditPlan.note("\"\(word)\" does not occur in the prompt \"\(target.prompt)\" and has no effect", in: &warnings)
      }
      for word in source?.missing(settings.blendWords?.source ?? []) ?? [] {
        EditPlan.note(
          "\"\(word)\" does not occur in the prompt \"\(source?.prompt ?? "")\": its mask is empty", in: &warnings)
      }
    }

    if fuses, let source {
      let (alignment, note) = try WordAlignment.choose(mode: settings.crossMode, source: source, target: target)
      if let note { warnings.append(note) }
      self.alignment = alignment
      cross = CrossAttentionFusion(
        alignment: alignment, schedule: try CrossReplaceSchedule(settings.crossReplace, target: target, steps: steps),
        weights: try target.weights(
          settings.allWordWeights.filter { weight in
            settings.wordWeights.contains(weight) || !target.positions(of: weight.word).isEmpty
          }))
    } else {
      alignment = nil
      cross = nil
    }

    let blends = fuses && source != nil && settings.blendWords != nil && !maskSites.isEmpty
    findsMask = blends && mask != .instead
    blendsAttention = mask == nil ? blends && settings.blendsAttention : settings.blendAttention != .off
    blendsLatents = (blends || mask != nil) && settings.blendLatents
    let zeros = [Float](repeating: 0, count: PromptWords.contextLength)
    if blends, let source, let words = settings.blendWords {
      sourceBlendWeights = try source.mask(of: words.source, for: "blend-words")
      targetBlendWeights = try target.mask(of: words.target, for: "blend-words")
    } else {
      (sourceBlendWeights, targetBlendWeights) = (zeros, zeros)
    }

    mixesCrossAttention =
      cross.map { cross in (0..<steps).map(cross.at).contains { $0.readsSource && $0.keepsOwn } } ?? false
    if fuses, mask != .instead, settings.blendsAttention || settings.blendLatents, source != nil, maskSites.isEmpty {
      warnings.append("no cross-attention layer is small enough for a blending mask: nothing is blended")
    }
    needs = RecordingNeeds(maxTokens: settings.fusionMaxTokens)
    needs = method.needs(of: self, steps: steps, maskSites: maskSites)
  }
}
