import FoundationEssentials
import TestSupport
import Testing

extension EndToEndTests {
  /// The command with the authors' configurations against what the authors' code computed
  /// (`Tests/Fixtures/oracle/README.md`; the comparison is that of `compare.py` there).
  struct ReferenceTests {
    private static var cases: [String] {
      let folder = Fixtures.oracle.appendingPathComponent("cases").path
      let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
      return names.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
    }

    private struct Case: Decodable {
      let clip: String
    }

    @Test(arguments: cases)
    func traceOfTheReference(name: String) throws {
      let bench = try Workbench()
      let file = Fixtures.oracle.appendingPathComponent("cases/\(name)")
      let clipName = try JSONDecoder().decode(Case.self, from: Data(contentsOf: file.appendingPathExtension("json")))
        .clip
      let clip = try TensorDump(Fixtures.oracle.appendingPathComponent("clips.safetensors"))[clipName]
      let size = "\(clip.shape[2])x\(clip.shape[1])"
      try bench.write(Data(clip.values.map { UInt8($0) }), to: "clip.raw")
      try bench.succeed(
        """
        "$FATEZERO" edit clip.raw out.nut --config '\(file.path).yaml' --trace trace.safetensors \
          --precision f32 --size \(size) \
          --input-format rawvideo --video-size \(size) --pixel-format rgb24 --framerate 12
        """)
      let want = try TensorDump(file.appendingPathExtension("safetensors"))
      let have = try TensorDump(URL(filePath: bench.path("trace.safetensors")))
      let tolerance = try want["latents.inv"].shape.last == 40 ? 3e-4 : 5e-5
      var report: [String] = []

      for key in want.entries.keys.sorted() {
        switch key.prefix(while: { $0 != "." && $0 != "_" }) {
        case "tokens", "mask":
          if key.hasSuffix(".uncond") && have.entries[key] == nil { continue }
          let (want, have) = (try want[key], try have[key])
          #expect(have.shape == want.shape, "\(name) \(key)")
          #expect(have.values == want.values, "\(name) \(key)")
        case "text":
          if key.hasSuffix(".uncond") && have.entries[key] == nil { continue }
          report.append(try compare(key, want, have, limit: 0.2 * tolerance, name))
        case "latents":
          report.append(try compare(key, want, have, limit: tolerance, name))
        case "image" where key == "image":
          report.append(try compare(key, want, have, limit: 2 * tolerance, name))
        case "image" where key == "image_u8":
          let difference = try zip(want[key].values, have["image"].values).map { abs($0 / 255 - $1) }.max() ?? 1
          #expect(difference <= 0.5 / 255 + 2 * tolerance, "\(name) \(key)")
        default:
          continue
        }
      }
      print("\(name): " + report.joined(separator: ", "))
    }

    /// Largest difference relative to the largest magnitude; the last latents may instead be nearer to float64.
    private func compare(
      _ key: String, _ want: TensorDump, _ have: TensorDump, limit: Double, _ name: String
    ) throws -> String {
      let expected = try want[key]
      let actual = try have[key]
      #expect(actual.shape == expected.shape, "\(name) \(key)")
      let difference = relativeDifference(actual.floats, expected.values)
      var passes = difference <= limit
      if !passes, difference.isFinite, key == "latents.edit", let exact = want.entries["f64.edit_last"]?.values {
        func distance(_ values: [Double]) -> Double {
          zip(values.suffix(exact.count), exact).map { abs($0 - $1) }.max() ?? .infinity
        }
        passes = distance(actual.values) <= distance(expected.values)
      }
      #expect(passes, "\(name) \(key): \(difference), limit \(limit)")
      return "\(key) \((difference * 1e9).rounded() / 1e9)"
    }
  }
}
