import Foundation
import MediaIO
import Testing

@testable import Metrics

/// Motion that is known.
struct WarpErrorTests {
  static let width = 96, height = 72

  /// A smooth texture that never repeats nearby, moved by so many pixels.
  private static func texture(_ dx: Double, _ dy: Double, width: Int = width, height: Int = height) -> VideoFrame {
    PictureTests.frame(width, height) { x, y in
      let (x, y) = (Double(x) - dx, Double(y) - dy)
      func wave(_ a: Double, _ b: Double, _ c: Double) -> UInt8 {
        UInt8(128 + 60 * sin(x * a + y * b) + 60 * sin(y * a * 0.7 - x * b + c))
      }
      return (wave(0.21, 0.09, 0), wave(0.13, 0.17, 1), wave(0.31, 0.05, 2))
    }
  }

  @Test(arguments: [(3.0, 0.0), (-2.0, 4.0), (1.5, -0.5)])
  func aShiftIsFound(_ dx: Double, _ dy: Double) throws {
    let estimator = try MotionEstimator(width: Self.width, height: Self.height)
    var following = WarpError(), still = WarpError()
    for step in 0..<4 {
      let source = Self.texture(dx * Double(step), dy * Double(step))
      let motion = try estimator.push(source)
      #expect((motion == nil) == (step == 0))
      if let motion {
        // A block of the middle, which goes nowhere out of the picture.
        let vector = motion.vector(atColumn: 48, row: 36)
        #expect(abs(Double(vector.x) - dx) <= 0.5 && abs(Double(vector.y) - dy) <= 0.5, "\(vector)")
      }
      // The colours are others, the motion is the same; or the picture stands still.
      var result = source
      result.pixels = source.pixels.map { 255 - $0 }
      following.add(try FramePair(source: source, result: result), motion: motion)
      still.add(try FramePair(source: source, result: Self.texture(0, 0)), motion: motion)
    }
    let (good, bad, own) = (
      try #require(following.result.mean), try #require(still.result.mean), try #require(following.source.mean)
    )
    print(
      "warp error of a shift by \(dx), \(dy): \(good), source \(own), still \(bad), \(following.coverage.mean ?? 0)")
    #expect(good < 5e-4 && bad > 10 * good)
    #expect(abs(good - own) < 1e-6)
    #expect(try #require(following.coverage.mean) > 0.8)
  }

  @Test func sizesThatAreNoMultipleOfABlock() throws {
    let estimator = try MotionEstimator(width: 45, height: 19)
    var warp = WarpError()
    for step in 0..<2 {
      let frame = Self.texture(Double(step), 0, width: 45, height: 19)
      warp.add(try FramePair(source: frame, result: frame), motion: try estimator.push(frame))
    }
    #expect(try #require(warp.coverage.mean) > 0.8)
  }

  @Test func whereNothingMatchesNothingIsSaid() throws {
    let estimator = try MotionEstimator(width: 16, height: 16)
    var warp = WarpError()
    for level in [0, 255] as [UInt8] {
      let frame = PictureTests.grey(level)
      warp.add(try FramePair(source: frame, result: frame), motion: try estimator.push(frame))
    }
    #expect(warp.result.values == [nil] && warp.result.mean == nil && warp.coverage.mean == 0)
  }

  @Test func sizesWithoutMotionAreRefused() throws {
    #expect(throws: MediaError.self) { try MotionEstimator(width: 7, height: 64) }
    #expect(throws: MediaError.self) { try MotionEstimator(width: 64, height: 20000) }
    let estimator = try MotionEstimator(width: 16, height: 16)
    #expect(throws: MediaError.self) { try estimator.push(PictureTests.grey(0, 17, 16)) }
  }
}
