import MediaIO
import StableDiffusion
import Tensors

/// What CLIP says of the result: the measures of the paper's table 1 and CLIP-T.
public struct CLIPScore {
  /// Tem-Con: cosine of the features of consecutive frames.
  public private(set) var temporalConsistency = Series()
  /// CLIP-T: 100 x cosine of a frame's features and those of the edit's prompt.
  public private(set) var textSimilarity = Series()
  /// Fram-Acc: 1 for a frame that is nearer to the edit's prompt than to the source's, else 0.
  public private(set) var frameAccuracy = Series()
  /// What was cut off of prompts that are too long.
  public let lostTexts: [String]

  private let model: CLIPModel, device: Device
  private let edit: [Float]?, source: [Float]?
  private var previous: [Float]?

  /// - Parameters:
  ///   - edit: The edit's prompt; nil leaves only Tem-Con.
  ///   - source: The source's prompt; nil leaves Fram-Acc out.
  public init(model: CLIPModel, device: Device, edit: String?, source: String?) throws {
    (self.model, self.device) = (model, device)
    let texts = try [edit, source].map { try $0.map { try model.features(ofText: $0, device: device) } }
    (self.edit, self.source) = (texts[0]?.features, texts[1]?.features)
    lostTexts = texts.compactMap { $0?.lost }
  }

  /// - Parameter frame: the next of the result.
  public mutating func add(_ frame: VideoFrame) throws {
    let features = try model.features(
      ofImage: frame.pixels, width: frame.width, height: frame.height, device: device)
    if let previous { temporalConsistency.append(Self.cosine(previous, features)) }
    previous = features
    guard let edit else { return }
    let similarity = Self.cosine(features, edit)
    textSimilarity.append(similarity.map { 100 * $0 })
    guard let source, let similarity, let other = Self.cosine(features, source) else { return }
    frameAccuracy.append(similarity > other ? 1 : 0)
  }

  /// nil where the angle is not known.
  private static func cosine(_ a: [Float], _ b: [Float]) -> Double? {
    func product(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
    let cosine = product(a, b) / (product(a, a) * product(b, b)).squareRoot()
    return cosine.isFinite ? cosine : nil
  }
}
