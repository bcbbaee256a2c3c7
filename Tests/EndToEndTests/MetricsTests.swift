import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// `fatezero metrics` on clips whose numbers are known.
  struct MetricsTests {
    private let bench: Workbench

    init() throws {
      bench = try Workbench()
      // A picture that moves by three pixels a frame; the same blurred; the same, its right half grey; another that
      // stands still.
      try bench.succeed(
        """
        clip() { ffmpeg -v error -y -i "$1" -vf "$2" -c:v rawvideo -pix_fmt rgb24 -f nut "$3"; }
        ffmpeg -v error -f lavfi -i mandelbrot=size=160x120:rate=8 -frames:v 1 still.png
        ffmpeg -v error -loop 1 -framerate 8 -i still.png -frames:v 6 \
          -vf "crop=96:64:'20+3*n':20" -c:v rawvideo -pix_fmt rgb24 -f nut moving.nut
        ffmpeg -v error -loop 1 -framerate 8 -i still.png -frames:v 6 -vf crop=96:64:20:20 -c:v rawvideo \
          -pix_fmt rgb24 -f nut standing.nut
        clip moving.nut gblur=sigma=2 blurred.nut
        clip moving.nut negate negative.nut
        clip moving.nut drawbox=x=48:color=gray:t=fill half.nut
        ffmpeg -v error -f lavfi -i color=black:size=96x64 -vf drawbox=x=48:color=white:t=fill -frames:v 1 right.png
        """)
    }

    private struct Report: Decodable {
      struct Measure: Decodable {
        let mean: Double?
        let values: [Double?]
        let infinite: Int
      }
      let version: String
      let frames: Int
      let edit: String?, sourcePrompt: String?
      let metrics: [String: Measure]
    }

    private func report(_ arguments: String) throws -> Report {
      let script = """
        CLIP='\(Fixtures.folder.appendingPathComponent("metrics/clip").path)'
        "$FATEZERO" metrics \(arguments) --json -
        """
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(Report.self, from: try bench.succeed(script).output)
    }

    private func mean(_ name: String, _ report: Report) throws -> Double {
      try #require(report.metrics[name]?.mean, "no mean of \(name)")
    }

    @Test func equalClipsAreEqual() throws {
      let report = try report("moving.nut moving.nut --mask right.png")
      #expect(report.frames == 6 && report.version == "0.1.0")
      let psnr = try #require(report.metrics["psnr"])
      #expect(psnr.mean == nil && psnr.infinite == 6 && psnr.values == Array(repeating: nil, count: 6))
      #expect(try mean("ssim", report) == 1)
      #expect(try mean("background_error", report) == 0)
      #expect(try mean("dtssd", report) == 0)
      #expect(try mean("warp_error", report) == mean("warp_error_source", report))
      #expect(report.metrics["dtssd"]?.values.count == 5)
      #expect(report.metrics["tem_con"] == nil)
    }

    @Test func theMotionOfTheSourceIsAskedOfTheResult() throws {
      let negative = try report("moving.nut negative.nut"), standing = try report("moving.nut standing.nut")
      let blurred = try report("moving.nut blurred.nut")
      print(
        "warp error: source \(try mean("warp_error_source", negative)), negative \(try mean("warp_error", negative)), "
          + "standing \(try mean("warp_error", standing)), blurred \(try mean("warp_error", blurred))")
      #expect(try mean("warp_error", negative) < 1e-3)
      #expect(try mean("warp_error", standing) > 10 * mean("warp_error", negative))
      #expect(try mean("ssim", blurred) < 0.99 && mean("psnr", blurred) > mean("psnr", negative))
    }

    @Test func theMaskIsTheEdit() throws {
      let edited = try report("moving.nut half.nut --mask right.png"),
        other = try report("moving.nut blurred.nut --mask right.png")
      #expect(try mean("background_error", edited) == 0)
      #expect(try mean("background_error", other) > 0.5)
    }

    @Test func clipIsAsked() throws {
      let report = try report(#"moving.nut negative.nut --clip "$CLIP" --edit "a [cat -> tiger] on the grass""#)
      #expect(report.edit == "a tiger on the grass" && report.sourcePrompt == "a cat on the grass")
      #expect(try abs(mean("tem_con", report)) <= 1 && abs(mean("clip_t", report)) <= 100)
      #expect(try 0...1 ~= mean("fram_acc", report))
      let alone = try self.report(#"moving.nut negative.nut --clip "$CLIP""#)
      #expect(try mean("tem_con", alone) == mean("tem_con", report))
      #expect(alone.metrics["clip_t"] == nil)
    }

    @Test func onePictureHasNoMotion() throws {
      let report = try report("still.png still.png")
      #expect(report.frames == 1 && report.metrics["ssim"]?.mean == 1)
      for name in ["warp_error", "warp_error_source", "warp_coverage", "dtssd"] {
        #expect(report.metrics[name]?.values == [] && report.metrics[name]?.mean == nil, "\(name)")
      }
    }

    @Test func theTableIsForPeople() throws {
      let outcome = try bench.succeed(#""$FATEZERO" metrics moving.nut half.nut --mask right.png --json all.json"#)
      let table = String(decoding: outcome.output, as: UTF8.self)
      #expect(table.hasPrefix("6 frames of 96x64\nmeasure"))
      for word in ["PSNR", "SSIM", "background error", "warp error", "temporal change", "dB"] {
        #expect(table.contains(word))
      }
      #expect(outcome.errors == "")
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      #expect(try decoder.decode(Report.self, from: try bench.contents("all.json")).frames == 6)
      #expect(try bench.leftovers() == [])
    }

    @Test(arguments: [
      ("moving.nut moving.nut --mask nowhere.png", "nowhere.png", 66),
      ("moving.nut nowhere.nut", "nowhere.nut", 66),
      ("moving.nut short.nut", "short.nut ends after 4 frames", 65),
      ("short.nut moving.nut", "short.nut ends after 4 frames", 65),
      ("moving.nut small.nut", "48x32", 65),
      ("tiny.nut tiny.nut", "too small", 65),
      ("empty.nut moving.nut", "empty.nut", 65),
      ("moving.nut moving.nut --mask mask.nut", "2 pictures", 65),
      ("moving.nut moving.nut --clip damaged", "model.safetensors", 65),
      ("moving.nut moving.nut --clip nowhere", "nowhere", 69),
      ("moving.nut moving.nut --edit \"a cat\"", "--clip", 64),
      ("moving.nut moving.nut --clip damaged --source \"a cat\"", "--edit", 64),
      ("- -", "standard input", 64),
      ("moving.nut moving.nut --json nowhere/all.json", "nowhere/all.json", 73),
      ("moving.nut moving.nut --json moving.nut", "input", 64),
    ])
    func whatCannotBeIsSaid(_ arguments: String, _ words: String, _ status: Int32) throws {
      try bench.succeed(
        """
        ffmpeg -v error -i moving.nut -frames:v 4 -c copy short.nut
        ffmpeg -v error -i moving.nut -vf scale=48:32 -c:v rawvideo -pix_fmt rgb24 small.nut
        ffmpeg -v error -i moving.nut -vf scale=10:10 -c:v rawvideo -pix_fmt rgb24 tiny.nut
        ffmpeg -v error -i moving.nut -frames:v 2 -c copy mask.nut
        : > empty.nut
        cp -r '\(Fixtures.folder.appendingPathComponent("metrics/clip").path)' damaged
        truncate -s 100000 damaged/model.safetensors
        """)
      let outcome = try bench.run("\"$FATEZERO\" metrics \(arguments)")
      #expect(outcome.status == status && outcome.errors.contains(words), "\(outcome.status) \(outcome.errors)")
      #expect(outcome.output.isEmpty)
    }
  }
}
