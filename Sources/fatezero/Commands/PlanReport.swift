import FateZero
import StableDiffusion
import Tensors

/// What an edit will do, in words, before it is done.
struct PlanReport {
  let job: EditJob
  let plan: EditPlan
  /// nil where the input does not say.
  let frames: Int?
  let operationsPerSecond: Double
  let memoryLimit: Int?
  /// Whether a report is written, which takes a pass more.
  let observes: Bool

  var lines: [String] {
    var lines = [
      "model: \(job.directory.path) (\(job.directory.identity))",
      "clip: \(frames.map { Numerals.count($0, "frame") } ?? "unknown number of frames") of \(plan.frameSize), "
        + "edited at \(plan.workingSize) (latents \(plan.latentColumns)x\(plan.latentRows)), "
        + "written at \(plan.outputSize)",
      "windows: \(windows)",
      "arithmetic: \(arithmetic)",
      "steps: \(plan.scheduler.steps)",
      "coupling: \(coupling)",
    ]
    if let source = plan.source {
      lines.append("source: \(source.prompt)")
      lines.append("  tokens: \(tokens(source))")
    } else {
      lines.append("source: none")
    }
    if let prompt = job.edits.first?.reconstruction { lines.append("attention from a reconstruction of: \(prompt)") }
    for (index, edit) in plan.edits.enumerated() {
      lines.append(plan.edits.count > 1 ? "edit \(index + 1): \(edit.target.prompt)" : "edit: \(edit.target.prompt)")
      lines += describe(edit).map { "  " + $0 }
    }
    lines.append("memory: \(memory)")
    lines.append("time: \(time)")
    lines += job.directory.assumptions.map { "note: \($0)" } + plan.warnings.map { "warning: \($0)" }
    return lines
  }

  // MARK: - The run

  private var windows: String {
    guard let frames else {
      return plan.clipLength.map { "of \(Numerals.count($0, "frame"))" } ?? "the whole clip at once"
    }
    let (count, first, last) = plan.windows(frames: frames)
    guard count > 1 else { return "1, the whole clip" }
    return "\(count) of \(Numerals.count(first, "frame"))" + (last == first ? "" : ", the last of \(last)")
  }

  private var arithmetic: String {
    plan.precision.rawValue + (plan.convolutions == .winograd ? ", convolutions by Winograd's filtering in f32" : "")
  }

  private var coupling: String {
    let layers = plan.sites.filter { $0.kind == .selfAttention }.count
    let coupled = plan.coupledSites.count
    let list = FrameReference.text(of: plan.coupling)
    return "\(list), \(coupled) of \(layers) self-attention layers coupled"
      + (plan.couplingMinWidth > 0 ? " (those of \(plan.couplingMinWidth) channels and more)" : "")
  }

  /// The frames of the largest window, where the clip's number is unknown.
  private var framesAtOnce: Int { frames ?? plan.clipLength ?? 1 }

  private var memory: String {
    let peak = plan.peakBytes(frames: frames)
    let kept = plan.recordBytes(frames: frames)
    var text = "about \(Numerals.bytes(peak)), "
    if let folder = plan.recordFolder {
      text += "besides kept attention \(Numerals.bytes(kept)) (\(plan.record.rawValue)) in \(folder)"
    } else {
      text += "of that kept attention \(Numerals.bytes(kept)) (\(plan.record.rawValue))"
    }
    if let memoryLimit {
      text +=
        peak > memoryLimit
        ? ", MORE than the limit of \(Numerals.bytes(memoryLimit))" : "; limit \(Numerals.bytes(memoryLimit))"
    }
    if let economies = plan.economiesText { text += "; \(economies)" }
    return text
  }

  /// The run's, or one window's where the number of frames is unknown.
  var seconds: Double { plan.operations(frames: framesAtOnce, observes: observes) / operationsPerSecond }

  /// First guess, corrected while the edit runs.
  var time: String {
    "about \(Numerals.duration(seconds))" + (frames == nil ? " for each window" : "")
  }

  // MARK: - One edit

  private func describe(_ edit: PlannedEdit) -> [String] {
    let settings = edit.settings
    var lines = ["tokens: \(tokens(edit.target))"]
    if let alignment = edit.alignment, let fate = edit.fate(source: plan.source) {
      let mode = if case .replace = alignment { "replace" } else { "refine" }
      lines.append("words (\(mode)): \(fate)")
      lines.append("cross-attention from the source: \(crossSteps(settings, edit.target))")
    } else if settings.attentionSource == .none {
      lines.append("no attention is taken from the source")
    }
    if settings.attentionSource != .none {
      lines.append("self-attention from the source: \(steps(edit.selfSteps))")
    }
    if !settings.allWordWeights.isEmpty {
      lines.append("weights: " + settings.allWordWeights.map { "\($0.word) x\($0.weight)" }.joined(separator: ", "))
    }
    lines.append("blending: \(blending(edit))")
    lines.append(
      "guidance: \(settings.guidanceScale)" + (settings.negative.isEmpty ? "" : ", away from \"\(settings.negative)\""))
    return lines
  }

  private func crossSteps(_ settings: Settings, _ target: PromptWords) -> String {
    let count = plan.scheduler.steps
    func text(_ range: StepRange) -> String {
      steps(range.steps(of: count + 1).clamped(to: 0..<count))
    }
    let words = settings.crossReplace.words.filter { !target.positions(of: $0.word).isEmpty }
    return ([text(settings.crossReplace.everywhere)] + words.map { "\($0.word) \(text($0.steps))" }).joined(
      separator: "; ")
  }

  private func steps(_ range: Range<Int>) -> String {
    range.isEmpty ? "in no step" : "steps \(range.lowerBound + 1) to \(range.upperBound) of \(plan.scheduler.steps)"
  }

  private func blending(_ edit: PlannedEdit) -> String {
    guard edit.blendsAttention || edit.blendsLatents else { return "off" }
    let what = [edit.blendsAttention ? "self-attention" : nil, edit.blendsLatents ? "latents" : nil].compactMap { $0 }
    if plan.mask == .instead { return "\(what.joined(separator: " and ")) within the mask given" }
    let words = edit.settings.blendWords
    var text =
      "\(what.joined(separator: " and ")) \(plan.mask == nil ? "" : "within the mask given and ")around \(quoted(words?.source ?? []))"
    if let target = words?.target, !target.isEmpty { text += " and \(quoted(target))" }
    return text
      + ", threshold \(edit.settings.blendThreshold), mask from \(Numerals.count(plan.maskSites.count, "layer"))"
      + (plan.maskSites.first.map { " of \($0.columns)x\($0.rows)" } ?? "")
  }

  private func quoted(_ words: [String]) -> String { words.map { "\"\($0)\"" }.joined(separator: ", ") }

  /// Each word with the positions of its tokens: `a[1] chihuahua[2-4]`.
  private func tokens(_ words: PromptWords) -> String {
    zip(words.words, words.positions).map { word, positions in
      guard let first = positions.first, let last = positions.last else { return word }
      return "\(word)[\(first == last ? "\(first)" : "\(first)-\(last)")]"
    }.joined(separator: " ")
  }
}
