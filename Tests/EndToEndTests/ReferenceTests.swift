import FoundationEssentials
import Testing

extension EndToEndTests {
  /// The command with the authors' configurations against what the authors' code computed
  /// (`Tests/Fixtures/oracle/README.md`; the comparison is that of `compare.py` there).
  struct ReferenceTests {
    private static let oracle = Workbench.fixtures + "/oracle"

    private static var cases: [String] {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: oracle + "/cases")) ?? []
      return names.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
    }

    private struct Case: Decodable {
      let clip: String
    }

    @Test(arguments: cases)
    func traceOfTheReference(name: String) throws {
      let bench = try Workbench()
      let description = try JSONDecoder().decode(
        Case.self, from: Data(contentsOf: URL(filePath: "\(Self.oracle)/cases/\(name).json")))
      let clips = try TensorFile(Self.oracle + "/clips.safetensors")
      let shape = try #require(clips.entries[description.clip]).shape
      let size = "\(shape[2])x\(shape[1])"
      try bench.write(try clips.bytes(description.clip), to: "clip.raw")
      try bench.succeed(
        """
        "$FATEZERO" edit clip.raw out.nut --config "$ORACLE/cases/\(name).yaml" --trace trace.safetensors \
          --precision f32 --size \(size) \
          --input-format rawvideo --video-size \(size) --pixel-format rgb24 --framerate 12
        """)
      let expected = try TensorFile("\(Self.oracle)/cases/\(name).safetensors")
      let trace = try TensorFile(bench.path("trace.safetensors"))
      let tolerance = try #require(expected.entries["latents.inv"]).shape.last == 40 ? 3e-4 : 5e-5
      var report: [String] = []

      for key in expected.entries.keys.sorted() {
        switch key.prefix(while: { $0 != "." && $0 != "_" }) {
        case "tokens", "mask":
          if key.hasSuffix(".uncond") && trace.entries[key] == nil { continue }
          let different = try zip(expected.numbers(key), trace.numbers(key)).count { $0 != $1 }
          #expect(trace.entries[key]?.shape == expected.entries[key]?.shape, "\(name) \(key)")
          #expect(different == 0, "\(name) \(key): \(different) values differ")
        case "text":
          if key.hasSuffix(".uncond") && trace.entries[key] == nil { continue }
          report.append(try compare(key, expected, trace, limit: 0.2 * tolerance, name))
        case "latents":
          report.append(try compare(key, expected, trace, limit: tolerance, name))
        case "image" where key == "image":
          report.append(try compare(key, expected, trace, limit: 2 * tolerance, name))
        case "image" where key == "image_u8":
          let difference = try zip(expected.numbers(key), trace.numbers("image")).map { abs($0 / 255 - $1) }.max() ?? 0
          #expect(difference <= 0.5 / 255 + 2 * tolerance, "\(name) \(key)")
        default:
          continue
        }
      }
      print("\(name): " + report.joined(separator: ", "))
    }

    /// Largest difference relative to the largest magnitude; the last latents may instead be nearer to float64.
    private func compare(
      _ key: String, _ expected: TensorFile, _ trace: TensorFile, limit: Double, _ name: String
    ) throws -> String {
      let (want, have) = (try expected.numbers(key), try trace.numbers(key))
      #expect(trace.entries[key]?.shape == expected.entries[key]?.shape, "\(name) \(key)")
      let difference = (zip(want, have).map { abs($0 - $1) }.max() ?? 0) / (want.map(abs).max() ?? 1)
      let finite = have.allSatisfy(\.isFinite)
      var passes = finite && difference <= limit
      if !passes, finite, key == "latents.edit", expected.entries["f64.edit_last"] != nil {
        let exact = try expected.numbers("f64.edit_last")
        func distance(_ values: [Double]) -> Double {
          zip(values.suffix(exact.count), exact).map { abs($0 - $1) }.max() ?? 0
        }
        passes = distance(have) <= distance(want)
      }
      #expect(passes, "\(name) \(key): \(difference), limit \(limit)")
      // Four significant digits are plenty.
      return "\(key) \((difference * 1e9).rounded() / 1e9)"
    }
  }
}
