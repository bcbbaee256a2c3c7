import Foundation
import StableDiffusion
import Tensors
import TestSupport
import Testing

struct SafetensorsFileTests {
  @Test func readsWhatAnIndependentReaderReads() throws {
    let folder = Fixtures.oracle.appendingPathComponent("models/tinyA")
    for name in ["text_encoder/model.safetensors", "vae/diffusion_pytorch_model.safetensors"] {
      let url = folder.appendingPathComponent(name)
      let dump = try TensorDump(url)
      let file = try SafetensorsFile(path: url.path)
      #expect(file.names == dump.entries.keys.sorted())
      for name in file.names {
        let entry = try dump[name]
        #expect(file.shape(of: name) == entry.shape)
        if file.elementType(of: name) != nil { #expect(try file.tensor(name).floats == entry.floats) }
      }
    }
  }

  @Test func listsIntegersButDoesNotReadThem() throws {
    let path = Fixtures.oracle.appendingPathComponent("models/tinyA/text_encoder/model.safetensors").path
    let file = try SafetensorsFile(path: path)
    let name = "text_model.embeddings.position_ids"
    #expect(file.shape(of: name) == [1, 77])
    #expect(file.elementType(of: name) == nil)
    #expect(file.typeName(of: name) == "I64")
    let error = modelError { _ = try file.tensor(name) }
    #expect(error?.text.contains("I64") == true && error?.text.contains(path) == true)
  }

  @Test func readsNumbersThatAreNotAligned() throws {
    try Fixtures.withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("a.safetensors")
      // A header of odd length, then one byte, then 1.5 in float32.
      let header =
        #"{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"F32","shape":[1],"data_offsets":[1,5]} }"#
      var bytes = safetensorsBytes(header: header)
      bytes.append(contentsOf: [7, 0x00, 0x00, 0xc0, 0x3f])
      try bytes.write(to: url)
      #expect(try SafetensorsFile(path: url.path).tensor("x").floats == [1.5])
    }
  }

