import CFateZero
import FateZero
import Foundation
import StableDiffusion
import Tensors
import TestSupport
import Testing

/// Frames in, frames out.
@Suite struct StreamTests {
  /// What the engine makes of a clip under the settings of `Editor`.
  private func edited(_ clip: [PixelBuffer], clipLength: Int = 3) throws -> [[UInt8]] {
    let directory = try Checkpoint(path: Editor.model)
    var settings = Settings()
    try settings.apply([
      ("edit", "a [cat -> tiger] on the grass"), ("size", "64x64"), ("steps", "2"), ("clip-length", "\(clipLength)"),
    ])
    let opened = try StableDiffusionModel(directory, device: nil)
    let plan = try EditPlan(
      model: opened, edits: [settings], frameSize: FrameSize(width: clip[0].width, height: clip[0].height)
    ).fitted(frames: nil, limit: settings.usableMemory)
    let device = try Device(threads: 1, precision: plan.precision, convolutions: plan.convolutions)
    let engine = ClipEditor.Engine(device: device, model: try StableDiffusionModel(directory, device: device))
    let editor = ClipEditor(plan: plan) { _ in engine }
    var frames: [[UInt8]] = []
    func take(_ window: ClipEditor.Window?) throws {
      for frame in window?.edits[0] ?? [] { frames.append(try frame.frame().pixels) }
    }
    for picture in clip {
      try take(editor.push(try Frame(width: picture.width, height: picture.height, pixels: picture.colours)))
    }
    try take(editor.finish())
    return frames
  }

  @Test func framesComeOutInOrderAsTheEngineMakesThem() throws {
    let editor = try Editor()
    let clip = PixelBuffer.clip(5)
    var counts: [Int] = []
    var frames: [PixelBuffer] = []
    for picture in clip {
      try editor.push(picture)
      let ready = try editor.received(like: picture)
      counts.append(ready.count)
      frames += ready
    }
    try editor.succeed(fatezero_drain(editor.context))
    frames += try editor.received(like: clip[0])
    #expect(counts == [0, 0, 3, 0, 0])
    #expect(frames.map(\.frame.pts) == [0, 40, 80, 120, 160])
    #expect(frames.map(\.colours) == (try edited(clip)))
    #expect(editor.threads == [UInt(pthread_self())])
    // Nothing is left; a second drain is allowed.
    try editor.succeed(fatezero_drain(editor.context))
    #expect(try editor.received(like: clip[0]).isEmpty)
  }

  /// What left under a limit comes back for a clip without one, and leaves again for one with it.
  @Test func aContextWhoseMemoryIsShort() throws {
    let clip = PixelBuffer.clip(4)
    var settings = Settings()
    try settings.apply([
      ("edit", "a [cat -> tiger] on the grass"), ("size", "64x64"), ("steps", "2"), ("clip-length", "3"),
      ("threads", "1"),
    ])
    let plan = try EditPlan(
      model: try StableDiffusionModel(Checkpoint(path: Editor.model), device: nil), edits: [settings],
      frameSize: FrameSize(width: clip[0].width, height: clip[0].height))
    let limit = plan.fitted(frames: nil, limit: 1).peakBytes(frames: nil)
    let fitted = plan.fitted(frames: nil, limit: limit)
    let text = try #require(fitted.economiesText)
    let editor = try Editor([("memory-limit", "\(limit)")])
    let saving = try editor.stream(clip)
    #expect(editor.messages.contains { $0.text.hasSuffix("; to save memory: \(text)") })
    // Those parts of the model that stay are loaded before the first window, and the text encoder.
    let parts = Int64(fitted.firstComponents.count)
    #expect(parts < 3)
    #expect(editor.progress.filter { $0.phase == FATEZERO_PHASE_LOAD }.map { Int64($0.step) } == Array(0...parts))
    try editor.set("memory-limit", nil)
    #expect(try editor.stream(clip).map(\.colours) == edited(clip))
    try editor.set("memory-limit", "\(limit)")
    #expect(try editor.stream(clip).map(\.colours) == saving.map(\.colours))
  }

