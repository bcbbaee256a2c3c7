import Glibc
import Text

/// Where the model lies that a front end uses: the given one, else that of `$FATEZERO_MODEL`, else the one installed
/// with the program or library, else the repository's own. No path is fixed when the program is built.
public enum ModelLocation {
  /// The environment's name for the model of whoever names none.
  public static let variable = "FATEZERO_MODEL"
  static let model = "toyworld", vocabulary = "clip"
  static let installed = "share/fatezero/models"
  static let uninstalled = "Models"

  /// - Parameter path: what the user asked for, a path or `ORG/NAME` of the Hugging Face cache; nil or empty for the
  ///   default.
  /// - Throws: `ModelError`, `.notFound`, listing the places tried.
  public static func find(_ path: String? = nil) throws -> String {
    let variable = getenv(variable).map { String(cString: $0) }
    return try find(path, variable: variable, imageFolder: imageFolder())
  }

  /// What a front end says when it uses the default model; nil where one was named.
  /// - Parameter path: what the user asked for.
  public static func note(_ path: String?) -> String? {
    note(path, variable: getenv(variable).map { String(cString: $0) })
  }

  static func note(_ path: String?, variable: String?) -> String? {
    (path ?? "").isEmpty && (variable ?? "").isEmpty
      ? "no model was named: using Toy World, which knows little animals and things and no real footage" : nil
  }

  /// - Parameters:
  ///   - variable: the value of `$FATEZERO_MODEL`.
  ///   - imageFolder: the real folder of the program or library that holds this code.
  static func find(_ path: String?, variable: String?, imageFolder: String?) throws -> String {
    if let path, !path.isEmpty { return try place(path) }
    if let variable, !variable.isEmpty {
      let place = try place(variable)
      guard fileExists(place) else {
        throw ModelError(
          .notFound, "there is no model at \(place), which $\(Self.variable) names; correct or unset it")
      }
      return place
    }
    let places = imageFolder.map { folders(of: model, beside: $0) } ?? []
    if let place = places.first(where: { fileExists($0 + "/model_index.json") }) { return place }
    let tried = ["$\(Self.variable) (not set)"] + places
    throw ModelError(
      .notFound,
      """
      no model was given and the default one is not installed; give the path of one. Tried:
      \(tried.map { "  \($0)" }.joined(separator: "\n"))
      """)
  }

  /// The folder of CLIP's vocabulary, which checkpoints in one file do not bring.
  static func clipVocabulary() throws -> String {
    let places = imageFolder().map { folders(of: vocabulary, beside: $0) } ?? []
    guard let place = places.first(where: { fileExists($0 + "/vocab.json") }) else {
      throw ModelError(
        .notFound,
        """
        CLIP's vocabulary, which a checkpoint in one file needs, is not installed; install FateZero again. Tried:
        \(places.map { "  \($0)" }.joined(separator: "\n"))
        """)
    }
    return place
  }

  private static func folders(of name: String, beside folder: String) -> [String] {
    let parts = folder.pieces(at: "/")
    func joined(_ count: Int) -> String { parts.prefix(count).map { "/\($0)" }.joined() }
    // `share` beside bin/ or lib/, and beside lib/gstreamer-1.0/ with its one level (or Debian's two) more.
    var places = [1, 2, 3].filter { $0 <= parts.count }.map { "\(joined(parts.count - $0))/\(installed)/\(name)" }
    // `.build`, or a second build folder such as `.build-tests`.
    if let build = parts.lastIndex(where: { $0.begins(with: ".build") }) {
      places.append("\(joined(build))/\(uninstalled)/\(name)")
    }
    return places
  }

  /// The folder of the program or shared library that this code is part of, symbolic links resolved: that of the mapped
  /// file which holds this image's own address.
  private static func imageFolder() -> String? {
    let address = UInt(bitPattern: #dsohandle)
    for line in String(decoding: processFile("/proc/self/maps"), as: UTF8.self).pieces(at: "\n") {
      let bounds = line.prefix { $0 != " " }.pieces(at: "-").compactMap { UInt($0, radix: 16) }
      guard bounds.count == 2, bounds[0] <= address, address < bounds[1] else { continue }
      guard let begin = line.firstPlace(ofScalar: "/"), let end = line.lastPlace(ofScalar: "/") else { return nil }
      return String(line[begin..<end])
    }
    return nil
  }

  /// The bytes of a file of the proc file system, which has no size.
  private static func processFile(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "re") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      guard count > 0 else { return bytes }
      bytes += buffer.prefix(count)
    }
  }
}