  /// One bad file of each kind, with what the message has to say.
  @Test(arguments: [
    ("empty", Data(), ModelError.Kind.notFound, "is empty"),
    ("seven bytes", Data(count: 7), .badData, "truncated"),
    ("header past the end", safetensorsBytes(header: "{}", length: 3), .badData, "header reaches past its 10 bytes"),
    ("header of 2^64-1 bytes", safetensorsBytes(header: "{}", length: .max), .badData, "header reaches past"),
    ("header of 2^63 bytes", safetensorsBytes(header: "{}", length: 1 << 63), .badData, "header reaches past"),
    ("header too long", safetensorsBytes(header: "{}", data: 17 << 20, length: 17 << 20), .badData, "at most"),
    ("no JSON", safetensorsBytes(header: "hello"), .badData, "is not the JSON"),
    ("cut JSON", safetensorsBytes(header: #"{"a":{"dtype""#), .badData, "is not the JSON"),
    ("JSON list", safetensorsBytes(header: "[]"), .badData, "is not the JSON"),
    (
      "bytes that are not UTF-8", safetensorsBytes(header: "{}", data: 0) + Data([0xff]), .badData,
      "belong to no tensor"
    ),
    ("deep nesting", safetensorsBytes(header: String(repeating: "[", count: 1 << 20)), .badData, "deeper than 64"),
    (
      "deep nesting in a value",
      safetensorsBytes(header: #"{"a":"# + String(repeating: #"{"a":"#, count: 100_000)), .badData, "deeper than 64"
    ),
    ("no shape", safetensorsBytes(header: #"{"a":{"dtype":"F32","data_offsets":[0,4]}}"#, data: 4), .badData, "shape"),
    ("unknown type", entry("F33", "[1]", "[0,4]", 4), .unsupported, "unknown type \"F33\""),
    ("negative extent", entry("F32", "[-1]", "[0,4]", 4), .badData, "impossible shape"),
    ("fractional extent", entry("F32", "[1.5]", "[0,4]", 4), .badData, "is not the JSON"),
    ("extent beyond Int", entry("F32", "[99999999999999999999]", "[0,4]", 4), .badData, "is not the JSON"),
    ("shape that overflows", entry("F32", "[4294967296,4294967296,2]", "[0,4]", 4), .badData, "impossible shape"),
    ("huge shape", entry("F32", "[1000000000000000]", "[0,4]", 4), .badData, "needs 4000000000000000"),
    ("shape and bytes differ", entry("F16", "[3]", "[0,4]", 4), .badData, "needs 6"),
    ("offsets out of range", entry("F32", "[2]", "[0,8]", 4), .badData, "ends at byte 8 of 4"),
    ("offsets in reverse", entry("F32", "[1]", "[4,0]", 4), .badData, "impossible data_offsets"),
    ("negative offsets", entry("F32", "[1]", "[-4,0]", 4), .badData, "impossible data_offsets"),
    ("one offset", entry("F32", "[1]", "[4]", 4), .badData, "impossible data_offsets"),
    (
      "overlap",
      safetensorsBytes(
        header: """
          {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}
          """, data: 12), .badData, "a and b overlap at byte 4"
    ),
    ("hole", entry("F32", "[1]", "[4,8]", 8), .badData, "bytes 0 to 4 of the data belong to no tensor"),
    ("bytes behind the last", entry("F32", "[1]", "[0,4]", 5), .badData, "1 bytes at its end"),
    (
      "the same name twice",
      safetensorsBytes(
        header: """
          {"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}
          """, data: 8), .badData, "belong to no tensor"
    ),
    (
      "git-lfs pointer", Data("version https://git-lfs.github.com/spec/v1\noid sha256:0\n".utf8), .badData,
      "git lfs pull"
    ),
  ])
  func refusesDamage(_ what: String, _ bytes: Data, _ kind: ModelError.Kind, _ text: String) throws {
    try Fixtures.withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("model.safetensors")
      try bytes.write(to: url)
      let error = modelError { _ = try SafetensorsFile(path: url.path) }
      #expect(error?.kind == kind, "\(what)")
      #expect(error?.text.contains(text) == true, "\(what): \(error?.text ?? "no error")")
      #expect(error?.text.contains(url.path) == true, "\(what) does not name the file")
    }
  }

  private static func entry(_ type: String, _ shape: String, _ offsets: String, _ data: Int) -> Data {
    safetensorsBytes(header: #"{"a":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}}"#, data: data)
  }

  @Test func refusesEveryTruncation() throws {
    try Fixtures.withTemporaryFolder { folder in
      let whole = folder.appendingPathComponent("whole.safetensors"),
        cut = folder.appendingPathComponent("cut.safetensors")
      try SafetensorsWriter.write(whole.path, tensors: [("a", [2], .float32([1, 2])), ("b", [3], .uint8([1, 2, 3]))])
      let bytes = try Data(contentsOf: whole)
      for count in 1..<bytes.count {
        try bytes.prefix(count).write(to: cut)
        #expect(modelError { _ = try SafetensorsFile(path: cut.path) } != nil, "the first \(count) bytes were accepted")
      }
    }
  }

  @Test func writesWhatIsRead() throws {
    try Fixtures.withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("trace.safetensors")
      try SafetensorsWriter.write(
        url.path,
        tensors: [
          ("latents", [2, 3], .float32([1, -2.5, .pi, 0, 1e-30, 4])), ("tokens", [2], .int64([49406, -1])),
          ("mask \"é\"\n", [4], .uint8([0, 1, 2, 255])), ("empty", [0, 4], .float32([])), ("scalar", [], .float32([7])),
        ])
      let dump = try TensorDump(url)
      #expect(try dump["latents"].floats == [1, -2.5, .pi, 0, 1e-30, 4])
      #expect(try dump["tokens"].values == [49406, -1])
      #expect(try dump["mask \"é\"\n"].values == [0, 1, 2, 255])
      #expect(try dump["latents"].shape == [2, 3])
      #expect(try SafetensorsFile(path: url.path).tensor("scalar").floats == [7])
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["trace.safetensors"])
    }
  }

  @Test func saysWhereItCannotWrite() throws {
    let error = modelError { try SafetensorsWriter.write("/nonexistent/x.safetensors", tensors: []) }
    #expect(error?.text == "cannot write /nonexistent/x.safetensors: No such file or directory")
    let shape = modelError { try SafetensorsWriter.write("/tmp/x.safetensors", tensors: [("a", [3], .float32([1]))]) }
    #expect(shape?.text.contains("a has 1 values for the shape [3]") == true)
  }
}
