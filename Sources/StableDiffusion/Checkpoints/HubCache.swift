import FoundationEssentials
import Glibc
import Text

/// The cache in which Hugging Face's tools keep what they have downloaded
/// (https://huggingface.co/docs/huggingface_hub/guides/manage-cache). Only read; nothing is downloaded.
struct HubCache {
  /// A repository of the hub at a revision: `ORG/NAME` or `ORG/NAME@REVISION`.
  struct Repository: Equatable {
    let organisation: Substring, name: Substring
    /// A branch, a tag, or a commit or the first digits of one.
    let revision: String

    /// Nil for what cannot be a repository's name.
    init?(_ text: String) {
      let sides = text.pieces(at: "@", maxSplits: 1, keepingEmpty: true)
      let parts = sides[0].pieces(at: "/", keepingEmpty: true)
      let isName = { (part: Substring) in
        !part.isEmpty && part != "." && part != ".."
          && part.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.isLetter || $0.isDigit || "-_.".unicodeScalars.contains($0))
          }
      }
      guard parts.count == 2, parts.allSatisfy(isName) else { return nil }
      (organisation, name) = (parts[0], parts[1])
      revision = sides.count == 2 ? String(sides[1]) : "main"
      guard !revision.isEmpty, !revision.pieces(at: "/").contains(".."), !revision.holds("\0") else {
        return nil
      }
    }
  }

  /// Absolute.
  let folder: String

  /// - Parameter environment: looks up a variable.
  init(environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }) {
    func given(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
    folder =
      given("HF_HUB_CACHE") ?? given("HUGGINGFACE_HUB_CACHE") ?? given("HF_HOME").map { $0 + "/hub" }
      ?? given("XDG_CACHE_HOME").map { $0 + "/huggingface/hub" } ?? (given("HOME") ?? "") + "/.cache/huggingface/hub"
  }

  /// The folder of the repository's files at its revision.
  /// - Throws: `ModelError`, `.notFound`, with the command that downloads it.
  func snapshot(_ repository: Repository) throws -> String {
    let place = "\(folder)/models--\(repository.organisation)--\(repository.name)"
    let name = "\(repository.organisation)/\(repository.name)"
    let download =
      "hf download \(name)" + (repository.revision == "main" ? "" : " --revision \(repository.revision)")
    guard folderExists(place) else {
      throw ModelError(
        .notFound,
        "there is no file or folder \(name), and no model of this name in the Hugging Face cache (\(folder)); if it is one "
          + "of the hub's, get it with: \(download)")
    }
    let reference = "\(place)/refs/\(repository.revision)"
    let commit =
      fileExists(reference) && !folderExists(reference)
      ? String(decoding: try fileBytes(reference, limit: 1024), as: UTF8.self).words.joined()
      : repository.revision
    if !commit.isEmpty, !commit.holds("/"), folderExists("\(place)/snapshots/\(commit)") {
      return "\(place)/snapshots/\(commit)"
    }
    let commits = folderEntries("\(place)/snapshots")
    let beginning = commits.filter { $0.begins(with: commit) }
    if commit.count >= 7, beginning.count == 1 { return "\(place)/snapshots/\(beginning[0])" }
    throw ModelError(
      .notFound,
      "\(name) is in the Hugging Face cache (\(folder)), but not its revision \(repository.revision); there "
        + (commits.isEmpty ? "is none" : "is \(commits.joined(separator: ", "))") + "; get it with: \(download)")
  }
}

/// Names in a folder, sorted, without hidden ones; none where it is no folder.
func folderEntries(_ path: String) -> [String] {
  ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).filter { !$0.begins(with: ".") }.sorted()
}

extension ModelLocation {
  /// A file or folder as it was given, or else the place of the repository of that name in the Hugging Face cache.
  /// - Throws: `ModelError`, `.notFound`.
  static func place(_ path: String, cache: HubCache = HubCache()) throws -> String {
    guard !fileExists(path), let repository = HubCache.Repository(path) else { return path }
    return try cache.snapshot(repository)
  }
}
