import ArgumentParser
import FateZero
import Glibc

/// `fatezero cache`: what the cache of inversions holds.
struct CacheCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cache", abstract: "List, check or shrink the cache of inversions that `edit --cache` fills.",
    subcommands: [List.self, Verify.self, Prune.self])

  struct Place: ParsableArguments {
    @Option(
      help: ArgumentHelp("The cache's folder (default: ~/.cache/fatezero).", valueName: "folder"),
      completion: .directory)
    var cache: String?

    /// nil where there is no such folder: an empty cache.
    func open() throws -> InversionCache? {
      let folder = try CacheOptions.folder(cache)
      guard access(folder, F_OK) == 0 else {
        guard cache == nil else { throw CommandFailure(.noInput, "\(folder): \(String(cString: strerror(errno)))") }
        return nil
      }
      return try InversionCache(folder: folder) { StandardError.line("fatezero: \($0)") }
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show the inversions, the one used last first: key, bytes, frames, size, steps, source prompt.")
    @OptionGroup var place: Place

    func run() throws {
      let entries = try place.open()?.entries() ?? []
      for entry in entries {
        let contents = entry.description.map {
          "\(Numerals.count($0.frames, "frame")) of \($0.size)  \(Numerals.count($0.steps, "step"))"
            + "\($0.holdsAttention ? "" : "  latents only")  \($0.source)"
        }
        try StandardOutput.line("\(entry.key)  \(Numerals.bytes(entry.byteCount))  \(contents ?? "damaged")")
      }
      let total = entries.reduce(0) { $0 + $1.byteCount }
      try StandardOutput.line("\(Numerals.count(entries.count, "inversion")), \(Numerals.bytes(total))")
    }
  }

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Compare every file with the digest that was written with it.",
      discussion: "Exit status 65 if any is damaged. Corrupt inversions are never used; --remove deletes them.")
    @OptionGroup var place: Place
    @Flag(help: "Remove damaged inversions.") var remove = false

    func run() throws {
      guard let cache = try place.open() else { return try StandardOutput.line("the cache is empty") }
      var damaged = 0
      let entries = cache.entries()
      for entry in entries {
        let damage = cache.damage(of: entry)
        for text in damage { try StandardOutput.line(text) }
        if !damage.isEmpty {
          damaged += 1
          if remove { cache.remove(entry) }
        }
      }
      try StandardOutput.line(
        "\(Numerals.count(entries.count, "inversion")), \(damaged) damaged\(remove && damaged > 0 ? ", removed" : "")")
      if damaged > 0, !remove { throw CommandFailure(.data, "the cache \(cache.folder) is damaged") }
    }
  }

  struct Prune: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Remove what killed runs left, and the inversions used longest ago beyond a size.")
    @OptionGroup var place: Place
    @Option(
      help: ArgumentHelp(
        "Bytes that may stay, with k, M, G; 0 empties the cache (default: 20 GB).", valueName: "bytes"))
    var cacheSize: String?

    func run() throws {
      guard let cache = try place.open() else { return try StandardOutput.line("the cache is empty") }
      cache.prune(to: try CacheOptions.byteCount(cacheSize) ?? InversionCache.defaultLimit)
      let entries = cache.entries()
      try StandardOutput.line(
        "\(Numerals.count(entries.count, "inversion")) left, \(Numerals.bytes(entries.reduce(0) { $0 + $1.byteCount }))"
      )
    }
  }
}
