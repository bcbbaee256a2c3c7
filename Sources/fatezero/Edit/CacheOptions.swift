import ArgumentParser
import FateZero
import Glibc

/// Where inversions are kept between runs.
struct CacheOptions: ParsableArguments {
  // Scanning for a value, the parser's default, forgets the one of --cache=DIR before another option.
  @Option(
    defaultAsFlag: "", parsing: .next,
    help: ArgumentHelp(
      "Keep the clip's inversion in this folder and take it from there where an earlier edit left it; without a value, "
        + "in the user's cache folder (~/.cache/fatezero).", valueName: "folder"), completion: .directory)
  var cache: String?

  @Option(
    help: ArgumentHelp(
      "Bytes that the cache may hold, with k, M, G; the attention used longest ago goes first (default: 20 GB).",
      valueName: "bytes"))
  var cacheSize: String?

  @Flag(
    help: ArgumentHelp(
      "Go on where a run of the same edit was killed: the windows that it finished are taken from the cache. Each run with "
        + "--cache or --resume keeps them until it ends."))
  var resume = false

  func validate() throws {
    if cacheSize != nil, cache == nil, !resume { throw ValidationError("--cache-size needs --cache") }
  }

  /// - Returns: nil where neither was asked for.
  /// - Throws: `CommandFailure`, `SettingsError`, `StorageError`.
  func open(tell: @escaping (String) -> Void) throws -> (inversions: InversionCache, windows: WindowResults)? {
    guard cache != nil || resume else { return nil }
    let (folder, limit) = (try Self.folder(cache), try Self.byteCount(cacheSize) ?? InversionCache.defaultLimit)
    do {
      let inversions = try InversionCache(folder: folder, limit: limit, tell: tell)
      return (inversions, try WindowResults(folder: inversions.windowsFolder, reuses: resume, tell: tell))
    } catch let error as StorageError where error.isFullDisk {
      tell("warning: nothing is kept in the cache: \(error)")
      return nil
    }
  }

  /// The folder that was named, or the user's.
  static func folder(_ name: String?) throws -> String {
    if let name, !name.isEmpty {
      var status = stat()
      if stat(name, &status) == 0, status.st_mode & S_IFMT != S_IFDIR {
        throw CommandFailure(
          .usage, "--cache \(name): that is a file; name a folder, or write --cache behind INPUT and OUTPUT")
      }
      return name
    }
    guard let folder = InversionCache.userFolder else {
      throw CommandFailure(.usage, "--cache: there is no home folder to keep a cache in; name a folder")
    }
    return folder
  }

  static func byteCount(_ text: String?) throws -> Int? {
    guard let text else { return nil }
    do { return try Settings.byteCount(text, name: "--cache-size") } catch let error as SettingsError {
      throw CommandFailure(.usage, error.description)
    }
  }
}