  @Test func whatIsToldOnTheWay() throws {
    let editor = try Editor()
    _ = try editor.stream(PixelBuffer.clip(5))
    let phases = editor.progress.map(\.phase)
    #expect(phases.prefix(4).allSatisfy { $0 == FATEZERO_PHASE_LOAD })
    #expect(editor.progress.prefix(4).map(\.step) == [0, 1, 2, 3])
    #expect(editor.progress.prefix(4).allSatisfy { $0.fraction == 0 && $0.seconds_left < 0 && $0.steps == 3 })
    for (window, frames) in [(Int64(0), Int64(3)), (1, 2)] {
      let told = editor.progress.filter { $0.phase != FATEZERO_PHASE_LOAD && $0.window == window }
      #expect(told.allSatisfy { $0.frames == frames && $0.struct_size == MemoryLayout<fatezero_progress>.size })
      #expect(told.first?.phase == FATEZERO_PHASE_ENCODE && told.first?.step == 0 && told.first?.fraction == 0)
      #expect(told.last?.phase == FATEZERO_PHASE_DECODE && told.last?.fraction == 1 && told.last?.seconds_left == 0)
      #expect(zip(told, told.dropFirst()).allSatisfy { $0.fraction < $1.fraction })
      #expect(told.dropFirst().allSatisfy { $0.seconds_left >= 0 })
      let steps = told.filter { $0.phase == FATEZERO_PHASE_INVERT }.map(\.step)
      #expect(steps == [1, 2])
    }
    #expect(editor.windows.map(\.frames) == [3, 2])
    #expect(editor.windows.map(\.window) == [0, 1])
    #expect(editor.windows.map(\.firstPTS) == [0, 120])
    #expect(editor.windows.map(\.lastPTS) == [80, 160])
    for window in editor.windows {
      #expect(window.words == "cat -> tiger")
      #expect(0...1 ~= window.maskShare)
      #expect(window.seconds > 0 && window.peakMemory > 1 << 20)
    }
    #expect(editor.messages.contains { $0.level == FATEZERO_LOG_INFORMATION && $0.text.contains("64x48") })
  }

  @Test func warningsAreLogged() throws {
    let editor = try Editor([("edit", "a tiger"), ("steps", "1")])
    _ = try editor.stream(PixelBuffer.clip(1))
    #expect(editor.messages.contains { $0.level == FATEZERO_LOG_WARNING && $0.text.contains("no source prompt") })
    #expect(editor.windows.map(\.words) == [""])
    #expect(editor.windows.map(\.maskShare) == [-1])
  }

  /// One call, in place too, gives what the stream gives.
  @Test func aWholeClipInOneCall() throws {
    let editor = try Editor()
    let clip = PixelBuffer.clip(4)
    let streamed = try editor.stream(clip)
    let edited = try editor.editClip(clip)
    #expect(edited.map(\.colours) == streamed.map(\.colours))
    #expect(edited.map(\.frame.pts) == clip.map(\.frame.pts))
    var frames = clip.map(\.frame)
    try editor.succeed(
      frames.withUnsafeMutableBufferPointer { buffer in
        fatezero_edit_clip(editor.context, buffer.baseAddress, buffer.baseAddress, 4)
      })
    #expect(clip.map(\.colours) == streamed.map(\.colours))
    // The model was loaded once.
    #expect(editor.progress.filter { $0.phase == FATEZERO_PHASE_LOAD && $0.step == 0 }.count == 1)
  }

  /// Any format and stride in and out; alpha comes back as it came; memory between rows stays as it was.
  @Test(arguments: [FATEZERO_RGB24, FATEZERO_BGR24, FATEZERO_RGBA32, FATEZERO_BGRA32].map(\.rawValue), [false, true])
  func formatsAndStrides(_ rawFormat: UInt32, bottomUp: Bool) throws {
    let format = fatezero_pixel_format(rawValue: rawFormat)
    let editor = try Editor()
    let plain = try editor.editClip(PixelBuffer.clip(2))
    let alpha = { (column: Int, row: Int) in UInt8(truncatingIfNeeded: column * 3 + row) }
    let clip = (0..<2).map {
      PixelBuffer.moving($0, format, padding: 5, bottomUp: bottomUp, alpha: alpha)
    }
    let result = (0..<2).map { _ in PixelBuffer(64, 48, format, padding: 7, bottomUp: !bottomUp) }
    var frames = result.map(\.frame)
    try editor.succeed(fatezero_edit_clip(editor.context, clip.map(\.frame), &frames, 2))
    for index in 0..<2 {
      #expect(result[index].colours == plain[index].colours)
      #expect(result[index].alpha == clip[index].alpha)
      #expect(result[index].padding.allSatisfy { $0 == 0xAA })
      #expect(clip[index].padding.allSatisfy { $0 == 0xAA })
    }
  }

