import FoundationEssentials

enum Fixtures {
  static let oracle = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures/oracle").path

  /// Names like `configs/x.yaml`, sorted.
  static func files(in folder: String, suffix: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: oracle + "/" + folder).filter { $0.hasSuffix(suffix) }.sorted()
      .map { folder + "/" + $0 }
  }
}
