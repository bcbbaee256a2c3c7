import CFateZero

/// The caller's functions, and how they are told things.
struct Callbacks {
  private let functions: fatezero_callbacks

  init(_ functions: fatezero_callbacks = fatezero_callbacks()) { self.functions = functions }

  func progress(_ progress: fatezero_progress) {
    var progress = progress
    progress.struct_size = MemoryLayout<fatezero_progress>.size
    functions.progress?(functions.user_data, &progress)
  }

  var wantsCancellation: Bool { functions.cancel.map { $0(functions.user_data) != 0 } ?? false }

  func log(_ level: fatezero_log_level, _ message: String) {
    functions.log?(functions.user_data, level, message)
  }

  func window(_ window: fatezero_window, words: String) {
    guard let tell = functions.window else { return }
    words.withCString { words in
      var window = window
      window.struct_size = MemoryLayout<fatezero_window>.size
      window.words = words
      tell(functions.user_data, &window)
    }
  }
}