  /// Formats may differ between frames, and between in and out: alpha that is not there is opaque.
  @Test func formatsMayChange() throws {
    let editor = try Editor()
    let plain = try editor.editClip(PixelBuffer.clip(2))
    try editor.push(PixelBuffer.moving(0, FATEZERO_BGRA32, alpha: { column, _ in UInt8(column) }))
    try editor.push(PixelBuffer.moving(1, FATEZERO_BGR24))
    try editor.succeed(fatezero_drain(editor.context))
    let first = PixelBuffer(64, 48, FATEZERO_RGB24)
    let second = PixelBuffer(64, 48, FATEZERO_RGBA32)
    try editor.succeed(fatezero_receive(editor.context, &first.frame))
    try editor.succeed(fatezero_receive(editor.context, &second.frame))
    #expect([first.colours, second.colours] == plain.map(\.colours))
    #expect(second.alpha.allSatisfy { $0 == 255 })
  }

  @Test func frameSizesBelongToClips() throws {
    let editor = try Editor()
    let small = PixelBuffer.moving(0, width: 33, height: 17)
    try editor.push(PixelBuffer.moving(0))
    #expect(fatezero_push(editor.context, &small.frame) == FATEZERO_FRAMES)
    #expect(editor.error.contains("33x17") && editor.error.contains("64x48"))
    // The clip goes on.
    try editor.push(PixelBuffer.moving(1))
    try editor.succeed(fatezero_drain(editor.context))
    #expect(fatezero_receive(editor.context, &small.frame) == FATEZERO_FRAMES)
    #expect(small.colours == PixelBuffer.moving(0, width: 33, height: 17).colours)
    #expect(try editor.received(like: PixelBuffer.moving(0)).count == 2)
    // The next clip has the other size.
    #expect(try editor.stream([small]).count == 1)
  }

  /// New settings hold from the next window on, which begins a clip of its own.
  @Test func settingsChangeBetweenWindows() throws {
    let clip = PixelBuffer.clip(4)
    let editor = try Editor([("clip-length", "2")])
    try editor.push(clip[0])
    try editor.set("steps", "1")
    try editor.push(clip[1])
    try editor.push(clip[2])
    try editor.push(clip[3])
    let frames = try editor.received(like: clip[0])
    let two = try Editor([("clip-length", "2")]).editClip(Array(clip[..<2]))
    let one = try Editor([("clip-length", "2"), ("steps", "1")]).editClip(Array(clip[2...]))
    #expect(frames.map(\.colours) == (two + one).map(\.colours))
    #expect(editor.windows.map(\.window) == [0, 0])
  }

  @Test func resetForgetsTheClip() throws {
    let clip = PixelBuffer.clip(3)
    let editor = try Editor([("clip-length", "2")])
    for picture in clip { try editor.push(picture) }
    try editor.succeed(fatezero_reset(editor.context))
    #expect(try editor.received(like: clip[0]).isEmpty)
    try editor.succeed(fatezero_drain(editor.context))
    #expect(try editor.received(like: clip[0]).isEmpty)
    #expect(editor.get("clip-length") == "2")
    #expect(try editor.stream(clip).map(\.colours) == Editor([("clip-length", "2")]).stream(clip).map(\.colours))
  }

  /// A caller with a later header: its frames lie further apart.
  @Test func framesOfALaterCaller() throws {
    let editor = try Editor()
    let clip = PixelBuffer.clip(2)
    let stride = MemoryLayout<fatezero_frame>.size + 24
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * stride, alignment: 16)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0)
    for (index, picture) in clip.enumerated() {
      picture.frame.struct_size = stride
      withUnsafeBytes(of: picture.frame) {
        memory.baseAddress?.advanced(by: index * stride).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
      }
    }
    let frames = try #require(memory.baseAddress).assumingMemoryBound(to: fatezero_frame.self)
    try editor.succeed(fatezero_edit_clip(editor.context, frames, frames, 2))
    #expect(clip.map(\.colours) == (try Editor().editClip(PixelBuffer.clip(2))).map(\.colours))
    memory[stride + MemoryLayout<fatezero_frame>.size] = 1
    #expect(fatezero_edit_clip(editor.context, frames, frames, 2) == FATEZERO_INVALID_ARGUMENT)
  }
}
