import FoundationEssentials
import StableDiffusion

@testable import FateZeroCommand

/// A text of a stranger's that becomes part of a file's name.
struct NamesTarget: FuzzTarget {
  static let name = "names"
  static let maximumLength = 512
  let scratch: ScratchFolder

  private static let slash = UInt8(ascii: "/")

  func run(_ input: [UInt8]) throws {
    let text = input.text
    let name = OutputName.fileName(of: text)
    try Self.promisePart(name)
    try promise(name.utf8.first != UInt8(ascii: "."), "\(name.debugDescription) is hidden")
    for name in try OutputName.names("{edit}.mp4", edits: [text]) { try Self.promisePart(name) }
    try promiseQuoting(of: text)
    try promiseJobs(of: text)
    try promiseShards(of: text)
  }

  /// Checks what is to be one component of a path, and no option of a program.
  /// - Throws: `BrokenPromise`.
  static func promisePart(_ name: String) throws {
    let bytes = Array(name.utf8)
    try promise(!bytes.isEmpty && bytes.count <= 255, "a name of \(bytes.count) bytes")
    try promise(!bytes.contains(slash) && !bytes.contains(0), "\(name.debugDescription) holds a slash or a zero byte")
    try promise(bytes != [0x2e] && bytes != [0x2e, 0x2e], "\(name.debugDescription) is another folder")
    try promise(bytes.first != UInt8(ascii: "-"), "\(name.debugDescription) is an option")
  }

  private func promiseQuoting(of text: String) throws {
    let encoded = FFmpegGraph.encoded(text)
    let marks = #"'"$`\,;[]:|&"#.utf8
    try promise(!encoded.utf8.contains { marks.contains($0) }, "\(encoded.debugDescription) holds a mark of ffmpeg's")
  }

  private func promiseJobs(of text: String) throws {
    struct Jobs: Encodable {
      struct Edit: Encodable { let edit: String, name: String }
      let clips: [[String: String]]
      let edits: [Edit]
    }
    // JSON is YAML.
    let jobs = try JSONEncoder().encode(
      Jobs(clips: [["path": "clip.mp4", "name": text]], edits: [.init(edit: "a tiger", name: text)]))
    guard let file = try? JobsFile(yaml: String(decoding: jobs, as: UTF8.self), name: "jobs.yaml") else { return }
    for job in file.jobs { for name in [job.name] + job.files { try Self.promisePart(name) } }
  }

  /// Files that an index of weights names lie beside it.
  private func promiseShards(of text: String) throws {
    let name = "\(text).safetensors"
    let parts = name.utf8.split(separator: Self.slash, omittingEmptySubsequences: false).map { Array($0) }
    let usual = parts.allSatisfy { part in
      !part.isEmpty && part != [0x2e] && part != [0x2e, 0x2e] && !part.contains(0) && part.count < 200
    }
    guard usual, parts.count == 2 else { return }
    // A file that is there would be opened.
    let folder = scratch.folder("model")
    let inner = scratch.folder("model/\(parts[0].text)")
    defer { try? FileManager.default.removeItem(atPath: inner) }
    _ = try scratch.file("model/\(name)", SafetensorsTarget.file(Array("{}".utf8)))
    let index = try JSONEncoder().encode(["weight_map": ["a": name]])
    _ = try scratch.file("model/model.safetensors.index.json", Array(index))
    do { _ = try ShardedWeights(indexPath: "\(folder)/model.safetensors.index.json") } catch {
      try promise(!"\(error)".contains("says that"), "\(name.debugDescription) was opened")
    }
  }
}
