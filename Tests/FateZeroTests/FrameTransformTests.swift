import Foundation
import TestSupport
import Testing

@testable import FateZero

/// Crop and scaling against the reference's loader (Tests/Fixtures/oracle/transform.safetensors).
@Suite struct FrameTransformTests {
  static let cases: [(name: String, input: String, size: Int, offset: CropOffset)] = [
    ("down", "input_landscape", 64, CropOffset()),
    ("same", "input_landscape", 90, CropOffset()),
    ("up", "input_landscape", 100, CropOffset()),
    ("offset", "input_landscape", 64, CropOffset(left: 10, right: 7, top: 4, bottom: 1)),
    ("portrait", "input_portrait", 64, CropOffset(left: 3, right: 0, top: 0, bottom: 9)),
  ]

  @Test(arguments: cases.indices) func reference(_ index: Int) throws {
    let (name, input, size, offset) = Self.cases[index]
    let dump = try TensorDump(Fixtures.oracle.appendingPathComponent("transform.safetensors"))
    let clip = try dump[input]
    let want = try dump[name]
    let frameSize = FrameSize(width: clip.shape[2], height: clip.shape[1])
    let transform = try FrameTransform(
      .reference(imageSize: size, offset: offset), frameSize: frameSize,
      workingSize: FrameSize(width: size, height: size))
    let scaled = try dump["\(name).scaled_size"].values.map { Int($0) }
    let crop = FrameSize(
      width: frameSize.width - offset.left - offset.right, height: frameSize.height - offset.top - offset.bottom)
    let ours = FrameTransform.referenceScaledSize(crop, imageSize: size)
    #expect([ours.height, ours.width] == scaled)
    let frames = clip.shape[0]
    let area = frameSize.width * frameSize.height * 3
    var largest = 0.0
    for frame in 0..<frames {
      let pixels = clip.values[frame * area..<(frame + 1) * area].map { UInt8($0) }
      let have = try transform.picture(
        of: try Frame(width: frameSize.width, height: frameSize.height, pixels: pixels)
      ).floats
      // (3, frames, size, size) there, (size, size, 3) here.
      var reference: [Double] = []
      for position in 0..<size * size {
        for channel in 0..<3 { reference.append(want.values[(channel * frames + frame) * size * size + position]) }
      }
      largest = max(largest, relativeDifference(have, reference))
    }
    print("transform \(name): \(largest)")
    #expect(largest < 1e-5)
  }

  @Test func wholeFramesComeBackAtTheirSize() throws {
    let transform = try FrameTransform(
      .whole, frameSize: FrameSize(width: 101, height: 67), workingSize: FrameSize(width: 64, height: 64))
    let frame = try Frame(width: 101, height: 67, pixels: [UInt8](repeating: 77, count: 101 * 67 * 3))
    let picture = try transform.picture(of: frame)
    #expect(picture.shape == [1, 64, 64, 3])
    #expect(try EditedFrame(picture, transform).frame() == frame)
  }
}
