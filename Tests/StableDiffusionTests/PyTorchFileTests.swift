import Foundation
import Tensors
import TestSupport
import Testing

@testable import StableDiffusion

/// Pickles, written by hand.
private enum Pickle {
  static func text(_ text: String) -> [UInt8] { [UInt8(ascii: "X")] + number(text.utf8.count) + Array(text.utf8) }
  static func global(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }
  static func integer(_ value: Int) -> [UInt8] { [UInt8(ascii: "J")] + number(value) }
  static func tuple(_ items: [[UInt8]]) -> [UInt8] { [UInt8(ascii: "(")] + items.flatMap { $0 } + [UInt8(ascii: "t")] }
  static func number(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }

  /// A dictionary of one entry.
  static func dictionary(_ name: String, _ value: [UInt8]) -> [UInt8] {
    [0x80, 2, UInt8(ascii: "}")] + text(name) + value + Array("s.".utf8)
  }

  static func tensor(
    storage: String = "FloatStorage", key: String = "0", count: Int, offset: Int = 0, shape: [Int], strides: [Int]
  ) -> [UInt8] {
    let reference = tuple([text("storage"), global("torch", storage), text(key), text("cpu"), integer(count)])
    let arguments = [
      reference + [UInt8(ascii: "Q")], integer(offset), tuple(shape.map(integer)), tuple(strides.map(integer)), [0x89],
      global("collections", "OrderedDict") + Array(")R".utf8),
    ]
    return global("torch._utils", "_rebuild_tensor_v2") + tuple(arguments) + [UInt8(ascii: "R")]
  }
}

/// A zip archive of stored entries.
private func archive(_ entries: [(name: String, bytes: [UInt8])], method: UInt8 = 0) -> Data {
  var data: [UInt8] = [], directory: [UInt8] = []
  for (name, bytes) in entries {
    let sizes = Pickle.number(bytes.count) + Pickle.number(bytes.count) + [UInt8(name.utf8.count), 0]
    let common: [UInt8] = [0, 0, method, 0, 0, 0, 0, 0, 0, 0, 0, 0] + sizes + [0, 0]
    directory += [0x50, 0x4b, 1, 2, 0, 0, 0, 0] + common + [0, 0, 0, 0, 0, 0, 0, 0, 0, 0] + Pickle.number(data.count)
    directory += Array(name.utf8)
    data += [0x50, 0x4b, 3, 4, 0, 0] + common + Array(name.utf8) + bytes
  }
  let count = [UInt8(entries.count), 0]
  return Data(
    data + directory + [0x50, 0x4b, 5, 6, 0, 0, 0, 0] + count + count + Pickle.number(directory.count)
      + Pickle.number(data.count) + [0, 0])
}

/// An archive whose storage 0 has `byteCount` bytes of nothing, with 64-bit sizes.
private func sparseArchive(_ pickle: [UInt8], byteCount: Int, at url: URL) throws {
  func wide(_ value: Int) -> [UInt8] { Pickle.number(value) + Pickle.number(value >> 32) }
  let full: [UInt8] = [0xff, 0xff, 0xff, 0xff]
  try Data().write(to: url)
  let file = try FileHandle(forWritingTo: url)
  var directory: [UInt8] = [], place = 0
  for (name, bytes, size) in [("m/data.pkl", pickle, pickle.count), ("m/data/0", [], byteCount)] {
    let extra: [UInt8] = [1, 0, 24, 0] + wide(size) + wide(size) + wide(place)
    let common: [UInt8] = [UInt8](repeating: 0, count: 12) + full + full + [UInt8(name.utf8.count), 0]
    directory += [0x50, 0x4b, 1, 2, 0, 0, 0, 0] + common + [28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] + full
    directory += Array(name.utf8) + extra
    let header: [UInt8] = [0x50, 0x4b, 3, 4, 0, 0] + common + [0, 0] + Array(name.utf8)
    try file.write(contentsOf: header + bytes)
    place += header.count + size
    try file.seek(toOffset: UInt64(place))
  }
  let record: [UInt8] =
    [0x50, 0x4b, 6, 6] + wide(44) + [0, 0, 0, 0] + [UInt8](repeating: 0, count: 8) + wide(2) + wide(2)
    + wide(directory.count) + wide(place)
  let locator: [UInt8] = [0x50, 0x4b, 6, 7, 0, 0, 0, 0] + wide(place + directory.count) + [1, 0, 0, 0]
  let end: [UInt8] = [0x50, 0x4b, 5, 6, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff] + full + full + [0, 0]
  try file.write(contentsOf: directory + record + locator + end)
  try file.close()
}

