import FateZero

/// An edit configuration of the reference repository (ChenyangQiQi/FateZero, `config/*.yaml`), with its meaning there.
///
/// Read: `pretrained_model_path`, `dataset_config`, `editing_config`, `model_config`. Everything else is bookkeeping of
/// that repository. Words are looked up as it does, exactly; a word that does not occur has no effect.
struct ReferenceConfiguration {
  /// The frames to edit.
  struct Clip: Equatable {
    /// Folder or file, as written.
    var path: String?
    var prompt: String
    var startFrame = 0
    /// nil: all of them.
    var frameCount: Int? = 8
    var samplingRate = 1
    /// Sides of the square that is edited, in pixels.
    var imageSize = 512
    /// Pixels taken off each side before scaling.
    var offset = Offset()

    struct Offset: Equatable {
      var left = 0
      var right = 0
      var top = 0
      var bottom = 0
    }
  }

  /// One of `p2p_config`; what is nil there is decided by the prompt it belongs to.
  struct Edit: Equatable {
    var prompt: String
    var isReplace = true
    var crossReplace = CrossReplace(everywhere: .all)
    var selfReplace = StepRange.all
    var wordWeights: [WordWeight] = []
    var blendWords: BlendWords?
    var blendsAttention = false
    var blendsLatents = false
    var blendThreshold: Float = 0.3
  }

  var modelPath: String
  var clip: Clip
  var guidanceScale: Float
  var steps: Int
  /// False: plain inversion and generation (`prompt2prompt_edit: false`).
  var fusesAttention: Bool
  /// Prompt of the reconstruction run whose attention is read, under `use_inversion_attention: false`.
  var reconstruction: String?
  /// The edits that write a file.
  var edits: [Edit]
  var frameCoupling: [FrameReference]
  var couplingMinWidth: Int

  /// Writes this configuration's edit `index` over `settings`.
  func apply(edit index: Int, to settings: inout Settings) {
    let edit = edits[index]
    settings.edit = edit.prompt
    settings.source = clip.prompt
    settings.negative = ""
    settings.steps = steps
    settings.guidanceScale = guidanceScale
    settings.crossMode = edit.isReplace ? .replace : .refine
    settings.crossReplace = edit.crossReplace
    settings.selfReplace = edit.selfReplace
    settings.wordWeights = edit.wordWeights
    let blends = edit.blendWords != nil
    settings.blendWords = edit.blendsAttention || edit.blendsLatents ? edit.blendWords : nil
    settings.blendAttention = blends && edit.blendsAttention ? .on : .off
    settings.blendLatents = blends && edit.blendsLatents
    settings.blendThreshold = edit.blendThreshold
    settings.attentionSource = !fusesAttention ? .none : reconstruction == nil ? .inversion : .reconstruction
    settings.reconstruction = reconstruction
    settings.frameCoupling = frameCoupling
    settings.couplingMinWidth = .channels(couplingMinWidth)
    settings.fusionMaxTokens = 1024
    settings.clipLength = clip.frameCount ?? 0
    settings.size = WorkingSize(width: clip.imageSize, height: clip.imageSize)
    settings.wordMatching = .exact
  }
}

// MARK: - Reading

extension ReferenceConfiguration {
  /// - Parameter name: how messages call the file.
  /// - Throws: `CommandFailure` with status `.data` naming the file and the key.
  init(yaml: String, name: String) throws {
    try self.init(ConfigurationValue(yaml: yaml, name: name))
  }

