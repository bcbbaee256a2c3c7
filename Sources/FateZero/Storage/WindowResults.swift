import Files
import Glibc
import StableDiffusion
import Tensors
import Text

/// Finished windows of runs that have not ended, so that one that was killed can go on where it stopped, and several can
/// share a clip's windows: one sealed safetensors file for each, named after a digest of all that the window's frames depend
/// on.
public final class WindowResults {
  public let folder: String
  private let files: ClaimedFolder
  private let reuses: Bool
  let tell: (String) -> Void
  /// Those that this run has made or used.
  private var keys: [String] = []

  /// - Parameters:
  ///   - folder: Made where it does not exist.
  ///   - reuses: Whether windows that other runs finished are taken.
  ///   - tell: Takes what the user should know, a sentence each.
  /// - Throws: `StorageError` where the folder cannot be made or written to.
  public init(folder: String, reuses: Bool, tell: @escaping (String) -> Void) throws {
    (self.folder, self.reuses, self.tell) = (folder, reuses, tell)
    do throws(FileError) { files = try ClaimedFolder(taking: folder) } catch { throw StorageError(error) }
    guard access(folder, W_OK) == 0 else { throw StorageError("cannot write to the folder \(folder)") }
  }

  /// Names of the files of the windows that this run has made or used.
  public var names: [String] { keys.map(Self.name) }

  /// The run has ended well: nobody will go on with it.
  public func runEnded() {
    files.removeFiles(names)
    keys = []
  }

  /// Finished windows in a folder.
  struct Held {
    private let files: ClaimedFolder?
    /// The newest first.
    private(set) var windows: [(name: String, byteCount: Int)] = []

    init(in folder: String) {
      files = ClaimedFolder(at: folder)
      guard let files else { return }
      windows = files.claims.compactMap { name in files.folder.status(of: name).map { (name, $0) } }
        .sorted { ($0.1.st_mtim.tv_sec, $0.0) > ($1.1.st_mtim.tv_sec, $1.0) }.map { ($0.0, Int($0.1.st_size)) }
    }

    var byteCount: Int { windows.reduce(0) { $0 + $1.byteCount } }

    /// Removes the oldest until `bytes` or less are held.
    mutating func shrink(to bytes: Int) {
      var (total, gone) = (byteCount, [String]())
      while total > bytes, let oldest = windows.popLast() {
        gone.append(oldest.name)
        total -= oldest.byteCount
      }
      files?.removeFiles(gone)
    }
  }

  // MARK: One window

  /// What a window leaves: its frames, and what later windows read of it.
  struct Result {
    /// For each edit (1, height, width, 3), about -1...1, of each frame.
    var pictures: [[Tensor]]
    /// For each edit.
    var masks: [MeanMask?]
    var kept: [CarriedFrame]
  }

  private static func name(_ key: String) -> String { "\(key).safetensors" }
  private func path(_ key: String) -> String { "\(folder)/\(Self.name(key))" }

  /// Keeps a finished window until the run has ended.
  /// - Throws: `ModelError` where the file cannot be written.
  func keep(_ result: Result, key: String) throws {
    var tensors: [SealedFile.Entry] = []
    var metadata: [String: String] = [:]
    func add(_ name: String, _ parts: [Tensor]) { tensors.append(SealedFile.entry(name, parts)) }
    for (index, pictures) in result.pictures.enumerated() {
      add("edit.\(index).pictures", pictures)
      guard let mask = result.masks[index] else { continue }
      tensors.append(("edit.\(index).mask", [mask.sum.count], .float32(mask.sum)))
      metadata["edit.\(index).mask"] = "\(mask.rows) \(mask.columns) \(mask.steps)"
    }
    for (position, frame) in result.kept.enumerated() {
      add("kept.\(position).inversion", frame.inversion)
      if let reconstruction = frame.reconstruction { add("kept.\(position).reconstruction", reconstruction) }
      for (index, edit) in frame.edits.enumerated() { add("kept.\(position).edit.\(index)", edit) }
    }
    try SealedFile.write(Self.name(key), in: files, tensors, metadata: metadata)
    keys.append(key)
  }

  /// Takes the window into work. Where windows are shared and another process works on it, this waits for that one to be done
  /// with it, or to die; the window may be found then.
  /// - Returns: To be held while the window is in work.
  /// - Throws: `CancellationRequested`.
  func claim(_ key: String, cancellation: Cancellation) throws -> FileLock? {
    guard reuses else { return nil }
    return try FileLock.claim("\(path(key)).lock", cancellation: cancellation) {
      tell("another process works on the same window; waiting for it")
    }
  }

  /// - Parameters:
  ///   - kept: How many frames later windows read of this one.
  ///   - masks: What the user's masks say of those.
  /// - Returns: nil where the window is not there or is damaged, which is said.
  func find(_ key: String, plan: EditPlan, window: ClipWindow, kept: Int, masks: [SoftMask?]) -> Result? {
    guard reuses, access(path(key), F_OK) == 0 else { return nil }
    do { return try read(key, plan: plan, window: window, kept: kept, masks: masks) } catch {
      tell("warning: a finished window is damaged and is made anew: \(error)")
      files.removeFiles([Self.name(key)])
      return nil
    }
  }

  private func read(
    _ key: String, plan: EditPlan, window: ClipWindow, kept: Int, masks: [SoftMask?]
  ) throws -> Result {
    let file = try SealedFile(path: path(key))
    let size = plan.workingSize
    func parts(_ name: String, levels: Int) throws -> [Tensor] {
      try file.parts(name, [levels, 1, plan.latentRows, plan.latentColumns, plan.channels])
    }
    let states = plan.scheduler.steps + 1
    let result = Result(
      pictures: try plan.edits.indices.map {
        try file.parts("edit.\($0).pictures", [window.count, 1, size.height, size.width, 3])
      },
      masks: try plan.edits.indices.map { index in
        let numbers = (file.tensors.metadata["edit.\(index).mask"] ?? "").pieces(at: " ").compactMap { Int($0) }
        guard numbers.count == 3, numbers.allSatisfy({ 1...1 << 16 ~= $0 }) else { return nil }
        let sum = try file.tensors.tensor("edit.\(index).mask")
        guard sum.shape == [window.count * numbers[0] * numbers[1]] else { throw file.damaged }
        return MeanMask(sum: sum.floats, rows: numbers[0], columns: numbers[1], steps: numbers[2])
      },
      kept: try (0..<kept).map { position in
        CarriedFrame(
          inversion: try parts("kept.\(position).inversion", levels: plan.sourceLevels),
          reconstruction: plan.reconstructionTokens == nil
            ? nil : try parts("kept.\(position).reconstruction", levels: states),
          edits: try plan.edits.indices.map { try parts("kept.\(position).edit.\($0)", levels: states) },
          mask: masks[position])
      })
    keys.append(key)
    return result
  }
}
