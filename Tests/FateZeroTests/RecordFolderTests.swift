import Files
import Foundation
import StableDiffusion
import Tensors
import TestSupport
import Testing

@testable import FateZero

extension ClipEditorTests {
  /// The source's attention in files instead of in memory.
  struct RecordFolderTests {
    private let tests = ClipEditorTests()
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("fatezero-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false) }

    private var left: [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [] }

    private func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

    private func inFolder(_ settings: Settings) -> Settings {
      var settings = settings
      settings.recordFolder = folder.path
      return settings
    }

    @Test(arguments: [
      [], [("record", "maps")], [("record", "recompute")], [("attention-source", "reconstruction")],
      [("clip-length", "2"), ("frame-coupling", "self+middle+previous")], [("guidance-scale", "1")],
    ])
    func theFramesAreTheSameBytes(_ changes: [(name: String, text: String)]) throws {
      defer { remove(folder.path) }
      let settings = try tests.settings { for change in changes { try $0.set(change.name, to: change.text) } }
      let frames = try tests.clip(3)
      let kept = try tests.edit(frames, [settings])
      var files = 0
      let run = try tests.edit(frames, [inFolder(settings)]) { progress in
        if progress.phase == .edit(0) { files = max(files, left.count) }
      }
      #expect(run.frames == kept.frames)
      #expect(run.passes == kept.passes)
      #expect(files == (settings.record == .recompute ? 0 : 1))
      #expect(left.isEmpty)
    }

    /// A full disk, or one that went away: what could not be kept is computed again, and that is said.
    @Test func whatTheDiskDoesNotTakeIsComputedAgain() throws {
      defer { remove(folder.path) }
      let frames = try tests.clip(2)
      let kept = try tests.edit(frames, [tests.settings()])
      var warnings: [String] = []
      let run = try tests.edit(frames, [inFolder(tests.settings())]) { progress in
        if progress.phase == .invert, progress.step == 2 {
          left.forEach { remove(folder.appendingPathComponent($0).path) }
        }
      } warn: {
        warnings.append($0)
      }
      #expect(run.frames == kept.frames)
      #expect(run.passes == kept.passes + 4)
      #expect(warnings.count == 1 && warnings[0].contains("is computed again: cannot write"), "\(warnings)")
    }

    @Test func nothingIsLeftAfterAnErrorAndWhatAKilledRunLeftGoes() throws {
      defer { remove(folder.path) }
      let cancellation = Cancellation()
      let leftover = folder.appendingPathComponent("fatezero-record-killed").path
      // As a killed run leaves it: with its list, and no lock.
      _ = try ClaimedFolder(taking: leftover).write([1], to: "step-0.safetensors")
      #expect(throws: CancellationRequested.self) {
        try tests.edit(try tests.clip(2), [inFolder(tests.settings())], cancellation: cancellation) { progress in
          if progress.phase == .edit(0), progress.step == 1 {
            #expect(left.count == 1 && !Folder.exists(leftover), "\(left)")
            cancellation.request()
          }
        }
      }
      #expect(left.isEmpty)
    }

    /// Two at once leave each other's alone.
    @Test func whatIsHeldStays() throws {
      defer { remove(folder.path) }
      let first = try RecordFolder.temporary(in: folder.path)
      let second = try RecordFolder.temporary(in: folder.path)
      #expect(first.path != second.path)
      #expect(left.count == 2)
      withExtendedLifetime((first, second)) {}
    }

    @Test func theRecordIsNotPlannedAsMemory() throws {
      defer { remove(folder.path) }
      let size = FrameSize(width: ClipEditorTests.size, height: ClipEditorTests.size)
      let model = try StableDiffusionModel(
        Checkpoint(path: Fixtures.oracle.appendingPathComponent("models/tinyA").path), device: nil)
      let settings = tests.settings { $0.steps = 50 }
      let kept = try EditPlan(model: model, edits: [settings], frameSize: size)
      let plan = try EditPlan(model: model, edits: [inFolder(settings)], frameSize: size)
      #expect(plan.recordBytes(frames: 8) == kept.recordBytes(frames: 8))
      let saved = kept.peakBytes(frames: 8) - plan.peakBytes(frames: 8)
      #expect(saved > kept.recordBytes(frames: 8) * 9 / 10)
    }

    @Test func aFolderThatIsNone() throws {
      defer { remove(folder.path) }
      let error = #expect(throws: SettingsError.self) {
        try tests.edit(try tests.clip(1), [tests.settings { $0.recordFolder = "/proc/none" }])
      }
      #expect(error?.description.contains("record-dir") ?? false)
      #expect(throws: SettingsError.self) {
        try tests.edit(try tests.clip(1), [tests.settings { $0.recordFolder = "/proc" }])
      }
    }
  }
}
