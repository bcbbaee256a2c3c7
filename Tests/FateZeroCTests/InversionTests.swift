import CFateZero
import FateZero
import Foundation
import TestSupport
import Testing

/// Invert once, edit many times.
@Suite struct InversionTests {
  @Test func oneInversionServesManyEdits() throws {
    let clip = PixelBuffer.clip(3)
    let editor = try Editor()
    let inversion = try editor.invert(clip)
    defer { fatezero_inversion_destroy(inversion) }
    let tiger = try editor.edit(inversion, like: clip)
    #expect(tiger.map(\.colours) == (try Editor().editClip(clip)).map(\.colours))
    #expect(tiger.map(\.frame.pts) == clip.map(\.frame.pts))
    #expect(tiger.map(\.colours) == (try editor.edit(inversion, like: clip)).map(\.colours))
    #expect(editor.windows.map(\.words) == ["cat -> tiger", "cat -> tiger"])

    // Another edit, which reads more than was recorded: it is computed again.
    let other = [("edit", "a [cat -> dog] on the grass"), ("self-replace", "1"), ("cross-replace", "1")]
    for (name, text) in other { try editor.set(name, text) }
    let dog = try editor.edit(inversion, like: clip)
    #expect(dog.map(\.colours) == (try Editor(other).editClip(clip)).map(\.colours))
    #expect(dog.map(\.colours) != tiger.map(\.colours))
  }

  /// Recorded with nothing but the source prompt, under the least that attention can be kept.
  @Test func whatWasNotRecordedIsComputedAgain() throws {
    let clip = PixelBuffer.clip(2)
    let sparse = try Editor([
      ("edit", ""), ("source", "a cat on the grass"), ("self-replace", "0"), ("cross-replace", "0"),
      ("record", "recompute"),
    ])
    let inversion = try sparse.invert(clip)
    defer { fatezero_inversion_destroy(inversion) }
    let editor = try Editor()
    #expect(
      try editor.edit(inversion, like: clip).map(\.colours) == (try Editor().editClip(clip)).map(\.colours))
  }

  /// A window of its own, whatever clip-length says; and it outlives its context.
  @Test func itOutlivesItsContextAndIsOneWindow() throws {
    let clip = PixelBuffer.clip(5)
    var maker: Editor? = try Editor([("clip-length", "2")])
    let inversion = try #require(try maker?.invert(clip))
    defer { fatezero_inversion_destroy(inversion) }
    maker = nil
    let editor = try Editor([("clip-length", "2")])
    let frames = try editor.edit(inversion, like: clip)
    #expect(editor.windows.map(\.frames) == [5])
    #expect(frames.map(\.colours) == (try Editor([("clip-length", "0")]).editClip(clip)).map(\.colours))
  }

  @Test func alphaComesBack() throws {
    let clip = (0..<2).map {
      PixelBuffer.moving($0, FATEZERO_RGBA32) { column, row in UInt8(truncatingIfNeeded: column * row) }
    }
    let editor = try Editor()
    let inversion = try editor.invert(clip)
    defer { fatezero_inversion_destroy(inversion) }
    #expect(try editor.edit(inversion, like: clip).map(\.alpha) == clip.map(\.alpha))
  }

  @Test(arguments: [
    ("edit", "a [dog -> tiger] on the grass", "source"), ("size", "72x64", "size"), ("steps", "3", "steps"),
    ("frame-coupling", "middle", "frame-coupling"), ("coupling-min-width", "second", "coupling-min-width"),
    ("attention-source", "reconstruction", "attention-source"),
  ])
  func otherSettingsAreRefused(_ name: String, _ text: String, _ named: String) throws {
    let clip = PixelBuffer.clip(1)
    let editor = try Editor()
    let inversion = try editor.invert(clip)
    defer { fatezero_inversion_destroy(inversion) }
    let before = editor.progress.count
    try editor.set(name, text)
    var frames = clip.map(\.frame)
    #expect(fatezero_edit_inversion(editor.context, inversion, &frames, 1) == FATEZERO_INVALID_STATE)
    #expect(editor.error.contains(named), "\(editor.error)")
    #expect(editor.progress.count == before)
  }

  @Test func theOtherModelIsRefused() throws {
    let clip = PixelBuffer.clip(1)
    let editor = try Editor()
    let inversion = try editor.invert(clip)
    defer { fatezero_inversion_destroy(inversion) }
    try editor.set("model", Fixtures.oracle.appendingPathComponent("models/tinyB").path)
    var frames = clip.map(\.frame)
    #expect(fatezero_edit_inversion(editor.context, inversion, &frames, 1) == FATEZERO_INVALID_STATE)
    #expect(editor.error.contains("model"))
    frames.append(frames[0])
    #expect(fatezero_edit_inversion(editor.context, inversion, &frames, 2) == FATEZERO_INVALID_ARGUMENT)
    #expect(editor.error.contains("1 frames were inverted"))
  }

  @Test func aReconstructionServesManyEditsToo() throws {
    let clip = PixelBuffer.clip(2)
    let editor = try Editor([("attention-source", "reconstruction")])
    let inversion = try editor.invert(clip)
    defer { fatezero_inversion_destroy(inversion) }
    #expect(
      try editor.edit(inversion, like: clip).map(\.colours)
        == (try Editor([("attention-source", "reconstruction")]).editClip(clip)).map(\.colours))
  }

  @Test func anInversionNeedsAPrompt() throws {
    let editor = try Editor([("edit", "")])
    var inversion: OpaquePointer?
    #expect(fatezero_invert(editor.context, &PixelBuffer.moving(0).frame, 1, &inversion) == FATEZERO_SETTINGS)
    #expect(inversion == nil)
  }
}
