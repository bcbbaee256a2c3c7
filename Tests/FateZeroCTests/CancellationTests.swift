import CFateZero
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite struct CancellationTests {
  private struct Handle: @unchecked Sendable { let context: OpaquePointer }

  /// Runs `body` on a thread of its own while a push works; `body` is handed the context.
  @Test func fromAnotherThread() throws {
    let editor = try Editor([("steps", "999"), ("clip-length", "1"), ("self-replace", "0"), ("cross-replace", "0")])
    let handle = Handle(context: editor.context)
    let began = DispatchSemaphore(value: 0)
    var steps = 0
    editor.onProgress = { progress in
      if progress.phase == FATEZERO_PHASE_INVERT { steps += 1 }
      if steps == 2 { began.signal() }
    }
    let ended = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      began.wait()
      fatezero_cancel(handle.context)
      ended.signal()
    }
    #expect(fatezero_push(editor.context, &PixelBuffer.moving(0).frame) == FATEZERO_CANCELLED)
    ended.wait()
    print("cancelled after \(steps) of 999 steps")
    #expect(steps < 999)
    #expect(editor.error.contains("fatezero_reset"))
  }

  /// Every later call that works is cancelled too, until the context is reset; settings can still be changed.
  @Test func itStaysUntilReset() throws {
    let editor = try Editor()
    let clip = PixelBuffer.clip(3)
    let want = try editor.stream(clip)
    for picture in clip { try editor.push(picture) }
    fatezero_cancel(editor.context)
    var frames = clip.map(\.frame)
    var inversion: OpaquePointer?
    for _ in 0..<2 {
      #expect(fatezero_push(editor.context, &frames[0]) == FATEZERO_CANCELLED)
      #expect(fatezero_receive(editor.context, &frames[0]) == FATEZERO_CANCELLED)
      #expect(fatezero_drain(editor.context) == FATEZERO_CANCELLED)
      #expect(fatezero_check(editor.context) == FATEZERO_CANCELLED)
      #expect(fatezero_edit_clip(editor.context, clip.map(\.frame), &frames, 3) == FATEZERO_CANCELLED)
      #expect(fatezero_invert(editor.context, clip.map(\.frame), 3, &inversion) == FATEZERO_CANCELLED)
    }
    try editor.set("steps", "2")
    #expect(editor.get("steps") == "2")
    try editor.succeed(fatezero_reset(editor.context))
    #expect(try editor.received(like: clip[0]).isEmpty)
    #expect(try editor.stream(clip).map(\.colours) == want.map(\.colours))
  }

  @Test func byTheCallback() throws {
    let editor = try Editor([("steps", "4")])
    editor.wantsCancellation = { [unowned editor] in
      editor.progress.last.map { $0.phase == FATEZERO_PHASE_EDIT && $0.step == 2 } ?? false
    }
    let clip = PixelBuffer.clip(3)
    try editor.push(clip[0])
    try editor.push(clip[1])
    #expect(fatezero_push(editor.context, &clip[2].frame) == FATEZERO_CANCELLED)
    #expect(editor.progress.last?.phase == FATEZERO_PHASE_EDIT && editor.progress.last?.step == 2)
    // It is as sticky as fatezero_cancel().
    editor.wantsCancellation = { false }
    #expect(fatezero_drain(editor.context) == FATEZERO_CANCELLED)
    try editor.succeed(fatezero_reset(editor.context))
    #expect(try editor.stream(clip).count == 3)
  }

  /// A context that waits for another's pass gives up waiting.
  @Test func whileWaitingForATurn() throws {
    let (busy, waiting) = (try Editor([("steps", "999"), ("clip-length", "1")]), try Editor([("clip-length", "1")]))
    _ = try waiting.stream(PixelBuffer.clip(1))
    let handle = Handle(context: waiting.context)
    let status = Mutex(FATEZERO_OK)
    let ended = DispatchSemaphore(value: 0)
    var isCancelled = false
    var end: fatezero_status?
    busy.onProgress = { progress in
      // The busy one cancels the other, and itself when that has ended.
      if progress.phase == FATEZERO_PHASE_INVERT, !isCancelled {
        isCancelled = true
        fatezero_cancel(handle.context)
      }
      if isCancelled, end == nil, ended.wait(timeout: .now()) == .success { end = status.withLock { $0 } }
    }
    busy.wantsCancellation = { end != nil }
    Thread.detachNewThread {
      while true {
        let result = fatezero_push(handle.context, &PixelBuffer.moving(0).frame)
        if result != FATEZERO_OK {
          status.withLock { $0 = result }
          break
        }
        while fatezero_receive(handle.context, &PixelBuffer.moving(0).frame) == FATEZERO_OK {}
      }
      ended.signal()
    }
    #expect(fatezero_push(busy.context, &PixelBuffer.moving(0).frame) == FATEZERO_CANCELLED)
    #expect(end == FATEZERO_CANCELLED)
  }
}
