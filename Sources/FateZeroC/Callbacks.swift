import CFateZero
import FateZero
import Text

/// The caller's functions, and how they are told things.
struct Callbacks {
  private let functions: fatezero_callbacks

  init(_ functions: fatezero_callbacks = fatezero_callbacks()) { self.functions = functions }

  var wantsCancellation: Bool { functions.cancel.map { $0(functions.user_data) != 0 } ?? false }

  func log(_ level: fatezero_log_level, _ message: String) {
    functions.log?(functions.user_data, level, message.visibleLines)
  }

  /// - Parameter left: Seconds to the window's end; nil while nobody knows.
  func progress(
    phase: fatezero_phase, step: Int, steps: Int, window: Int = 0, frames: Int = 0, share: Double = 0,
    left: Double? = nil
  ) {
    guard let tell = functions.progress else { return }
    var progress = fatezero_progress()
    progress.struct_size = MemoryLayout<fatezero_progress>.size
    (progress.window, progress.frames) = (Int64(window), Int64(frames))
    progress.phase = phase
    (progress.step, progress.steps) = (Int32(clamping: step), Int32(clamping: steps))
    (progress.fraction, progress.seconds_left) = (share, left ?? -1)
    tell(functions.user_data, &progress)
  }

  func window(index: Int, waiting: [Waiting], seconds: Double, words: String, maskShare: Float?) {
    guard let tell = functions.window else { return }
    words.visible.withCString { words in
      var window = fatezero_window()
      window.struct_size = MemoryLayout<fatezero_window>.size
      (window.window, window.frames) = (Int64(index), Int64(waiting.count))
      (window.first_pts, window.last_pts) = (waiting.first?.pts ?? .min, waiting.last?.pts ?? .min)
      window.seconds = seconds
      window.peak_memory = Int64(MachineMemory.peakResident)
      window.words = words
      window.mask_share = maskShare.map(Double.init) ?? -1
      tell(functions.user_data, &window)
    }
  }
}
