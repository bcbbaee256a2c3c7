import Tensors
import Text

/// A file of textual inversion (Gal et al. 2022, arXiv:2208.01618): vectors that stand in the place of a word's
/// embeddings.
struct TextualInversion: Sendable {
  /// Who writes such files.
  enum Layout: String {
    /// One tensor, named like the word.
    case diffusers
    /// `.pt` with `string_to_param`, or safetensors with `emb_params`.
    case webUI = "AUTOMATIC1111's web UI"
  }

  let path: String
  let layout: Layout
  /// The word that the file was made for, where it says so.
  let trainedToken: String?
  /// (n, width of the text encoder), of any element type.
  let vectors: Tensor
  /// The file's word for the type of its numbers.
  let typeName: String

  /// More would fill the prompt.
  private static let countLimit = 75
  private static let webUINames = (safetensors: "emb_params", pickle: "string_to_param.")

  /// - Parameter place: a file, or a folder that holds `learned_embeds`.
  /// - Throws: `ModelError` where it is no textual inversion, or is damaged.
  init(_ place: String) throws {
    try self.init(file: try openWeightFile(try Self.path(in: place)))
  }

  init(file: any WeightFile) throws {
    path = file.path
    let names = file.names
    if names.contains("clip_g") {
      throw ModelError(
        .unsupported, "\(path) is a textual inversion for Stable Diffusion XL; use one for Stable Diffusion 1.x or 2.x")
    }
    let params = names.filter { $0.begins(with: Self.webUINames.pickle) }
    let name: String
    if names.contains(Self.webUINames.safetensors) {
      (name, layout, trainedToken) = (Self.webUINames.safetensors, .webUI, nil)
    } else if let only = params.first, params.count == 1 {
      // The web UI calls the word by the file's name; in it stands a *.
      (name, layout, trainedToken) = (only, .webUI, nil)
    } else if let only = names.first, names.count == 1 {
      (name, layout, trainedToken) = (only, .diffusers, only)
    } else {
      throw ModelError(
        .badData,
        "\(path) is no textual inversion: it has \(names.count) tensors where one is expected "
          + "(\(names.prefix(4).joined(separator: ", "))\(names.count > 4 ? ", ..." : "")); inspect tells what it is")
    }
    let shape = file.shape(of: name) ?? []
    guard (1...2).contains(shape.count), let width = shape.last, width > 0,
      (1...Self.countLimit).contains(shape.dropLast().first ?? 1)
    else {
      throw ModelError(
        .badData,
        "\(path) is no textual inversion: \(name) has the shape \(shape) where 1 to \(Self.countLimit) vectors are expected"
      )
    }
    vectors = try file.tensor(name).reshaped([shape.dropLast().first ?? 1, width])
    typeName = file.typeName(of: name) ?? "?"
    guard vectors.floats.allSatisfy(\.isFinite) else {
      throw ModelError(.badData, "\(path) is damaged: \(name) holds numbers that are not finite")
    }
  }

  private static func path(in place: String) throws -> String {
    guard folderExists(place) else { return place }
    let names = ["learned_embeds.safetensors", "learned_embeds.bin"]
    guard let name = names.first(where: { fileExists("\(place)/\($0)") }) else {
      throw ModelError(
        .notFound, "\(place) has no textual inversion: none of \(names.joined(separator: ", ")) is there; give a file")
    }
    return "\(place)/\(name)"
  }
}

/// Words that textual inversions add to a model's vocabulary. Their tokens follow those of the text encoder, in the
/// order of the words.
struct AddedWords: Sendable {
  struct Word: Sendable {
    let text: String
    let tokens: Range<Int>
  }

  private(set) var words: [Word] = []
  /// What the text encoder reads for the tokens, row by row.
  private(set) var tables: [Tensor] = []

  static let none = AddedWords()

  private init() {}

  /// - Parameter firstToken: the size of the text encoder's own vocabulary.
  /// - Throws: `ModelError` where vectors do not have the text encoder's width.
  init(_ inversions: [(word: String, inversion: TextualInversion)], firstToken: Int, width: Int) throws {
    var next = firstToken
    for (word, inversion) in inversions {
      let (count, ownWidth) = (inversion.vectors.shape[0], inversion.vectors.shape[1])
      guard ownWidth == width else {
        let families = [768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 1280: "Stable Diffusion XL"]
        throw ModelError(
          .badData,
          "\(inversion.path) has vectors of \(ownWidth) numbers\(families[ownWidth].map { ", for \($0)" } ?? ""), the text "
            + "encoder of the model \(width); use a textual inversion for this kind of model")
      }
      words.append(Word(text: word, tokens: next..<next + count))
      tables.append(inversion.vectors)
      next += count
    }
  }
}
