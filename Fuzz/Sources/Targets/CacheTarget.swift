import StableDiffusion
import Tensors

@testable import FateZero

/// An entry of the cache: `entry.json`, and a safetensors file as that of `safetensors`, which is its latents, a step's
/// attention and a finished window.
struct CacheTarget: FuzzTarget {
  static let name = "cache"
  static let maximumLength = 4096
  let scratch: ScratchFolder
  private let plan: EditPlan

  init(scratch: ScratchFolder) throws {
    self.scratch = scratch
    plan = try ToyWorld().plan([("steps", "2")])
  }

  func run(_ input: [UInt8]) throws {
    let parts = input.parts(atMost: 2)
    let sealed = SafetensorsTarget.file(parts.count > 1 ? parts[1] : [])
    let key = String(repeating: "0", count: 32)
    let folder = scratch.folder("cache")
    let entry = scratch.folder("cache/\(key)")
    _ = scratch.folder("cache/windows")
    for name in ["latents", "step-0"] { _ = try scratch.file("cache/\(key)/\(name).safetensors", sealed) }
    _ = try scratch.file("cache/\(key)/entry.json", parts[0])
    _ = try scratch.file("cache/windows/\(key).safetensors", sealed)
    // Of files that are on no list the program makes nothing.
    for (folder, names) in [
      ("cache", []), ("cache/\(key)", ["entry.json", "latents.safetensors", "step-0.safetensors"]),
      ("cache/windows", ["\(key).safetensors"]),
    ] {
      _ = try scratch.file(
        "\(folder)/.fatezero-files", Array("fatezero 1\n\(names.map { "\($0)\n" }.joined())".utf8))
    }

    let cache = try InversionCache(folder: folder, tell: { _ in })
    for entry in cache.entries() { _ = cache.damage(of: entry) }
    _ = try? RecordFolder(path: entry).entries(step: 0, sites: Array(plan.sites.prefix(4)), frames: 1)
    _ = cache.find(key, plan: plan, frames: 1)
    let windows = try WindowResults(folder: cache.windowsFolder, reuses: true, tell: { _ in })
    let window = plan.window(index: 0, count: 1)
    for mask in windows.find(key, plan: plan, window: window, kept: 0, masks: [])?.masks ?? [] { _ = mask?.share }
    cache.prune(to: 0)
  }
}
