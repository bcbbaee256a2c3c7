import CFateZero
import FateZero
import Foundation
import TestSupport
import Testing

/// Whatever is handed in: a status and a sentence, never a trap.
@Suite struct ErrorTests {
  @Test func nullContexts() {
    #expect(fatezero_configure(nil, nil) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_set(nil, "steps", "1") == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_get(nil, "steps") == nil)
    #expect(fatezero_check(nil) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_set_callbacks(nil, nil) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_push(nil, nil) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_receive(nil, nil) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_drain(nil) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_reset(nil) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_edit_clip(nil, nil, nil, 1) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_invert(nil, nil, 1, nil) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_edit_inversion(nil, nil, nil, 1) == FATEZERO_INVALID_ARGUMENT)
    #expect(String(cString: fatezero_error(nil)) == "the context is null")
    fatezero_cancel(nil)
    fatezero_destroy(nil)
    fatezero_inversion_destroy(nil)
    fatezero_options_default(nil, MemoryLayout<fatezero_options>.size)
  }

  @Test func nullArguments() throws {
    let editor = try Editor()
    func refused(_ status: fatezero_status, _ part: String) {
      #expect(status == FATEZERO_INVALID_ARGUMENT)
      #expect(editor.error.contains(part), "\(editor.error)")
    }
    #expect(editor.error == "")
    refused(fatezero_configure(editor.context, nil), "options is null")
    refused(fatezero_set(editor.context, nil, "1"), "name is null")
    #expect(fatezero_get(editor.context, nil) == nil)
    refused(fatezero_push(editor.context, nil), "frame is null")
    refused(fatezero_receive(editor.context, nil), "frame is null")
    let picture = PixelBuffer.moving(0)
    refused(fatezero_edit_clip(editor.context, nil, &picture.frame, 1), "source is null")
    refused(fatezero_edit_clip(editor.context, &picture.frame, nil, 1), "result is null")
    var inversion: OpaquePointer? = OpaquePointer(bitPattern: 8)
    refused(fatezero_invert(editor.context, nil, 1, &inversion), "source is null")
    #expect(inversion == nil)
    refused(fatezero_invert(editor.context, &picture.frame, 1, nil), "inversion is null")
    refused(fatezero_edit_inversion(editor.context, nil, &picture.frame, 1), "inversion is null")
    var result = picture.frame
    for count in [0, -1, .min, 1 << 40] {
      refused(fatezero_edit_clip(editor.context, &picture.frame, &result, count), "count")
      refused(fatezero_invert(editor.context, &picture.frame, count, &inversion), "count")
    }
    picture.frame.data = nil
    refused(fatezero_push(editor.context, &picture.frame), "data is null")
    try editor.succeed(fatezero_set_callbacks(editor.context, nil))
    // A sentence stays until the next error.
    #expect(editor.error.contains("data is null"))
  }

  /// Names and values of others, which must not steer a terminal.
  @Test func messagesAreVisible() throws {
    let editor = try Editor()
    for text in ["\u{1b}[31mred", "a\u{9b}31m", "left\u{202e}right", "two\nfatezero: lines", "mark\u{61c}"] {
      #expect(fatezero_set(editor.context, text, "1") != FATEZERO_OK)
      #expect(editor.error.contains("\\u{"), "\(editor.error)")
      for name in ["model", "size", "cross-replace", "blend-words"] {
        guard fatezero_set(editor.context, name, text) != FATEZERO_OK || fatezero_check(editor.context) != FATEZERO_OK
        else { continue }
        let steers = editor.error.unicodeScalars.contains {
          ($0.properties.generalCategory == .control && $0 != "\n") || $0 == "\u{202e}" || $0 == "\u{61c}"
        }
        #expect(!steers && !editor.error.contains("\nfatezero"), "\(editor.error)")
      }
    }
  }

