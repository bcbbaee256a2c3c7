import StableDiffusion
import Testing

@testable import FateZero

@Suite struct BlendMaskTests {
  private func site(_ rows: Int, _ columns: Int, _ place: AttentionSite.Place = .down) -> AttentionSite {
    AttentionSite(
      place: place, block: 0, transformer: 0, kind: .crossAttention, rows: rows, columns: columns, channels: 8, heads: 2
    )
  }

  /// The decisions about latents of 16 to 128 cells, square and not.
  @Test(arguments: [
    (64, 64, 16, 16), (40, 40, 10, 10), (48, 48, 12, 12), (56, 56, 14, 14), (32, 32, 8, 8), (16, 16, 8, 8),
    (8, 8, 8, 8), (128, 128, 32, 32), (40, 64, 10, 16), (36, 64, 9, 16), (24, 64, 12, 32),
  ])
  func layersByResolution(_ rows: Int, _ columns: Int, _ wantRows: Int, _ wantColumns: Int) {
    let sites = (0..<4).flatMap { level in
      [
        site(max(rows >> level, 1), max(columns >> level, 1)),
        site(max(rows >> level, 1), max(columns >> level, 1), .up),
      ]
    }
    let chosen = BlendMask.sites(among: sites, latentRows: rows, latentColumns: columns, maxTokens: 1024)
    #expect(chosen.count == 2)
    #expect(chosen.allSatisfy { $0.rows == wantRows && $0.columns == wantColumns })
  }

  @Test func layersWithTooManyTokensAreOut() {
    #expect(BlendMask.sites(among: [site(64, 64)], latentRows: 64, latentColumns: 64, maxTokens: 1024).isEmpty)
  }

  @Test func wideningResizingAndThreshold() {
    var attention = BlendMask.Attention(frames: 1, rows: 4, columns: 4)
    attention.values[5] = 1  // row 1, column 1
    attention.values[15] = 0.3
    let mask = BlendMask(threshold: 0.3).mask(attention, rows: 4, columns: 4)
    // The 3x3 maximum around (1, 1); 0.3 is not above the threshold.
    #expect(mask == [1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0])
    // Nearest: rows and columns 0 and 2 of the widened map.
    #expect(BlendMask(threshold: 0.3).mask(attention, rows: 2, columns: 2) == [1, 1, 1, 1])
    #expect(BlendMask(threshold: 2).mask(attention, rows: 4, columns: 4).allSatisfy { $0 == 0 })
  }

  @Test func wordsWithoutAttentionLeaveAllToTheSource() {
    let attention = BlendMask.Attention(frames: 2, rows: 3, columns: 5)
    #expect(BlendMask(threshold: 0.3).mask(attention, rows: 3, columns: 5).allSatisfy { $0 == 0 })
  }
}