  private init(_ root: ConfigurationValue) throws {
    modelPath = try root.required("pretrained_model_path").text()

    let dataset = try root.required("dataset_config")
    clip = Clip(path: try dataset["path"]?.text(), prompt: try dataset.required("prompt").text())
    if let value = try dataset["start_sample_frame"] { clip.startFrame = try value.integer(0...Int(Int32.max)) }
    if let value = try dataset["n_sample_frame"] {
      let count = try value.integer(Int(Int32.min)...Int(Int32.max))
      if count == 0 { throw value.unfit("at least one frame, or a negative number for all") }
      clip.frameCount = count < 0 ? nil : count
    }
    if let value = try dataset["sampling_rate"] { clip.samplingRate = try value.integer(1...Int(Int32.max)) }
    if let value = try dataset["image_size"] { clip.imageSize = try value.integer(8...8192) }
    if let offset = try dataset["offset"] {
      let side = { (key: String) in try offset[key]?.integer(0...65536) ?? 0 }
      clip.offset = Clip.Offset(
        left: try side("left"), right: try side("right"), top: try side("top"), bottom: try side("bottom"))
    }

    let editing = try root.required("editing_config")
    guidanceScale = Float(try editing["guidance_scale"]?.number(0...100) ?? 7)
    steps = try editing["num_inference_steps"]?.integer(1...1000) ?? 20
    fusesAttention = try editing["prompt2prompt_edit"]?.flag() ?? true
    let readsInversion = try editing["use_inversion_attention"]?.flag() ?? true

    let prompts = try editing.required("editing_prompts").list()
    let texts = try prompts.map { try $0.text() }
    if let first = texts.first, fusesAttention, !readsInversion { reconstruction = first }
    edits = []
    for (index, prompt) in texts.enumerated() where index > 0 || reconstruction == nil {
      guard fusesAttention else {
        edits.append(Edit(prompt: prompt))
        continue
      }
      edits.append(try Edit(prompt: prompt, try editing.required("p2p_config").required(index)))
    }
    if edits.isEmpty { throw try editing.required("editing_prompts").unfit("a prompt to edit towards") }

    let model = try root["model_config"]
    couplingMinWidth = try model?["least_sc_channel"]?.integer(0...65536) ?? 0
    if let list = try model?["SparseCausalAttention_index"] {
      frameCoupling = try list.list().reduce(into: []) { frames, entry in
        // A name it does not know repeats the frame before it.
        let reference = try FrameReference(configured: entry.text()) ?? frames.last
        guard let reference else { throw entry.unfit("a number, first, last or mid") }
        frames.append(reference)
      }
    } else {
      frameCoupling = [.relative(-1), .first]
    }
  }
}

extension ReferenceConfiguration.Edit {
  fileprivate init(prompt: String, _ value: ConfigurationValue) throws {
    self.init(prompt: prompt)
    isReplace = try value["is_replace_controller"]?.flag() ?? true
    selfReplace = try value.required("self_replace_steps").stepRange()

    let cross = try value.required("cross_replace_steps")
    if let entries = try cross.entries {
      for (word, entry) in entries {
        if word == "default_" {
          crossReplace.everywhere = try entry.stepRange()
        } else {
          crossReplace.words.append(WordRange(word: word, steps: try entry.stepRange()))
        }
      }
    } else {
      crossReplace.everywhere = try cross.stepRange()
    }

    if let equalizer = try value["eq_params"] {
      let words = try equalizer.required("words").list().map { try $0.text() }
      let values = try equalizer.required("values").list().map { try $0.number(-1e6...1e6) }
      wordWeights = zip(words, values).map { WordWeight(word: $0, weight: Float($1)) }
    }

    blendsAttention = try value["blend_self_attention"]?.flag() ?? false
    blendsLatents = try value["blend_latents"]?.flag() ?? false
    if let words = try value["blend_words"], (try? words.text()) != "None" {
      let sides = try words.list().map { side in
        side.isList ? try side.list().map { try $0.text() } : [try side.text()]
      }
      blendWords = BlendWords(source: sides.first ?? [], target: sides.count > 1 ? sides[1] : [])
    }
    if let threshold = try value["blend_th"] {
      guard let first = threshold.isList ? try threshold.list().first : threshold else {
        throw threshold.unfit("a number")
      }
      blendThreshold = Float(try first.number(-1e6...1e6))
    }
  }
}

extension FrameReference {
  /// The reference's names; nil for others.
  fileprivate init?(configured text: String) {
    switch text {
    case "first": self = .first
    case "last": self = .last
    case "mid", "middle": self = .middle
    default:
      guard let distance = Int(text), (-1_000_000...1_000_000).contains(distance) else { return nil }
      self = .relative(distance)
    }
  }
}
