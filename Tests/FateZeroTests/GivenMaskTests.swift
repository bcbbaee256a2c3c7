import Tensors
import TestSupport
import Testing

@testable import FateZero

/// Masks of the user's own.
extension ClipEditorTests {
  struct GivenMaskTests {
    private let tests = ClipEditorTests()

    /// A picture whose left `share` of the columns is white, the rest black.
    private func mask(left share: Double) throws -> Frame {
      let size = ClipEditorTests.size
      return try Frame(
        width: size, height: size,
        pixels: (0..<size * size).flatMap { pixel in
          [UInt8](repeating: Double(pixel % size) < share * Double(size) ? 255 : 0, count: 3)
        })
    }

    private func grey(_ level: UInt8) throws -> Frame {
      let size = ClipEditorTests.size
      return try Frame(width: size, height: size, pixels: [UInt8](repeating: level, count: size * size * 3))
    }

    private func edit(
      _ mask: GivenMask?, _ masks: [Frame], count: Int = 3, _ change: (inout Settings) -> Void = { _ in }
    ) throws -> [Frame] {
      try tests.edit(
        try tests.clip(count), [tests.settings(change)], mask: mask, masks: masks
      ).frames[0]
    }

    private func distance(_ a: [Frame], _ b: [Frame]) -> Double {
      zip(a, b).flatMap { zip($0.pixels, $1.pixels).map { abs(Double($0) - Double($1)) } }.reduce(0, +)
    }

    /// All of the self-attention stays the source's, as without blending; in later windows too, which carry masks.
    @Test func aBlackMaskEditsNothingMore() throws {
      for change: (inout Settings) -> Void in [{ _ in }, { $0.clipLength = 2 }] {
        #expect(try edit(.instead, [mask(left: 0)], change) == edit(nil, [], change))
      }
    }

    /// All of the self-attention is the edit's own, as without self-replace.
    @Test func aWhiteMaskEditsEverything() throws {
      let white = try edit(.instead, [mask(left: 1)])
      let plain = try edit(nil, []) { try? $0.set("self-replace", to: "0") }
      let difference =
        zip(white, plain).flatMap { zip($0.pixels, $1.pixels).map { abs(Int($0) - Int($1)) } }.max() ?? 255
      print("largest difference of a white mask from no fusion: \(difference) levels")
      #expect(difference <= 1)
      #expect(try white != edit(nil, []))
    }

    /// Both rows run and are mixed: latents of a grey mask lie between those of black and white.
    @Test func greyMixesBoth() throws {
      func blended(_ mask: Frame) throws -> [Frame] {
        try edit(.instead, [mask]) { settings in
          settings.blendLatents = true
          settings.steps = 10
        }
      }
      let (black, half, white) = (try blended(grey(0)), try blended(grey(128)), try blended(grey(255)))
      let whole = distance(black, white)
      print(
        "grey from black \(distance(black, half) / whole), from white \(distance(half, white) / whole) of their distance"
      )
      #expect(whole > 0 && distance(black, half) > 0.1 * whole && distance(half, white) > 0.1 * whole)
      #expect(distance(black, half) < whole && distance(half, white) < whole)
    }

    /// What is intersected with white is the words' mask; with black nothing of it is left.
    @Test func intersections() throws {
      let words: (inout Settings) -> Void = { $0.blendWords = BlendWords(source: ["cat"], target: ["tiger"]) }
      let found = try edit(nil, [], words)
      #expect(try edit(.intersected, [mask(left: 1)], words) == found)
      let nothing = try edit(.intersected, [mask(left: 0)], words)
      #expect(try nothing == edit(nil, []) && nothing != found)
      #expect(try edit(.instead, [mask(left: 1)], words) != found)
    }

    /// Norms run over all frames, so that others change a little too.
    @Test func eachFrameHasItsOwn() throws {
      let own: (inout Settings) -> Void = { $0.frameCoupling = [.relative(0)] }
      let alternating = try edit(.instead, [mask(left: 0), mask(left: 1)], own)
      let black = try edit(.instead, [mask(left: 0)], own)
      let distances = zip(alternating, black).map { distance([$0], [$1]) }
      print("frames under black, white, black masks, from those under black ones: \(distances)")
      #expect(distances[1] > 3 * max(distances[0], distances[2]))
    }

    @Test func whatContradictsIsRefused() throws {
      let white = try mask(left: 1)
      let other = try Frame(width: 8, height: 8, pixels: [UInt8](repeating: 0, count: 192))
      #expect(throws: SettingsError.self) { try edit(.intersected, [white]) }
      #expect(throws: SettingsError.self) { try edit(.instead, [white]) { $0.blendAttention = .off } }
      #expect(throws: SettingsError.self) { try edit(.instead, [white]) { $0.attentionSource = .none } }
      #expect(throws: EditError.self) { try edit(.instead, []) }
      #expect(throws: EditError.self) { try edit(nil, [white]) }
      #expect(throws: EditError.self) { try edit(.instead, [other]) }
    }

    // MARK: Cells

    @Test func cellsAreMeans() throws {
      // 4x2 pixels, factor 2: black and white, then three quarters.
      let pixels: [Float] = [-1, 1, 1, 1, -1, 1, 1, -1]
      let mask = SoftMask(try Tensor(pixels.flatMap { [$0, $0, $0] }, shape: [1, 2, 4, 3]), factor: 2)
      #expect(mask == SoftMask(rows: 1, columns: 2, values: [0.5, 0.75]))
      // Overshoot of a scaled picture counts as black or white.
      let steep = SoftMask(try Tensor([Float](repeating: 1.3, count: 12), shape: [1, 2, 2, 3]), factor: 2)
      #expect(steep.values == [1])
    }

    @Test func otherSidesTakeWhatTheyCover() {
      let mask = SoftMask(rows: 2, columns: 4, values: [0, 1, 1, 0, 0, 1, 0, 0])
      #expect(mask.resized(rows: 2, columns: 4) == mask.values)
      #expect(mask.resized(rows: 1, columns: 2) == [0.5, 0.25])
      // Three cells cover four columns: 0 and 1, 1 and 2, 2 and 3.
      #expect(mask.resized(rows: 2, columns: 3) == [0.5, 1, 0.5, 0.5, 0.5, 0])
      #expect(mask.resized(rows: 4, columns: 4) == [0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0])
      #expect(SoftMask(rows: 1, columns: 3, values: [1, 1, 1]).resized(rows: 5, columns: 7).allSatisfy { $0 == 1 })
    }
  }
}
