import Files
import Glibc
import StableDiffusion
import Tensors
import Text

/// The attention of the source in files, one safetensors for each step, sealed with a digest. A step is read when its
/// edit step comes, into memory of its own.
final class RecordFolder: Sendable {
  let path: String
  private let held: HeldFolder?

  /// - Parameter path: Of a folder that exists.
  init(path: String) { (self.path, held) = (path, nil) }

  /// - Parameter held: Removed with this.
  init(_ held: HeldFolder) { (path, self.held) = (held.path, held) }

  /// A folder of its own within `folder`, removed with this; what killed processes left there goes first.
  /// - Throws: `StorageError`.
  static func temporary(in folder: String) throws -> RecordFolder {
    let prefix = "fatezero-record-"
    return try Folder.lock(folder) {
      HeldFolder.removeLeft(in: folder) { $0.begins(with: prefix) }
      // Processes on several machines may share the folder, and a number.
      let path = "\(folder)/\(prefix)\(UInt64.random(in: 0 ... .max))"
      do throws(FileError) { return RecordFolder(try HeldFolder(making: path)) } catch { throw StorageError(error) }
    }
  }

  /// Of the names of the steps' files.
  static let namePrefix = "step-"

  private static func name(of step: Int) -> String { "\(namePrefix)\(step).safetensors" }

  private func file(of step: Int) -> String { "\(path)/\(Self.name(of: step))" }

  func holds(step: Int) -> Bool { access(file(of: step), F_OK) == 0 }

  /// - Throws: `ModelError` naming the file, which is then not there.
  func write(_ entries: [AttentionSite: SourceAttention], step: Int) throws {
    var tensors: [SealedFile.Entry] = []
    var metadata: [String: String] = [:]
    for (site, attention) in entries.sorted(by: { $0.key.description < $1.key.description }) {
      switch attention {
      case .operands(let operands):
        tensors.append(("\(site).queries", operands.queries.shape, .tensors([operands.queries])))
        tensors.append(("\(site).keys", operands.keys.shape, .tensors([operands.keys])))
        metadata["\(site)"] = operands.keyFrames.map { $0.map(String.init).joined(separator: ",") }
          .joined(separator: ";")
      case .map(let map): tensors.append(("\(site).map", map.shape, .tensors([map])))
      }
    }
    guard let held else { throw ModelError(.badData, "cannot write to \(path), which is finished") }
    try SealedFile.write(Self.name(of: step), in: held.files, tensors, metadata: metadata)
  }

  /// What is kept of these layers at a step; nil where the step is not kept.
  /// - Parameter frames: Of the run.
  /// - Throws: `ModelError` where the file is damaged.
  func entries(step: Int, sites: [AttentionSite], frames: Int) throws -> [AttentionSite: SourceAttention]? {
    guard holds(step: step) else { return nil }
    let sealed = try SealedFile(path: file(of: step))
    let file = sealed.tensors
    let names = Set(file.names)
    var entries: [AttentionSite: SourceAttention] = [:]
    for site in sites {
      if names.contains("\(site).map") {
        let map = try file.tensor("\(site).map")
        guard map.shape.count == 4, map.shape[0] == frames, map.shape[1] == site.heads, map.shape[2] == site.tokens
        else { throw sealed.damaged }
        entries[site] = .map(map)
      } else if names.contains("\(site).queries"), names.contains("\(site).keys") {
        let (queries, keys) = (try file.tensor("\(site).queries"), try file.tensor("\(site).keys"))
        let keyFrames = (file.metadata["\(site)"] ?? "").pieces(at: ";").map {
          $0.pieces(at: ",").compactMap { Int($0) }
        }
        guard queries.shape == [frames, site.tokens, site.channels], keys.shape.count == 3,
          Array(keys.shape.dropFirst()) == [site.tokens, site.channels], keyFrames.count == frames,
          keyFrames.allSatisfy({ !$0.isEmpty && $0.allSatisfy((0..<keys.shape[0]).contains) })
        else { throw sealed.damaged }
        entries[site] = .operands(
          AttentionOperands(queries: queries, keys: keys, keyFrames: keyFrames))
      }
    }
    return entries
  }
}
