import FoundationEssentials
import Glibc

/// A folder of its own, removed when nothing refers to this any more.
final class ScratchFolder {
  let path: String

  init() throws {
    let place = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(place)/fatezero-fuzz-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw BrokenPromise(description: "no folder can be made in \(place): \(String(cString: strerror(errno)))")
    }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Makes a folder within; it may be there.
  func folder(_ name: String) -> String {
    let folder = "\(path)/\(name)"
    mkdir(folder, 0o700)
    return folder
  }

  /// Writes a file in place of one of that name.
  /// - Returns: Its path.
  func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = "\(path)/\(name)"
    let descriptor = open(file, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    guard write(descriptor, bytes, bytes.count) == bytes.count else {
      throw BrokenPromise(description: "\(file) cannot be written: \(String(cString: strerror(errno)))")
    }
    return file
  }
}
