import Foundation
import MediaIO
import TestSupport
import Testing

@testable import Metrics

/// The measures of pictures, against scikit-image and against what follows from their definitions.
struct PictureTests {
  static let folder = Fixtures.folder.appendingPathComponent("metrics")

  static func frame(_ width: Int, _ height: Int, _ pixel: (_ x: Int, _ y: Int) -> (UInt8, UInt8, UInt8)) -> VideoFrame {
    var pixels: [UInt8] = []
    for y in 0..<height {
      for x in 0..<width {
        let (red, green, blue) = pixel(x, y)
        pixels += [red, green, blue]
      }
    }
    return VideoFrame(width: width, height: height, pixels: pixels, timestamp: 0, duration: 1)
  }

  static func grey(_ value: UInt8, _ width: Int = 16, _ height: Int = 16) -> VideoFrame {
    frame(width, height) { _, _ in (value, value, value) }
  }

  @Test func likeScikitImage() throws {
    struct Expected: Decodable { let psnr: Double, ssim: Double }
    let expected = try JSONDecoder().decode(
      Expected.self, from: try Data(contentsOf: Self.folder.appendingPathComponent("expected.json")))
    let dump = try TensorDump(Self.folder.appendingPathComponent("expected.safetensors"))
    func frame(_ name: String) throws -> VideoFrame {
      let entry = try dump[name]
      return VideoFrame(
        width: entry.shape[1], height: entry.shape[0], pixels: entry.values.map { UInt8($0) }, timestamp: 0, duration: 1
      )
    }
    var metrics = PictureMetrics()
    metrics.add(try FramePair(source: try frame("first"), result: try frame("second")))
    let psnr = abs(try #require(metrics.peakSignalToNoise.mean) - expected.psnr)
    let ssim = abs(try #require(metrics.structuralSimilarity.mean) - expected.ssim)
    print("PSNR \(psnr) dB, SSIM \(ssim) from scikit-image")
    #expect(psnr < 1e-9)
    #expect(ssim < 1e-9)
  }

  @Test func equalFramesCountApart() throws {
    var metrics = PictureMetrics()
    metrics.add(try FramePair(source: Self.grey(100), result: Self.grey(100)))
    #expect(metrics.peakSignalToNoise.mean == .infinity)
    #expect(metrics.structuralSimilarity.mean == 1)
    metrics.add(try FramePair(source: Self.grey(100), result: Self.grey(101)))
    // One level everywhere: 20 log10(255).
    #expect(abs(try #require(metrics.peakSignalToNoise.mean) - 48.1308) < 1e-4)
    #expect(metrics.peakSignalToNoise.infiniteCount == 1)
  }

  @Test func onlyTheBackgroundCounts() throws {
    let result = Self.frame(16, 16) { x, _ in x < 8 ? (200, 0, 50) : (103, 97, 100) }
    let pair = try FramePair(source: Self.grey(100), result: result)
    var error = BackgroundError()
    try error.add(pair, mask: Self.frame(16, 16) { x, _ in x < 8 ? (128, 128, 128) : (127, 127, 127) }.pixels)
    #expect(error.difference.mean == 2)
    try error.add(pair, mask: Self.grey(255).pixels)
    #expect(error.difference.values[1] == nil && error.difference.mean == 2)
    #expect(throws: MetricsError.self) { try error.add(pair, mask: [0, 0, 0]) }
  }

  @Test func aConstantEditChangesAsTheSourceDoes() throws {
    var steady = TemporalConsistency(), flickering = TemporalConsistency()
    for (index, level) in ([10, 30, 20] as [UInt8]).enumerated() {
      steady.add(try FramePair(source: Self.grey(level), result: Self.grey(level + 50)))
      let flicker: UInt8 = index % 2 == 0 ? 0 : 4
      flickering.add(try FramePair(source: Self.grey(level), result: Self.grey(level + flicker)))
    }
    #expect(steady.difference.values == [0, 0])
    #expect(flickering.difference.values == [4, 4])
  }

  @Test func whatCannotBeComparedIsSaid() throws {
    #expect(throws: MetricsError.self) { try FramePair(source: Self.grey(0), result: Self.grey(0, 16, 17)) }
    #expect(throws: MetricsError.self) { try FramePair(source: Self.grey(0, 10, 64), result: Self.grey(0, 10, 64)) }
    var broken = Self.grey(0)
    broken.pixels.removeLast()
    #expect(throws: MetricsError.self) { try FramePair(source: Self.grey(0), result: broken) }
  }
}
