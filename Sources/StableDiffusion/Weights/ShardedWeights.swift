import Tensors
import Text

/// Weights spread over several files, with an index (`*.safetensors.index.json`, `*.bin.index.json`) that says which
/// tensor is where.
public final class ShardedWeights: WeightFile {
  public let path: String
  private let files: [String: any WeightFile]
  /// Tensor -> file name.
  private let places: [String: String]

  /// - Throws: `ModelError` where the index or a shard is absent or damaged, or a shard lies outside the index's
  ///   folder.
  public init(indexPath: String) throws {
    path = indexPath
    let index = try JSONObject.decode(Index.self, path: indexPath, limit: SafetensorsFile.headerLimit)
    places = index.places
    names = places.keys.sorted()
    let folder = indexPath.pieces(at: "/", keepingEmpty: true).dropLast().joined(separator: "/")
    var files: [String: any WeightFile] = [:]
    for name in Set(places.values).sorted() {
      guard name.ends(with: ".safetensors") || name.ends(with: ".bin"), !name.holds("/"), !name.holds("\0") else {
        throw ModelError(
          .badData,
          "\(indexPath) names the file \"\(name.prefix(200))\"; shards are .safetensors or .bin files beside the index")
      }
      files[name] = try openStoredWeights(folder.isEmpty ? name : folder + "/" + name)
    }
    for (tensor, name) in places where files[name]?.shape(of: tensor) == nil {
      throw ModelError(.badData, "\(indexPath) says that \(tensor.prefix(200)) is in \(name), which does not have it")
    }
    self.files = files
  }

  private struct Index: Decodable {
    let places: [String: String]

    enum CodingKeys: String, CodingKey { case places = "weight_map" }
  }

  public let names: [String]
  public func shape(of name: String) -> [Int]? { file(name)?.shape(of: name) }
  public func format(of name: String) -> NumberFormat? { file(name)?.format(of: name) }

  public func stored(_ name: String) throws -> StoredTensor {
    guard let file = file(name) else { throw missing(name) }
    return try file.stored(name)
  }

  public func checkUnchanged() throws { for file in files.values { try file.checkUnchanged() } }

  private func file(_ name: String) -> (any WeightFile)? { places[name].flatMap { files[$0] } }
}