  @Test func framesThatAreNone() throws {
    let editor = try Editor()
    func refused(_ change: (inout fatezero_frame) -> Void, _ part: String) {
      let picture = PixelBuffer.moving(0)
      change(&picture.frame)
      var result = picture.frame
      for status in [
        fatezero_push(editor.context, &picture.frame), fatezero_receive(editor.context, &picture.frame),
        fatezero_edit_clip(editor.context, &picture.frame, &result, 1),
      ] {
        #expect(status == FATEZERO_FRAMES)
        #expect(editor.error.contains(part), "\(editor.error)")
      }
    }
    for side in [Int32.min, -1, 0, 65537, .max] {
      refused({ $0.width = side }, "each side must be")
      refused({ $0.height = side }, "each side must be")
    }
    for format in [4, 77, UInt32.max] { refused({ $0.format.rawValue = format }, "no fatezero_pixel_format") }
    for stride in [0, 1, -1, 191, -191, Int.max, Int.min, Int.min + 1, 1 << 60] {
      refused({ $0.stride = stride }, "stride")
    }
    refused({ $0.format = FATEZERO_RGBA32 }, "256 bytes")
  }

  @Test func misalignedStructures() throws {
    let editor = try Editor()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 16)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0)
    let odd = OpaquePointer(try #require(memory.baseAddress) + 3)
    #expect(fatezero_push(editor.context, UnsafePointer(odd)) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_receive(editor.context, UnsafeMutablePointer(odd)) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_configure(editor.context, UnsafePointer(odd)) == FATEZERO_INVALID_ARGUMENT)
    #expect(fatezero_set_callbacks(editor.context, UnsafePointer(odd)) == FATEZERO_INVALID_ARGUMENT)
    #expect(
      fatezero_edit_clip(editor.context, UnsafePointer(odd), UnsafeMutablePointer(odd), 1) == FATEZERO_INVALID_ARGUMENT)
  }

  @Test func clipsOfSeveralSizes() throws {
    let editor = try Editor()
    let source = [PixelBuffer.moving(0), PixelBuffer.moving(1, width: 32)].map(\.frame)
    var result = PixelBuffer.clip(2).map(\.frame)
    #expect(fatezero_edit_clip(editor.context, source, &result, 2) == FATEZERO_FRAMES)
    #expect(editor.error.contains("source[1]"))
    var inversion: OpaquePointer?
    #expect(fatezero_invert(editor.context, source, 2, &inversion) == FATEZERO_FRAMES)
    let whole = PixelBuffer.clip(2)
    result[1].height = 3
    #expect(fatezero_edit_clip(editor.context, whole.map(\.frame), &result, 2) == FATEZERO_FRAMES)
    #expect(editor.error.contains("result[1]"))
    // Nothing was done before all was looked at.
    #expect(editor.progress.isEmpty)
  }

  @Test func clipsInWorkAreNotMixed() throws {
    let editor = try Editor()
    let clip = PixelBuffer.clip(2)
    try editor.push(clip[0])
    var result = PixelBuffer.clip(2).map(\.frame)
    #expect(fatezero_edit_clip(editor.context, clip.map(\.frame), &result, 2) == FATEZERO_INVALID_STATE)
    try editor.succeed(fatezero_drain(editor.context))
    #expect(fatezero_edit_clip(editor.context, clip.map(\.frame), &result, 2) == FATEZERO_INVALID_STATE)
    #expect(try editor.received(like: clip[0]).count == 1)
    try editor.succeed(fatezero_edit_clip(editor.context, clip.map(\.frame), &result, 2))
  }

  /// Memory is predicted: the refusal comes before the first pass.
  @Test func memoryThatIsNotThere() throws {
    let editor = try Editor([("memory-limit", "1M")])
    #expect(fatezero_push(editor.context, &PixelBuffer.moving(0).frame) == FATEZERO_MEMORY)
    #expect(editor.error.contains("memory-limit"))
    try editor.set("memory-limit", nil)
    try editor.set("size", "8192x8192")
    try editor.set("clip-length", "100000")
    #expect(fatezero_push(editor.context, &PixelBuffer.moving(0).frame) == FATEZERO_MEMORY)
    #expect(editor.progress.isEmpty)
    // A frame as large as frames may be, of one row's memory: it is refused before it is read.
    let row = [UInt8](repeating: 0, count: 65536 * 3)
    try editor.set("size", "64x64")
    row.withUnsafeBufferPointer { row in
      var frame = PixelBuffer.moving(0).frame
      (frame.width, frame.height, frame.stride) = (65536, 65536, 65536 * 3)
      frame.data = UnsafeMutablePointer(mutating: row.baseAddress)
      #expect(fatezero_push(editor.context, &frame) == FATEZERO_MEMORY)
    }
    // The whole clip as one window: as many frames as fit, then a refusal, and the context goes on.
    try editor.set("clip-length", "0")
    try editor.set("memory-limit", "130M")
    var count = 0
    var status = FATEZERO_OK
    while status == FATEZERO_OK, count < 100_000 {
      status = fatezero_push(editor.context, &PixelBuffer.moving(0).frame)
      count += 1
    }
    #expect(status == FATEZERO_MEMORY)
    #expect(editor.error.contains("\(count) frames"))
    try editor.set("memory-limit", nil)
    #expect(try editor.stream(PixelBuffer.clip(1)).count == 1)
  }

  /// A callback that calls back is refused, and does not wait for itself.
  @Test func callsFromCallbacks() throws {
    let editor = try Editor()
    var statuses: [fatezero_status] = []
    var texts: [String] = []
    editor.onProgress = { [unowned editor] _ in
      guard statuses.isEmpty else { return }
      statuses = [
        fatezero_push(editor.context, &PixelBuffer.moving(0).frame), fatezero_drain(editor.context),
        fatezero_set(editor.context, "steps", "3"), fatezero_reset(editor.context),
      ]
      texts = [editor.error, editor.get("steps") ?? "none"]
    }
    #expect(try editor.stream(PixelBuffer.clip(1)).count == 1)
    #expect(
      statuses == [FATEZERO_INVALID_STATE, FATEZERO_INVALID_STATE, FATEZERO_INVALID_STATE, FATEZERO_INVALID_STATE])
    #expect(texts.first?.contains("another call") == true)
    #expect(texts.last == "none")
    #expect(editor.get("steps") == "2")
  }

  /// Weights that are no numbers end the clip with the layer's name; the next clip of another model works.
  @Test func numbersThatLeaveTheFinite() throws {
    try Fixtures.withTemporaryFolder { folder in
      let model = folder.appendingPathComponent("model")
      try FileManager.default.copyItem(atPath: Editor.model, toPath: model.path)
      let weights = model.appendingPathComponent("unet/diffusion_pytorch_model.safetensors")
      var data = try Data(contentsOf: weights)
      let length = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
      let header = try JSONSerialization.jsonObject(with: data[8..<8 + length]) as? [String: Any]
      let entry = try #require(header?["mid_block.resnets.0.conv1.bias"] as? [String: Any])
      let offset = try #require(entry["data_offsets"] as? [Int])[0]
      // Infinity in float16, little-endian.
      data.replaceSubrange(8 + length + offset..<8 + length + offset + 2, with: [0x00, 0x7c])
      try data.write(to: weights)
      let editor = try Editor([("model", model.path)])
      try editor.push(PixelBuffer.moving(0))
      #expect(fatezero_drain(editor.context) == FATEZERO_NUMERICS)
      #expect(editor.error.contains("mid_block.resnets.0"))
      #expect(try editor.received(like: PixelBuffer.moving(0)).isEmpty)
      try editor.set("model", Editor.model)
      #expect(try editor.stream(PixelBuffer.clip(1)).count == 1)
    }
  }
}
