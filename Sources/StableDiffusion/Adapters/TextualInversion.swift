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
  /// The word that the vectors were made for, where the file says so.
  let trainedToken: String?
  /// (n, width of the text encoder), of any element type.
  let vectors: Tensor
  /// The file's word for the type of its numbers.
  let typeName: String

  /// More would fill the prompt.
  private static let countLimit = 75
  private static let webUINames = (safetensors: "emb_params", pickle: "string_to_param.")

  /// The words of a place, as an option names them.
  /// - Parameters:
  ///   - word: what the one word of a file is to be called, or which of several is meant: the others then come along under
  ///     the names that they have there. Nil: all under the names that they have, a nameless one under the file's.
  ///   - place: a file, or a folder that holds `learned_embeds`.
  /// - Throws: `ModelError` where it is no textual inversion, is damaged, or has several words of which none is `word`.
  static func words(_ word: String?, at place: String) throws -> [(word: String, inversion: TextualInversion)] {
    let path = try path(in: place)
    let all = try read(try openWeightFile(path))
    if all.count == 1 {
      let name = path.pieces(at: "/").last.map(String.init) ?? path
      let stem = name.lastPlace(ofScalar: ".").map { String(name[..<$0]) } ?? name
      return [(word ?? all[0].trainedToken ?? stem, all[0])]
    }
    let named = all.map { (word: $0.trainedToken ?? "", inversion: $0) }
    guard let word else { return named }
    guard let chosen = named.firstIndex(where: { $0.word.lowercased() == word.lowercased() }) else {
      throw ModelError(
        .badData,
        "\(path) has several words, and none is \(word): \(named.prefix(40).map(\.word).joined(separator: ", ")); give one "
          + "of them before =, or the file alone for all")
    }
    return [named[chosen]] + named[..<chosen] + named[(chosen + 1)...]
  }

  /// All words of a file.
  static func read(_ file: any WeightFile) throws -> [TextualInversion] {
    let (path, names) = (file.path, file.names)
    if names.contains("clip_g") {
      throw ModelError(
        .unsupported, "\(path) is a textual inversion for Stable Diffusion XL; use one for Stable Diffusion 1.x or 2.x")
    }
    let params = names.filter { $0.begins(with: webUINames.pickle) }
    if names.contains(webUINames.safetensors) {
      return [try TextualInversion(file, tensor: webUINames.safetensors, layout: .webUI, token: nil)]
    }
    // The web UI calls a word by the file's name; in it stands a *. Where there are several they have names of their own.
    if !params.isEmpty {
      return try params.map {
        let token = params.count > 1 ? String($0.dropFirst(webUINames.pickle.count)) : nil
        return try TextualInversion(file, tensor: $0, layout: .webUI, token: token)
      }
    }
    guard names.count == 1 || hasWords(file) else {
      throw ModelError(
        .badData,
        "\(path) is no textual inversion: its \(names.count) tensors are not the vectors of words "
          + "(\(names.prefix(4).joined(separator: ", "))\(names.count > 4 ? ", ..." : "")); inspect tells what it is")
    }
    return try names.map { try TextualInversion(file, tensor: $0, layout: .diffusers, token: $0) }
  }

  /// Whether the tensors of a file are vectors of words, and called so.
  static func hasWords(_ file: any WeightFile) -> Bool {
    let names = file.names
    if names.contains(where: { $0 == webUINames.safetensors || $0.begins(with: webUINames.pickle) }) { return true }
    let shapes = names.map { file.shape(of: $0) ?? [] }
    return Set(shapes.map { $0.last ?? 0 }).count == 1
      && shapes.allSatisfy { $0.count == 1 || $0.count == 2 && $0[0] <= countLimit }
      && !names.contains { $0.ends(with: ".weight") || $0.ends(with: ".bias") || $0.contains(where: \.isWhitespace) }
      && !AdapterFile.isAdapter(file)
  }

  /// - Parameters:
  ///   - tensor: the name of the vectors.
  ///   - token: the word that they were made for.
  init(_ file: any WeightFile, tensor name: String, layout: Layout, token: String?) throws {
    (path, self.layout, trainedToken) = (file.path, layout, token)
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

  /// - Parameters:
  ///   - inversions: of words that are given once: case does not matter.
  ///   - firstToken: the size of the text encoder's own vocabulary.
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
