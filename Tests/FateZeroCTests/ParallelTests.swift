import CFateZero
import Foundation
import Synchronization
import TestSupport
import Testing

/// Several contexts at once.
@Suite struct ParallelTests {
  private struct Shared: @unchecked Sendable { let inversion: OpaquePointer }

  /// Each on its own thread: the same frames as alone.
  @Test func contextsInParallel() throws {
    let edits = ["a [cat -> tiger] on the grass", "a [cat -> dog] on the grass", "a cat on the [grass -> snow]"]
    let alone = try edits.map { try Editor([("edit", $0)]).stream(PixelBuffer.clip(4)).map(\.colours) }
    let results = Mutex([Int: [[UInt8]]]())
    let failures = Mutex([String]())
    DispatchQueue.concurrentPerform(iterations: edits.count) { index in
      do {
        let editor = try Editor([("edit", edits[index]), ("threads", "2")])
        let frames = try editor.stream(PixelBuffer.clip(4)).map(\.colours)
        results.withLock { $0[index] = frames }
        if editor.threads.count != 1 { failures.withLock { $0.append("callbacks on \(editor.threads.count) threads") } }
      } catch {
        failures.withLock { $0.append("\(error)") }
      }
    }
    #expect(failures.withLock { $0 } == [])
    for index in edits.indices { #expect(results.withLock { $0[index] } == alone[index], "\(edits[index])") }
  }

  /// One inversion, read by several contexts at once.
  @Test func anInversionIsShared() throws {
    let clip = PixelBuffer.clip(2)
    let maker = try Editor()
    let shared = Shared(inversion: try maker.invert(clip))
    defer { fatezero_inversion_destroy(shared.inversion) }
    let edits = ["a [cat -> tiger] on the grass", "a [cat -> dog] on the grass"]
    let alone = try edits.map { try Editor([("edit", $0)]).editClip(clip).map(\.colours) }
    let results = Mutex([Int: [[UInt8]]]())
    DispatchQueue.concurrentPerform(iterations: edits.count) { index in
      let frames = try? Editor([("edit", edits[index])]).edit(shared.inversion, like: PixelBuffer.clip(2))
      results.withLock { $0[index] = frames?.map(\.colours) }
    }
    for index in edits.indices { #expect(results.withLock { $0[index] } == alone[index]) }
  }

  /// A context may move from thread to thread, one at a time.
  @Test func aContextMovesBetweenThreads() throws {
    struct Moving: @unchecked Sendable { let editor: Editor }
    let clip = PixelBuffer.clip(3)
    let want = try Editor().stream(clip).map(\.colours)
    let moving = Moving(editor: try Editor())
    let results = Mutex([[UInt8]]())
    for index in 0..<3 {
      let done = DispatchSemaphore(value: 0)
      Thread.detachNewThread {
        let picture = PixelBuffer.moving(index)
        try? moving.editor.push(picture)
        let frames = (try? moving.editor.received(like: picture)) ?? []
        results.withLock { $0 += frames.map(\.colours) }
        done.signal()
      }
      done.wait()
    }
    #expect(results.withLock { $0 } == want)
  }
}
