import Glibc

/// Where the model is looked for.
public enum ModelSearch {
  public static let environmentVariable = "FATEZERO_MODEL"
  /// The small model that comes with FateZero.
  public static let shippedModel = "toyworld"

  /// The folder named, else `$FATEZERO_MODEL`, else the shipped model: in `share/fatezero/models` beside the folder of the
  /// program, or, where nothing was installed, in `Models` above the `.build` that the program lies in.
  /// - Parameter program: path of the binary or library that asks, symbolic links resolved.
  /// - Throws: `SettingsError` that lists the places tried. A named folder is not looked into.
  public static func find(_ named: String?, program: String) throws -> String {
    if let named { return named }
    if let value = getenv(environmentVariable), value.pointee != 0 { return String(cString: value) }
    let places = candidates(program: program)
    guard let found = places.first(where: { access($0 + "/model_index.json", R_OK) == 0 }) else {
      throw SettingsError(
        "no model was named and none was found in \(places.joined(separator: ", ")); give the folder of a Stable "
          + "Diffusion checkpoint, or set \(environmentVariable)", in: "model")
    }
    return found
  }

  static func candidates(program: String) -> [String] {
    let folders = program.split(separator: "/").dropLast().map(String.init)
    func path(_ folders: some Sequence<String>) -> String { "/" + folders.joined(separator: "/") }
    var places: [String] = []
    for up in 1...2 where folders.count >= up {
      places.append(path(folders.dropLast(up) + ["share", "fatezero", "models", shippedModel]))
    }
    if let build = folders.lastIndex(where: { $0 == ".build" || $0.hasPrefix(".build-") }) {
      places.append(path(folders[..<build] + ["Models", shippedModel]))
    }
    return places
  }
}