private func floats(_ values: [Float]) -> [UInt8] {
  values.flatMap { Pickle.number(Int($0.bitPattern)) }
}

struct PyTorchFileTests {
  private func open(_ data: Data, _ body: (PyTorchFile) throws -> Void = { _ in }) throws {
    try Fixtures.withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("model.bin")
      try data.write(to: url)
      try body(PyTorchFile(path: url.path))
    }
  }

  /// The numbers of the tensor "w".
  private func numbers(_ data: Data) throws -> [Float] {
    var numbers: [Float] = []
    try open(data) { numbers = try $0.tensor("w").floats }
    return numbers
  }

  /// The error that opening `data` ends with.
  private func failure(_ data: Data) -> (kind: ModelError.Kind, text: String)? { modelError { try open(data) } }

  /// A file of one pickle, and of the numbers 0 to 5.
  private func file(_ pickle: [UInt8]) -> Data {
    archive([("model/data.pkl", pickle), ("model/data/0", floats([0, 1, 2, 3, 4, 5]))])
  }

  @Test func readsTheSameAsSafetensors() throws {
    for (safetensors, bin) in [
      ("unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.bin"),
      ("vae/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.bin"),
      ("text_encoder/model.safetensors", "text_encoder/pytorch_model.bin"),
    ] {
      let folder = Fixtures.folder.appendingPathComponent("modules")
      let want = try SafetensorsFile(path: folder.appendingPathComponent("three/\(safetensors)").path)
      let have = try PyTorchFile(path: folder.appendingPathComponent("three_bin/\(bin)").path)
      #expect(have.names == want.names)
      for name in want.names {
        #expect(have.shape(of: name) == want.shape(of: name))
        #expect(have.typeName(of: name) == want.typeName(of: name))
        guard want.elementType(of: name) != nil else { continue }
        let (numbers, wanted) = (try have.tensor(name).floats, try want.tensor(name).floats)
        #expect(numbers == wanted, "\(name)")
      }
    }
  }

  @Test func readsViewsOfAStorage() throws {
    let part = Pickle.dictionary("w", Pickle.tensor(count: 6, offset: 1, shape: [2, 2], strides: [2, 1]))
    #expect(try numbers(file(part)) == [1, 2, 3, 4])
    let transposed = Pickle.dictionary("w", Pickle.tensor(count: 6, shape: [2, 3], strides: [1, 2]))
    #expect(try numbers(file(transposed)) == [0, 2, 4, 1, 3, 5])
  }

  @Test func readsADictionaryWithinADictionary() throws {
    let inner =
      [UInt8(ascii: "}")] + Pickle.text("w") + Pickle.tensor(count: 6, shape: [6], strides: [1]) + Array("s".utf8)
    try open(file([0x80, 2, UInt8(ascii: "}")] + Pickle.text("state_dict") + inner + Array("s.".utf8))) {
      #expect($0.names == ["w"])
    }
  }

  @Test func listsTypesThatItDoesNotRead() throws {
    let pickle = Pickle.dictionary("w", Pickle.tensor(storage: "LongStorage", count: 3, shape: [3], strides: [1]))
    try open(file(pickle)) { file in
      #expect(file.elementType(of: "w") == nil && file.typeName(of: "w") == "I64")
      let error = modelError { _ = try file.tensor("w") }
      #expect(error?.text.contains("w in \(file.path) holds I64") == true)
    }
  }

  @Test func readsDoubles() throws {
    let pickle = Pickle.dictionary("w", Pickle.tensor(storage: "DoubleStorage", count: 2, shape: [2], strides: [1]))
    let bytes = [1.5, -0.1].flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) } }
    #expect(try numbers(archive([("m/data.pkl", pickle), ("m/data/0", bytes)])) == [1.5, -0.1])
  }

  /// Tests/Fixtures/make_float8_fixture.py: types that have no storage of their own.
  @Test func readsTypedTensors() throws {
    let file = try PyTorchFile(path: Fixtures.folder.appendingPathComponent("float8.pt").path)
    #expect(file.names == ["e4m3", "e5m2", "transposed", "u16"])
    #expect(try file.tensor("e4m3").floats == [448, -0.001953125, 1.5])
    #expect(try file.tensor("e5m2").floats == [57344, -1.52587890625e-05, .infinity])
    #expect(try file.tensor("transposed").floats == [0, 2, 4, 1, 3, 5])
    #expect(file.typeName(of: "u16") == "U16")
    #expect(try file.number("u16") == 65535)
  }

  /// One long name a quarter of a million times, and as the key of a storage: hashed once, not each time.
  @Test func readsALongNameOnce() throws {
    let long = Pickle.text(String(repeating: "n", count: 1_000_000))
    let tensor = Pickle.tensor(count: 6, shape: [6], strides: [1])
    let name: [UInt8] = long + [UInt8(ascii: "q"), 1], value: [UInt8] = tensor + [UInt8(ascii: "q"), 2]
    let again = Array(repeating: [UInt8(ascii: "h"), 1, UInt8(ascii: "h"), 2] as [UInt8], count: 250_000).joined()
    let pickle: [UInt8] = [0x80, 2, UInt8(ascii: "}"), UInt8(ascii: "(")] + name + value + again + Array("u.".utf8)
    try open(file(pickle)) { #expect($0.names.count == 1) }
    // Sizes of a million axes, of many tensors.
    let sizes = Pickle.tuple(Array(repeating: [UInt8(ascii: "K"), 1], count: 400_000)) + [UInt8(ascii: "q"), 3]
    let many = Pickle.dictionary("w", sizes)
    try open(file(many)) { #expect($0.names.isEmpty) }
  }

  /// Views in every order, with gaps and of every format, against the definition.
  @Test(arguments: [
    ([3, 2], [1, 3], 0), ([2, 3, 4], [1, 8, 2], 0), ([2, 2], [1, 1000], 5), ([4, 1, 3], [3, 7, 1], 1),
    ([5, 3], [100, 1], 2), ([64, 96], [1, 64], 0), ([1, 2, 3, 3], [18, 1, 6, 2], 3), ([0, 3], [1, 2], 0),
  ])
  func readsStridedViews(_ shape: [Int], _ strides: [Int], _ offset: Int) throws {
    let stored = (0..<7000).map { Float($0) }
    let pickle = Pickle.dictionary(
      "w", Pickle.tensor(count: stored.count, offset: offset, shape: shape, strides: strides))
    var want: [Float] = [], index = Array(repeating: 0, count: shape.count)
    for _ in 0..<shape.reduce(1, *) {
      want.append(stored[offset + zip(index, strides).reduce(0) { $0 + $1.0 * $1.1 }])
      for axis in shape.indices.reversed() {
        index[axis] += 1
        if index[axis] < shape[axis] { break }
        index[axis] = 0
      }
    }
    try open(archive([("m/data.pkl", pickle), ("m/data/0", floats(stored))])) { file in
      let view = try file.stored("w")
      let (all, first) = (try file.tensor("w").floats, try view.first(3))
      #expect(all == want && first == Array(want.prefix(3)))
      guard shape[0] > 1 else { return }
      let length = want.count / shape[0]
      let row = try view.rows(1..<2).read().floats
      #expect(row == Array(want[length..<2 * length]))
    }
  }

  /// Of a storage of which a tensor is a small part, only that is read: the rest need not even be on a disk.
  @Test func readsTheSpanOnly() throws {
    let count = 5 << 30
    var pickle = Pickle.tensor(storage: "HalfStorage", count: 0, shape: [2, 2], strides: [1, 2])
    let zero = Pickle.text("cpu") + Pickle.integer(0)
    let long: [UInt8] = [0x8a, 5] + (0..<5).map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }
    let place = try #require(pickle.indices.first { pickle[$0...].starts(with: zero) })
    pickle.replaceSubrange(place..<place + zero.count, with: Pickle.text("cpu") + long)
    try Fixtures.withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("sparse.bin")
      try sparseArchive(Pickle.dictionary("w", pickle), byteCount: 2 * count, at: url)
      let file = try PyTorchFile(path: url.path)
      let (all, first) = (try file.tensor("w").floats, try file.stored("w").first(64))
      #expect(all == [0, 0, 0, 0] && first.count == 4)
    }
  }

  @Test func refusesElementsThatLieOnOneAnother() throws {
    let pickle = Pickle.dictionary("w", Pickle.tensor(count: 6, shape: [2, 2], strides: [1, 1]))
    try open(file(pickle)) { file in
      let error = modelError { _ = try file.tensor("w") }
      #expect(error?.kind == .badData && error?.text.contains("lie on one another") == true, "\(error?.text ?? "none")")
    }
  }

  /// What PyTorch Lightning leaves around the weights (Tests/Fixtures/make_original_fixtures.py) is passed over.
  @Test func readsWhatTrainingLeaves() throws {
    let file = try PyTorchFile(path: Fixtures.folder.appendingPathComponent("original/lightning.ckpt").path)
    #expect(file.names == ["betas", "model.diffusion_model.out.2.bias"])
    #expect(try file.tensor("model.diffusion_model.out.2.bias").floats == [0, 1, 2, 3])
  }

  struct Case: Sendable {
    let what: String, pickle: [UInt8], message: String
    init(_ what: String, _ pickle: [UInt8], _ message: String = "") {
      (self.what, self.pickle, self.message) = (what, pickle, message)
    }
  }

  /// Pickles that want code to run, by what the message calls it.
  private static let withCode: [Case] = [
    Case(
      "os.system", Pickle.global("os", "system") + Pickle.tuple([Pickle.text("touch /tmp/pwned")]) + Array("R.".utf8)),
    Case("posix.system", Pickle.global("posix", "system") + Array("0}.".utf8)),
    Case("builtins.eval", Pickle.dictionary("a", Pickle.global("builtins", "eval"))),
    Case("torch.load", Pickle.dictionary("a", Pickle.global("torch", "load"))),
    Case("torch.nn.FloatStorage", Pickle.dictionary("a", Pickle.global("torch.nn", "FloatStorage"))),
    Case("to call torch.FloatStorage", Pickle.global("torch", "FloatStorage") + Array(")R.".utf8)),
    Case("to call something", Pickle.text("x") + Array(")R.".utf8)),
    Case("to set attributes", Pickle.text("x") + Array("}b.".utf8)),
    Case("the instruction 0x93", Pickle.text("os") + Pickle.text("system") + [0x93]),
    Case("the instruction 0x69", Array("(ios\nsystem\n.".utf8)),
    Case("the instruction 0x6f", Array("(o.".utf8)),
    Case("the instruction 0x81", Array("))\u{81}.".unicodeScalars.map { UInt8($0.value) })),
    Case("the instruction 0x82", [0x82, 1]),
    Case("the instruction 0x50", Array("Pid\n.".utf8)),
  ]

  @Test(arguments: withCode)
  func runsNoCode(_ bad: Case) throws {
    let error = failure(file(bad.pickle))
    #expect(error?.kind == .unsupported)
    #expect(error?.text.contains(bad.what) == true, "\(error?.text ?? "no error")")
    #expect(error?.text.contains("No code of it was run") == true)
    #expect(error?.text.contains("model.bin") == true)
    #expect(!FileManager.default.fileExists(atPath: "/tmp/pwned"))
  }

  private static let damaged: [Case] = [
    Case("no end", [0x80, 2, UInt8(ascii: "}")], "ends in the middle"),
    Case("nothing", [], "ends in the middle"),
    Case("empty stack", Array("s.".utf8), "stack is empty"),
    Case("no mark", Array("t.".utf8), "a mark is missing"),
    Case("below a mark", Array("](a.".utf8), "stack is empty"),
    Case("left over", Array("}}.".utf8), "left over"),
    Case("not a dictionary", Array("].".utf8), "not a dictionary of tensors"),
    Case("unknown memory", Array("h\u{7}.".utf8), "never kept"),
    Case("odd items", Array("}(Nu.".utf8), "not a dictionary"),
    Case("text past the end", [UInt8(ascii: "X"), 0xff, 0xff, 0xff, 0xff], "ends in the middle"),
    Case("text that is not UTF-8", [UInt8(ascii: "X"), 1, 0, 0, 0, 0xff], "not UTF-8"),
    Case("number of 255 bytes", [0x8a, 0xff] + [UInt8](repeating: 1, count: 255), "a number has 255 bytes"),
    Case("reference without a tuple", Array("NQ.".utf8), "malformed"),
    Case(
      "tensor without arguments", Pickle.global("torch._utils", "_rebuild_tensor_v2") + Array(")R.".utf8), "malformed"),
    Case(
      "negative extent", Pickle.dictionary("w", Pickle.tensor(count: 6, shape: [-1], strides: [1])),
      "impossible "
        + "shape"),
    Case(
      "negative stride", Pickle.dictionary("w", Pickle.tensor(count: 6, shape: [2], strides: [-1])),
      "impossible "
        + "shape"),
    Case(
      "ranks that differ", Pickle.dictionary("w", Pickle.tensor(count: 6, shape: [2, 3], strides: [1])),
      "impossible shape"),
    Case(
      "past the storage", Pickle.dictionary("w", Pickle.tensor(count: 6, offset: 1, shape: [6], strides: [1])),
      "reaches past"),
    Case(
      "expanded", Pickle.dictionary("w", Pickle.tensor(count: 6, shape: [1 << 30, 1 << 30], strides: [0, 0])),
      "reaches past"),
    Case(
      "stride past the storage", Pickle.dictionary("w", Pickle.tensor(count: 6, shape: [2], strides: [1 << 30])),
      "reaches past"),
    Case(
      "storage of another size", Pickle.dictionary("w", Pickle.tensor(count: 7, shape: [7], strides: [1])),
      "have 24 bytes, not 7"),
    Case(
      "no such storage", Pickle.dictionary("w", Pickle.tensor(key: "../0", count: 6, shape: [6], strides: [1])),
      "missing from it"),
  ]

  @Test(arguments: damaged)
  func refusesDamagedPickles(_ bad: Case) throws {
    let error = failure(file(bad.pickle))
    #expect(error?.kind == .badData, "\(bad.what)")
    #expect(error?.text.contains(bad.message) == true, "\(bad.what): \(error?.text ?? "no error")")
    #expect(error?.text.contains("model.bin") == true)
  }

  @Test func survivesDeepNesting() throws {
    // A million lists, each in the one before, both ways of building them.
    let outward =
      [UInt8](repeating: UInt8(ascii: "]"), count: 1_000_000) + [UInt8](repeating: UInt8(ascii: "a"), count: 999_999)
    #expect(failure(file(outward + Array(".".utf8)))?.kind == .badData)
    let tuples = Array(")".utf8) + [UInt8](repeating: 0x85, count: 1_000_000)
    #expect(failure(file(tuples + Array(".".utf8)))?.kind == .badData)
    // A list that holds itself.
    #expect(modelError { try open(file(Array("]q\u{0}h\u{0}a.".utf8))) }?.kind == .badData)
  }

  @Test func refusesDamagedArchives() throws {
    let pickle = Pickle.dictionary("w", Pickle.tensor(count: 6, shape: [6], strides: [1]))
    let whole = file(pickle)
    #expect(try numbers(whole) == [0, 1, 2, 3, 4, 5])
    for count in stride(from: 1, to: whole.count, by: 3) {
      #expect(failure(whole.prefix(count)) != nil, "the first \(count) bytes were accepted")
    }
    // Any one byte of the directories changed: an error or the same numbers, never a trap.
    for place in whole.indices.suffix(200) {
      for value in [0, 0x7f, 0xff] as [UInt8] {
        var bytes = whole
        bytes[place] = value
        _ = modelError { try open(bytes) { _ = try $0.tensor("w").floats } }
      }
    }
    let entries: [(name: String, bytes: [UInt8])] = [("m/data.pkl", pickle), ("m/data/0", floats([0, 1, 2, 3, 4, 5]))]
    #expect(failure(archive(entries, method: 8))?.text.contains("m/data.pkl is compressed") == true)
    #expect(failure(archive([entries[1]]))?.text.contains("no single data.pkl") == true)
    #expect(failure(archive(entries + [("n/data.pkl", pickle)]))?.text.contains("no single data.pkl") == true)
    #expect(failure(archive(entries + entries))?.text.contains("two entries") == true)
    let big = failure(archive(entries + [("m/byteorder", Array("big".utf8))]))
    #expect(big?.kind == .unsupported && big?.text.contains("byte order \"big\"") == true)
    try open(archive(entries + [("m/byteorder", Array("little".utf8))]))
  }

  @Test func explainsOtherFormats() throws {
    let old = Data([0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e])
    #expect(failure(old)?.text.contains("PyTorch before 1.6") == true)
    #expect(failure(Data("<html>404</html>".utf8))?.text.contains("not a zip archive") == true)
    let missing = modelError { _ = try PyTorchFile(path: "/nonexistent.bin") }
    #expect(missing?.kind == .notFound)
  }

  @Test func readsZip64() throws {
    // Sizes and places in the extra field and in the 64-bit record, as PyTorch writes them for files of 4 GiB and more.
    let pickle = Pickle.dictionary("w", Pickle.tensor(count: 6, shape: [6], strides: [1]))
    func wide(_ value: Int) -> [UInt8] { Pickle.number(value) + Pickle.number(value >> 32) }
    let full: [UInt8] = [0xff, 0xff, 0xff, 0xff]
    var data: [UInt8] = [], directory: [UInt8] = []
    for (name, bytes) in [("m/data.pkl", pickle), ("m/data/0", floats([0, 1, 2, 3, 4, 5]))] {
      let extra: [UInt8] = [1, 0, 24, 0] + wide(bytes.count) + wide(bytes.count) + wide(data.count)
      let common: [UInt8] = [UInt8](repeating: 0, count: 12) + full + full + [UInt8(name.utf8.count), 0]
      directory += [0x50, 0x4b, 1, 2, 0, 0, 0, 0] + common + [28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] + full
      directory += Array(name.utf8) + extra
      data += [0x50, 0x4b, 3, 4, 0, 0] + common + [0, 0] + Array(name.utf8) + bytes
    }
    let place = data.count + directory.count
    let record: [UInt8] =
      [0x50, 0x4b, 6, 6] + wide(44) + [0, 0, 0, 0] + [UInt8](repeating: 0, count: 8) + wide(2) + wide(2)
      + wide(directory.count) + wide(data.count)
    let locator: [UInt8] = [0x50, 0x4b, 6, 7, 0, 0, 0, 0] + wide(place) + [1, 0, 0, 0]
    let end: [UInt8] = [0x50, 0x4b, 5, 6, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff] + full + full + [0, 0]
    #expect(try numbers(Data(data + directory + record + locator + end)) == [0, 1, 2, 3, 4, 5])
  }
}
