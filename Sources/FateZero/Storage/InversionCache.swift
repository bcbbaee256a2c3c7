import Files
import FoundationEssentials
import Glibc
import StableDiffusion
import Tensors
import Text

/// Inversions on disk, for later edits of the same clip: a folder with an entry for each window of a clip, named after a
/// digest of everything that the inversion depends on.
///
/// Many processes may use one folder at once. An entry is written under a name of its own and renamed when it is complete.
/// Where the folder would exceed its limit, the kept attention of the entries used longest ago goes first, then those
/// entries.
public final class InversionCache {
  /// What is known of an entry without reading it.
  public struct Entry: Sendable {
    /// 32 hexadecimal digits.
    public let key: String
    /// nil where it is damaged.
    public let description: Description?
    public let byteCount: Int
    /// Seconds since 1970.
    public let lastUse: Int
  }

  public static let defaultLimit = 20_000_000_000

  public let folder: String
  public let limit: Int
  let tell: (String) -> Void

  /// - Parameters:
  ///   - folder: Made where it does not exist.
  ///   - limit: Bytes.
  ///   - tell: Takes what the user should know, a sentence each.
  /// - Throws: `StorageError`.
  public init(folder: String, limit: Int = defaultLimit, tell: @escaping (String) -> Void) throws {
    (self.folder, self.limit, self.tell) = (folder, limit, tell)
    try Folder.make(folder)
    guard access(folder, W_OK) == 0 else { throw StorageError("cannot write to the cache \(folder)") }
  }

