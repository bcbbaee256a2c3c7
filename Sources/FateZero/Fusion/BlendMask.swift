import StableDiffusion

/// Where the source's cross-attention saw the edited words (FateZero equation 8, M = HeavisideStep(c_src, tau)).
///
/// The maps of several layers are averaged over layers and heads and summed over the words' tokens, widened by a 3x3
/// maximum, resized to the layer that asks, divided by their largest value per frame, and compared with the threshold.
struct BlendMask: Sendable {
  /// Accumulated attention of the words, frame by frame on a grid.
  struct Attention: Sendable {
    let frames: Int, rows: Int, columns: Int
    /// (frames, rows, columns)
    var values: [Float]

    init(frames: Int, rows: Int, columns: Int) {
      (self.frames, self.rows, self.columns) = (frames, rows, columns)
      values = [Float](repeating: 0, count: frames * rows * columns)
    }

    /// Adds the map of one layer, (frames, heads, rows*columns, tokens), weighted per token and summed over the heads.
    /// Dividing by the number of layers and heads is left out: the mask is normalised.
    mutating func add(_ map: [Float], heads: Int, tokens: Int, weights: [Float]) {
      let chosen = weights.indices.filter { weights[$0] != 0 }
      let positions = rows * columns
      for frame in 0..<frames {
        for head in 0..<heads {
          for position in 0..<positions {
            let row = ((frame * heads + head) * positions + position) * tokens
            for token in chosen { values[frame * positions + position] += weights[token] * map[row + token] }
          }
        }
      }
    }
  }

  let threshold: Float

  /// The mask for a layer of the given sides: (frames, rows, columns), 1 where the edit is kept.
  func mask(_ attention: Attention, rows: Int, columns: Int) -> [Float] {
    let widened = BlendMask.maximum3x3(attention)
    var mask = [Float](repeating: 0, count: attention.frames * rows * columns)
    for frame in 0..<attention.frames {
      // Nearest neighbour, then the largest value of what was picked.
      let picked = (0..<rows * columns).map { position in
        let row = position / columns * attention.rows / rows
        let column = position % columns * attention.columns / columns
        return widened[(frame * attention.rows + row) * attention.columns + column]
      }
      let largest = picked.max() ?? 0
      // Words without attention anywhere divide by zero: NaN exceeds no threshold, all comes from the source.
      for (position, value) in picked.enumerated() where value / largest > threshold {
        mask[frame * rows * columns + position] = 1
      }
    }
    return mask
  }

  private static func maximum3x3(_ attention: Attention) -> [Float] {
    let (rows, columns) = (attention.rows, attention.columns)
    var result = attention.values
    for frame in 0..<attention.frames {
      let base = frame * rows * columns
      for row in 0..<rows {
        for column in 0..<columns {
          var largest = -Float.infinity
          for y in max(row - 1, 0)...min(row + 1, rows - 1) {
            for x in max(column - 1, 0)...min(column + 1, columns - 1) {
              largest = max(largest, attention.values[base + y * columns + x])
            }
          }
          result[base + row * columns + column] = largest
        }
      }
    }
    return result
  }

  /// The cross-attention layers that the mask is taken from: those of the recorded resolution nearest to a quarter of the
  /// latents' sides with at least 8 cells on its shorter side, or of the largest one where none has so many.
  static func sites(among sites: [AttentionSite], latentRows: Int, latentColumns: Int, maxTokens: Int)
    -> [AttentionSite]
  {
    let recorded = sites.filter { $0.kind == .crossAttention && $0.tokens <= maxTokens }
    func distance(_ site: AttentionSite) -> Double {
      abs(Double(site.rows) - Double(latentRows) / 4) + abs(Double(site.columns) - Double(latentColumns) / 4)
    }
    let fine = recorded.filter { min($0.rows, $0.columns) >= 8 }
    let chosen = fine.min { distance($0) < distance($1) } ?? recorded.max { $0.tokens < $1.tokens }
    guard let chosen else { return [] }
    return recorded.filter { $0.rows == chosen.rows && $0.columns == chosen.columns }
  }
}
