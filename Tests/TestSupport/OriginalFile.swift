import Foundation

/// A list of Fixtures/original, and the checkpoint in one file that it describes.
public struct OriginalFile {
  private let lines: [(name: String, shape: [Int], sources: [String])]
  public let shapes: [String: [Int]]

  public init(_ name: String) throws {
    let url = Fixtures.folder.appendingPathComponent("original/\(name).txt")
    lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map { line in
      let sides = line.split(separator: "=", omittingEmptySubsequences: false)
      let fields = sides[0].split(separator: " ")
      let shape = fields.dropFirst().flatMap { $0.split(separator: ",").compactMap { Int($0) } }
      return (String(fields[0]), shape, sides[1].split(separator: " ").map(String.init))
    }
    shapes = Dictionary(uniqueKeysWithValues: lines.map { ($0.name, $0.shape) })
  }

  /// Writes the model of a diffusers folder (safetensors) as one file, float32.
  /// - Parameter linking: Whether a folder of the file's name gives the configurations and the vocabulary.
  public func write(_ folder: URL, into place: URL, linking: Bool = true) throws -> String {
    let name = folder.lastPathComponent
    var components: [String: [String: TensorDump.Entry]] = [:]
    for component in ["unet", "vae", "text_encoder"] {
      let path = folder.appendingPathComponent(component)
      for file in try FileManager.default.contentsOfDirectory(atPath: path.path) where file.hasSuffix(".safetensors") {
        components[component, default: [:]].merge(try TensorDump(path.appendingPathComponent(file)).entries) { $1 }
      }
    }
    var header: [String: [String: Any]] = [:]
    var data = Data()
    for line in lines {
      let values = try line.sources.flatMap { source -> [Float] in
        let parts = source.split(separator: "/", maxSplits: 1).map(String.init)
        guard let entry = components[parts[0]]?[parts[1]] else { throw TensorDump.MissingTensor(name: source) }
        return entry.floats
      }
      // What a model does not use may be anything.
      let count = line.shape.reduce(1, *)
      let numbers = values.isEmpty ? Array(repeating: Float(0.5), count: count) : values
      header[line.name] = [
        "dtype": "F32", "shape": line.shape, "data_offsets": [data.count, data.count + numbers.count * 4],
      ]
      numbers.withUnsafeBytes { data.append(contentsOf: $0) }
    }
    let text = try JSONSerialization.data(withJSONObject: header)
    let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) }
    let file = place.appendingPathComponent(name + ".safetensors")
    try (length + text + data).write(to: file)
    if linking {
      try FileManager.default.createSymbolicLink(
        at: place.appendingPathComponent(name), withDestinationURL: folder)
    }
    return file.path
  }
}
