import CFateZero
import FateZero
import Foundation
import TestSupport
import Testing

/// Settings through the C interface.
@Suite struct SettingsTests {
  private func options() -> fatezero_options {
    var options = fatezero_options()
    fatezero_options_default(&options, MemoryLayout<fatezero_options>.size)
    return options
  }

  @Test func nothingSetIsTheDefault() throws {
    let context = try #require(fatezero_create())
    defer { fatezero_destroy(context) }
    var options = options()
    #expect(options.struct_size == MemoryLayout<fatezero_options>.size)
    #expect(fatezero_configure(context, &options) == FATEZERO_OK)
    for knob in Knobs.all {
      #expect(fatezero_get(context, knob.name).map { String(cString: $0) } == knob.defaultText, "\(knob.name)")
    }
  }

  /// Whatever a prompt holds, what is told of it sets it again.
  @Test(arguments: [#"a \\\[b\] c"#, #"a \[b\\\] \(c\)"#, "(a:1.3) [b] :)", #"C:\x\\"#, "a [b -> c\\\\] d"])
  func promptsReadBack(_ text: String) throws {
    let context = try #require(fatezero_create())
    defer { fatezero_destroy(context) }
    for name in ["edit", "source", "negative"] {
      #expect(fatezero_set(context, name, text) == FATEZERO_OK, "\(String(cString: fatezero_error(context)))")
      let told = String(cString: try #require(fatezero_get(context, name)))
      #expect(fatezero_set(context, name, told) == FATEZERO_OK, "\(told)")
      #expect(String(cString: try #require(fatezero_get(context, name))) == told)
      #expect(fatezero_set(context, name, nil) == FATEZERO_OK)
    }
  }

  /// Every field of the structure sets the knob of its name.
  @Test func everyFieldIsRead() throws {
    let context = try #require(fatezero_create())
    defer { fatezero_destroy(context) }
    var options = options()
    let want: [(String, String)] = [
      ("edit", "a tiger"), ("source", "a cat"), ("negative", "rain"), ("model", "/nowhere"), ("preset", "style"),
      ("size", "64x32"), ("steps", "7"), ("guidance-scale", "2.5"), ("cross-mode", "refine"),
      ("cross-replace", "0.1:0.5"), ("self-replace", "0.25"), ("blend-attention", "on"), ("blend-words", "cat=tiger"),
      ("blend-threshold", "0.75"), ("blend-latents", "true"), ("word-weights", "tiger=2.0"),
      ("attention-source", "reconstruction"), ("frame-coupling", "middle"), ("coupling-min-width", "second"),
      ("fusion-max-tokens", "256"), ("clip-length", "0"), ("precision", "f32"), ("threads", "2"), ("record", "maps"),
      ("record-dir", "/nowhere/record"), ("memory-limit", "8G"), ("prediction-type", "epsilon"),
      ("unet", "/nowhere/unet"),
      ("vae", "/nowhere/vae"), ("lora", "/nowhere/a.safetensors:0.5"), ("embedding", "<toy>=/nowhere/toy.pt"),
    ]
    #expect(want.map(\.0) == Knobs.all.map(\.name))
    let texts = Dictionary(uniqueKeysWithValues: want.map { ($0.0, strdup($0.1)) })
    defer { texts.values.forEach { free($0) } }
    func text(_ name: String) -> UnsafePointer<CChar>? { texts[name].flatMap { $0 }.map { UnsafePointer($0) } }
    options.edit = text("edit")
    options.source = text("source")
    options.negative = text("negative")
    options.model = text("model")
    options.preset = text("preset")
    options.size = text("size")
    options.steps = 7
    options.guidance_scale = 2.5
    options.cross_mode = text("cross-mode")
    options.cross_replace = text("cross-replace")
    options.self_replace = text("self-replace")
    options.blend_attention = text("blend-attention")
    options.blend_words = text("blend-words")
    options.blend_threshold = 0.75
    options.blend_latents = 1
    options.word_weights = text("word-weights")
    options.attention_source = text("attention-source")
    options.frame_coupling = text("frame-coupling")
    options.coupling_min_width = text("coupling-min-width")
    options.fusion_max_tokens = 256
    options.clip_length = 0
    options.precision = text("precision")
    options.threads = 2
    options.record = text("record")
    options.record_dir = text("record-dir")
    options.memory_limit = text("memory-limit")
    options.prediction_type = text("prediction-type")
    options.unet = text("unet")
    options.vae = text("vae")
    options.lora = text("lora")
    options.embedding = text("embedding")
    #expect(fatezero_configure(context, &options) == FATEZERO_OK, "\(String(cString: fatezero_error(context)))")
    for (name, value) in want {
      #expect(fatezero_get(context, name).map { String(cString: $0) } == value, "\(name)")
    }
  }

  @Test func aValueOutOfRangeChangesNothing() throws {
    let editor = try Editor()
    var options = options()
    options.steps = 0
    #expect(fatezero_configure(editor.context, &options) == FATEZERO_SETTINGS)
    #expect(editor.error.contains("steps"))
    options.steps = -1
    for bad in [Double.nan, .infinity, 1e300] {
      options.guidance_scale = bad
      #expect(fatezero_configure(editor.context, &options) == FATEZERO_SETTINGS, "\(bad)")
    }
    for (name, text) in [
      ("steps", "many"), ("steps", "99999999999999999999"), ("size", "64"), ("size", "0x0"), ("record", "all"),
      ("cross-replace", "2"), ("blend-latents", "maybe"), ("memory-limit", "-1"), ("edit", "a [cat -> tiger"),
    ] {
      #expect(fatezero_set(editor.context, name, text) == FATEZERO_SETTINGS, "\(name)=\(text)")
      #expect(editor.error.contains(name), "\(editor.error)")
    }
    #expect(editor.get("steps") == "2")
    #expect(editor.get("size") == "64x64")
  }

  @Test func namesThatAreNone() throws {
    let editor = try Editor()
    #expect(fatezero_set(editor.context, "step", "3") == FATEZERO_SETTINGS)
    #expect(editor.error.contains("did you mean steps?"))
    #expect(fatezero_set(editor.context, "step", nil) == FATEZERO_SETTINGS)
    #expect(editor.get("step") == nil)
    #expect(editor.get("") == nil)
  }

  @Test func nullTakesASettingBack() throws {
    let editor = try Editor()
    try editor.set("steps", nil)
    #expect(editor.get("steps") == "50")
    try editor.set("edit", nil)
    #expect(fatezero_check(editor.context) == FATEZERO_SETTINGS)
    #expect(editor.error.contains("edit"))
  }

  @Test func checkFoldsTheModelsRecommendationsIn() throws {
    let model = Fixtures.repository.appendingPathComponent("Models/toyworld").path
    let editor = try Editor([("model", model), ("size", "auto"), ("guidance-scale", "2")])
    #expect(editor.get("cross-replace") == "0.8")
    try editor.succeed(fatezero_check(editor.context))
    #expect(editor.get("model") == model)
    let recommended = try #require(
      JSONSerialization.jsonObject(
        with: Data(contentsOf: URL(fileURLWithPath: model + "/fatezero.json"))) as? [String: Any])
    #expect(editor.get("cross-replace") == "\(try #require(recommended["cross-replace"]))")
    // What is set wins.
    #expect(editor.get("guidance-scale") == "2.0")
    // After a change nothing is known until the next check.
    try editor.set("steps", "3")
    #expect(editor.get("cross-replace") == "0.8")
  }

  @Test func checkFindsWhatDoesNotFitTogether() throws {
    func status(_ settings: (String, String)...) throws -> (fatezero_status, String) {
      let editor = try Editor(settings)
      return (fatezero_check(editor.context), editor.error)
    }
    for (settings, status, part) in [
      ([("edit", "a tiger"), ("blend-words", "cat")], FATEZERO_SETTINGS, "source"),
      ([("source", "a cat")], FATEZERO_SETTINGS, "given twice"),
      ([("word-weights", "zebra=2")], FATEZERO_SETTINGS, "zebra"),
      ([("size", "60x60")], FATEZERO_SETTINGS, "multiple"),
      ([("steps", "1000")], FATEZERO_SETTINGS, "steps"),
      ([("model", "/nowhere")], FATEZERO_MODEL_NOT_FOUND, "/nowhere"),
      ([("model", "/dev/null")], FATEZERO_MODEL_NOT_FOUND, "/dev/null"),
    ] {
      let editor = try Editor(settings)
      #expect(fatezero_check(editor.context) == status, "\(settings): \(editor.error)")
      #expect(editor.error.contains(part), "\(editor.error)")
      // The same from the first frame.
      #expect(fatezero_push(editor.context, &PixelBuffer.moving(0).frame) == status)
      #expect(editor.error.contains(part), "\(editor.error)")
    }
  }

  @Test func damagedModelsAreNamed() throws {
    try Fixtures.withTemporaryFolder { folder in
      let model = folder.appendingPathComponent("model")
      try FileManager.default.copyItem(atPath: Editor.model, toPath: model.path)
      let configuration = model.appendingPathComponent("unet/config.json")
      try Data("{".utf8).write(to: configuration)
      let editor = try Editor([("model", model.path)])
      #expect(fatezero_check(editor.context) == FATEZERO_MODEL_DAMAGED)
      #expect(editor.error.contains(configuration.path))
    }
  }

  // MARK: Growth

  /// An earlier caller: its structure ends where ours goes on.
  @Test func fieldsThatAnEarlierCallerLacksAreDefaults() throws {
    let editor = try Editor()
    var options = options()
    options.steps = 9
    options.clip_length = 5
    options.struct_size = MemoryLayout<fatezero_options>.offset(of: \.clip_length) ?? 0
    try editor.succeed(fatezero_configure(editor.context, &options))
    #expect(editor.get("steps") == "9")
    #expect(editor.get("clip-length") == "8")

    // Nothing is written beyond the structure.
    var small = fatezero_options()
    small.clip_length = 77
    fatezero_options_default(&small, options.struct_size)
    #expect(small.struct_size == options.struct_size)
    #expect(small.steps == -1)
    #expect(small.clip_length == 77)
  }

  /// A later caller: its structure goes on where ours ends.
  @Test func fieldsOfALaterCallerMustBeUnset() throws {
    let editor = try Editor()
    let known = MemoryLayout<fatezero_options>.size
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: known + 32, alignment: 16)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0xAA)
    let options = try #require(memory.baseAddress).assumingMemoryBound(to: fatezero_options.self)
    fatezero_options_default(options, known + 16)
    #expect(options.pointee.struct_size == known + 16)
    #expect(memory[known..<known + 16].allSatisfy { $0 == 0 })
    #expect(memory[(known + 16)...].allSatisfy { $0 == 0xAA })
    options.pointee.steps = 11
    try editor.succeed(fatezero_configure(editor.context, options))
    #expect(editor.get("steps") == "11")

    memory[known + 3] = 1
    options.pointee.steps = 12
    #expect(fatezero_configure(editor.context, options) == FATEZERO_INVALID_ARGUMENT)
    #expect(editor.error.contains("\(Version.text)"))
    #expect(editor.get("steps") == "11")
  }

  @Test(arguments: [0, 1, 7, 12, 4104, .max, -8])
  func sizesThatCannotBe(_ size: Int) throws {
    let editor = try Editor()
    var options = options()
    options.struct_size = size
    #expect(fatezero_configure(editor.context, &options) == FATEZERO_INVALID_ARGUMENT)
    #expect(editor.error.contains("struct_size"))
    options.steps = 33
    fatezero_options_default(&options, size)
    #expect(options.steps == 33)
    var callbacks = fatezero_callbacks()
    callbacks.struct_size = size
    #expect(fatezero_set_callbacks(editor.context, &callbacks) == FATEZERO_INVALID_ARGUMENT)
    let picture = PixelBuffer.moving(0)
    picture.frame.struct_size = size
    #expect(fatezero_push(editor.context, &picture.frame) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_receive(editor.context, &picture.frame) == FATEZERO_INVALID_ARGUMENT)
  }
}
