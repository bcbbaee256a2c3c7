// The names are those of the C header.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CFateZero
import FateZero

/// `fatezero_options` and the settings by name.
enum Options {
  /// What of `options` is set, in the notation of `fatezero_set()`.
  static func layer(_ options: fatezero_options) throws -> Settings.Layer {
    var layer: Settings.Layer = []
    func add(_ name: String, _ text: String?) {
      if let text { layer.append((name, text)) }
    }
    func text(_ pointer: UnsafePointer<CChar>?) -> String? { pointer.map { String(cString: $0) } }
    func number<Number: Comparable & ExpressibleByIntegerLiteral>(_ value: Number) -> String? {
      value < 0 ? nil : "\(value)"
    }
    add("edit", text(options.edit))
    add("source", text(options.source))
    add("negative", text(options.negative))
    add("model", text(options.model))
    add("preset", text(options.preset))
    add("size", text(options.size))
    add("steps", number(options.steps))
    add("guidance-scale", number(options.guidance_scale))
    add("cross-mode", text(options.cross_mode))
    add("cross-replace", text(options.cross_replace))
    add("self-replace", text(options.self_replace))
    add("blend-attention", text(options.blend_attention))
    add("blend-words", text(options.blend_words))
    add("blend-threshold", number(options.blend_threshold))
    add("blend-latents", options.blend_latents < 0 ? nil : "\(options.blend_latents != 0)")
    add("word-weights", text(options.word_weights))
    add("attention-source", text(options.attention_source))
    add("frame-coupling", text(options.frame_coupling))
    add("coupling-min-width", text(options.coupling_min_width))
    add("fusion-max-tokens", number(options.fusion_max_tokens))
    add("clip-length", number(options.clip_length))
    add("precision", text(options.precision))
    add("threads", number(options.threads))
    add("record", text(options.record))
    add("record-dir", text(options.record_dir))
    add("memory-limit", text(options.memory_limit))
    add("prediction-type", text(options.prediction_type))
    add("unet", text(options.unet))
    add("vae", text(options.vae))
    add("lora", text(options.lora))
    add("embedding", text(options.embedding))
    return layer
  }

  /// Nothing set.
  static var unset: fatezero_options {
    var options = fatezero_options()
    options.struct_size = MemoryLayout<fatezero_options>.size
    options.steps = -1
    options.guidance_scale = -1
    options.blend_threshold = -1
    options.blend_latents = -1
    options.fusion_max_tokens = -1
    options.clip_length = -1
    options.threads = -1
    return options
  }
}

@_cdecl("fatezero_options_default") @implementation
public func fatezero_options_default(_ options: UnsafeMutablePointer<fatezero_options>?, _ struct_size: Int) {
  guard let options, StructSize.isPossible(struct_size, atLeast: MemoryLayout<Int>.size) else { return }
  let base = UnsafeMutableRawPointer(options)
  base.initializeMemory(as: UInt8.self, repeating: 0, count: struct_size)
  var unset = Options.unset
  unset.struct_size = struct_size
  withUnsafeBytes(of: unset) { source in
    base.copyMemory(from: source.baseAddress ?? UnsafeRawPointer(base), byteCount: min(struct_size, source.count))
  }
}
