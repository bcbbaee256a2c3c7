import Foundation
import StableDiffusion
import TestSupport

/// The error that `body` ends with: its kind and its text.
func modelError(_ body: () throws -> Void) -> (kind: ModelError.Kind, text: String)? {
  do {
    try body()
    return nil
  } catch let error as ModelError {
    return (error.kind, error.description)
  } catch {
    return nil
  }
}

/// The bytes of a safetensors file with any header, sound or not.
func safetensorsBytes(header: String, data: Int = 0, length: UInt64? = nil) -> Data {
  var length = length ?? UInt64(header.utf8.count)
  var bytes = Data()
  for _ in 0..<8 {
    bytes.append(UInt8(length & 0xff))
    length >>= 8
  }
  return bytes + Data(header.utf8) + Data(count: data)
}

/// A copy of a fixture model whose files can be changed one by one; unchanged ones are links.
func copyModel(_ model: URL, to folder: URL, replacing changes: [String: Data?] = [:]) throws -> String {
  let files = FileManager.default
  let target = folder.appendingPathComponent(UUID().uuidString)
  for path in try files.subpathsOfDirectory(atPath: model.path) {
    let source = model.appendingPathComponent(path).resolvingSymlinksInPath()
    var isFolder: ObjCBool = false
    guard files.fileExists(atPath: source.path, isDirectory: &isFolder), !isFolder.boolValue else { continue }
    if case .some(nil) = changes[path] { continue }
    let destination = target.appendingPathComponent(path)
    try files.createDirectory(at: destination.deletingLastPathComponent(), withIntermediateDirectories: true)
    if changes[path] == nil { try files.createSymbolicLink(at: destination, withDestinationURL: source) }
  }
  for case (let path, .some(let data)) in changes {
    let destination = target.appendingPathComponent(path)
    try files.createDirectory(at: destination.deletingLastPathComponent(), withIntermediateDirectories: true)
    try data.write(to: destination)
  }
  return target.path
}

/// The JSON object in `file` with some keys changed.
func json(_ file: URL, with changes: [String: Any]) throws -> Data {
  var object = try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any] ?? [:]
  object.merge(changes) { $1 }
  return try JSONSerialization.data(withJSONObject: object)
}