  /// The user's: `$XDG_CACHE_HOME/fatezero`, or `~/.cache/fatezero`; nil without a home.
  public static var userFolder: String? {
    func variable(_ name: String) -> String? {
      getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
    return variable("XDG_CACHE_HOME").map { "\($0)/fatezero" } ?? variable("HOME").map { "\($0)/.cache/fatezero" }
  }

  private func path(_ key: String) -> String { "\(folder)/\(key)" }

  /// The entry's files; nil for a folder that the cache did not make, and for a link to one.
  private func files(of key: String) -> ClaimedFolder? {
    OpenFolder(folder).flatMap { ClaimedFolder(key, in: $0, at: folder) }
  }

  /// Where the runs that use the cache keep their finished windows; they count as its own.
  public var windowsFolder: String { "\(folder)/windows" }

  // MARK: One inversion

  struct Stored {
    let latents: [Tensor]
    let reconstruction: [Tensor]?
    /// nil where no attention is kept.
    let record: RecordFolder?
  }

  /// The inversion of that key; nil where there is none or it is damaged, which is said.
  func find(_ key: String, plan: EditPlan, frames: Int) -> Stored? {
    let path = path(key)
    guard let files = files(of: key) else { return nil }
    do {
      let description = try Description(files)
      let file = try SealedFile(path: "\(path)/latents.safetensors")
      let shape = [plan.sourceLevels, frames, plan.latentRows, plan.latentColumns, plan.channels]
      let stored = Stored(
        latents: try file.parts("latents", shape),
        reconstruction: plan.reconstructionTokens == nil ? nil : try file.parts("reconstruction", shape),
        record: description.holdsAttention ? RecordFolder(path: path) : nil)
      // The entry was used now.
      utimensat(files.folder.descriptor, Self.descriptionName, nil, AT_SYMLINK_NOFOLLOW)
      return stored
    } catch {
      warn("the cached inversion \(path) is damaged and is made anew: \(error)")
      lock { files.remove() }
      return nil
    }
  }

  /// Takes an inversion into work, once no other process has it; it may be found then. To be held until it is kept.
  func claim(_ key: String, cancellation: Cancellation) throws -> FileLock? {
    try FileLock.claim("\(path(key)).lock", cancellation: cancellation) {
      tell("another process inverts the same window; waiting for it")
    }
  }

  func warn(_ text: String) { tell("warning: \(text)") }

  /// Says what a find spares, and what it costs that the attention is not in it.
  func tellFound(_ inversion: Inversion, plan: EditPlan, windowIndex: Int) {
    var text = "the inversion of window \(windowIndex + 1) comes from the cache"
    let missing = (0..<plan.scheduler.steps).filter {
      plan.needs.wantsAnything(step: $0) && !inversion.record.holds(step: $0)
    }.count
    if missing > 0 {
      text +=
        ", without the attention of \(Numerals.count(missing, "step")): the source's pass of "
        + "\(missing == 1 ? "that step" : "those steps") is computed again beside each edit"
    }
    tell(text)
  }

  /// An entry that is being written.
  final class Draft {
    fileprivate let key: String
    private let folder: HeldFolder
    /// nil where attention is not kept.
    let record: RecordFolder?

    fileprivate var path: String { folder.path }
    fileprivate var files: ClaimedFolder { folder.files }

    fileprivate init(key: String, folder: String, keepsAttention: Bool) throws {
      self.key = key
      // Processes on several machines may share the folder, and a number.
      let path = "\(folder)/\(key).\(UInt64.random(in: 0 ... .max)).partial"
      do throws(FileError) { self.folder = try HeldFolder(making: path) } catch { throw StorageError(error) }
      record = keepsAttention ? RecordFolder(self.folder) : nil
    }
  }

  /// Begins an entry, after making room for it; nil where it has no room at all or the folder cannot be written.
  func begin(_ key: String, plan: EditPlan, window: ClipWindow) -> Draft? {
    let latents = 4 * plan.sourceLevels * window.total * plan.latentRows * plan.latentColumns * plan.channels
    let attention = plan.record == .recompute ? 0 : plan.estimate.recordBytes(plan, window: window).all
    guard latents < limit else {
      warn("the inversion's latents (\(Numerals.bytes(latents))) exceed cache-size (\(Numerals.bytes(limit)))")
      return nil
    }
    let keeps = attention > 0 && Double(latents) + attention <= Double(limit)
    if attention > 0, !keeps {
      tell(
        "the cache keeps the inversion's latents only: the attention (\(Numerals.bytes(Int(min(attention, 0x1p62))))) "
          + "exceeds cache-size (\(Numerals.bytes(limit)))")
    }
    do {
      lock {
        removeLeft()
        makeRoom(latents + (keeps ? Int(attention) : 0))
      }
      return try Draft(key: key, folder: folder, keepsAttention: keeps)
    } catch {
      warn("the inversion is not cached: \(error)")
      return nil
    }
  }

  /// Completes an entry. What goes wrong is said, and nothing is kept then.
  /// - Returns: The attention at its place; nil where none is kept.
  func finish(_ draft: Draft, _ inversion: Inversion, plan: EditPlan) -> RecordFolder? {
    do {
      if let failure = inversion.record.failure { throw failure }
      var tensors = [SealedFile.entry("latents", inversion.latents)]
      if let reconstruction = inversion.reconstruction {
        tensors.append(SealedFile.entry("reconstruction", reconstruction))
      }
      try SealedFile.write("latents.safetensors", in: draft.files, tensors)
      try Description(
        version: "\(Version.text)", source: plan.source?.prompt ?? "", frames: inversion.window.count,
        size: "\(plan.workingSize)", steps: plan.scheduler.steps, model: inversion.basis.model,
        holdsAttention: draft.record != nil
      ).write(to: draft.files)
      // Another process may have been faster: its entry is as good.
      lock { _ = rename(draft.path, path(draft.key)) }
      return draft.record.map { _ in RecordFolder(path: path(draft.key)) }
    } catch {
      warn("the inversion is not cached: \(error)")
      return nil
    }
  }

  // MARK: The folder

  /// All entries, the one used last first.
  public func entries() -> [Entry] {
    guard let root = OpenFolder(folder) else { return [] }
    return root.names.compactMap { name -> Entry? in
      guard name.utf8.count == 32, let files = ClaimedFolder(name, in: root, at: folder) else { return nil }
      return Entry(
        key: name, description: try? Description(files), byteCount: Self.byteCount(files),
        lastUse: files.folder.status(of: Self.descriptionName).map { Int($0.st_mtim.tv_sec) } ?? 0)
    }.sorted { ($0.lastUse, $0.key) > ($1.lastUse, $1.key) }
  }

  /// What is wrong with an entry, file by file; empty where all is as it was written.
  public func damage(of entry: Entry) -> [String] {
    (entry.description == nil ? ["\(path(entry.key))/entry.json is damaged"] : [])
      + (files(of: entry.key)?.claims ?? []).filter { $0.ends(with: ".safetensors") }.sorted().compactMap { name in
        let path = "\(path(entry.key))/\(name)"
        do { _ = try SealedFile(path: path) } catch { return "\(error)" }
        return nil
      }
  }

  /// Removes an entry.
  public func remove(_ entry: Entry) { lock { files(of: entry.key)?.remove() } }

  /// Removes what killed processes left, and the entries used longest ago until `bytes` or less are held.
  public func prune(to bytes: Int) {
    lock {
      removeLeft()
      var windows = WindowResults.Held(in: windowsFolder)
      var held = entries()
      var total = held.reduce(0) { $0 + $1.byteCount }
      while total + windows.byteCount > bytes, let oldest = held.popLast() {
        files(of: oldest.key)?.remove()
        total -= oldest.byteCount
      }
      windows.shrink(to: bytes - total)
    }
  }

  /// Removes what killed processes left.
  private func removeLeft() { HeldFolder.removeLeft(in: folder) { $0.ends(with: ".partial") } }

  private static func byteCount(_ files: ClaimedFolder) -> Int {
    files.claims.reduce(0) { $0 + (files.folder.status(of: $1).map { Int($0.st_size) } ?? 0) }
  }

  /// Attention goes before latents, what was used longest ago before the rest.
  private func makeRoom(_ bytes: Int) {
    let held = entries()
    var windows = WindowResults.Held(in: windowsFolder)
    var total = held.reduce(0) { $0 + $1.byteCount } + windows.byteCount
    for entry in held.reversed() where total + bytes > limit {
      guard var description = entry.description, description.holdsAttention, let files = files(of: entry.key) else {
        continue
      }
      files.removeFiles(files.claims.filter { $0.begins(with: RecordFolder.namePrefix) })
      description.holdsAttention = false
      try? description.write(to: files)
      total -= entry.byteCount - Self.byteCount(files)
    }
    for entry in held.reversed() where total + bytes > limit {
      guard let files = files(of: entry.key) else { continue }
      total -= Self.byteCount(files)
      files.remove()
    }
    windows.shrink(to: limit - bytes - (total - windows.byteCount))
  }

  /// Alone among the processes that use the folder.
  private func lock(_ body: () -> Void) {
    let lock = FileLock("\(folder)/lock")
    lock?.wait()
    withExtendedLifetime(lock, body)
  }

  fileprivate static let descriptionName = "entry.json"

  /// `entry.json`.
  public struct Description: Codable, Sendable {
    public var version: String
    public var source: String
    public var frames: Int
    /// The working size.
    public var size: String
    public var steps: Int
    /// The model's identity.
    public var model: String
    public var holdsAttention: Bool
  }
}

extension InversionCache.Description {
  /// - Parameter entry: The entry's folder.
  fileprivate init(_ entry: ClaimedFolder) throws {
    guard let bytes = entry.bytes(of: InversionCache.descriptionName, limit: 1 << 20) else {
      throw StorageError("\(entry.path)/\(InversionCache.descriptionName) cannot be read")
    }
    self = try JSONDecoder().decode(Self.self, from: Data(bytes))
  }

  fileprivate func write(to entry: ClaimedFolder) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    try entry.write([UInt8](try encoder.encode(self)), to: InversionCache.descriptionName)
  }
}

/// What went wrong with kept files: which, and why.
public struct StorageError: Error, CustomStringConvertible, Sendable {
  public let description: String
  /// Whether the disk is full.
  public let isFullDisk: Bool

  init(_ description: String, isFullDisk: Bool = false) {
    (self.description, self.isFullDisk) = (description, isFullDisk)
  }
  init(_ error: FileError) { self.init(error.description, isFullDisk: error.isFullDisk) }
}
