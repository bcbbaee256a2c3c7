/// Overlapping square tiles over an image: one begins every `side - overlap` rows and columns, and the image's edge cuts it
/// off. The last ones may be as small as one pixel, and may lie in what the ones before cover.
public struct TileGrid: Sendable, Hashable {
  /// Of the image.
  public let rows: Int, columns: Int
  /// Of a tile that the image's edge does not cut off.
  public let side: Int
  /// Rows and columns that neighbours share; at most half of a side.
  public let overlap: Int

  public init(rows: Int, columns: Int, side: Int, overlap: Int) {
    precondition(side > 0 && 0...side / 2 ~= overlap, "tiles of \(side) with an overlap of \(overlap)")
    (self.rows, self.columns, self.side, self.overlap) = (rows, columns, side, overlap)
  }

  /// From one tile's start to the next one's.
  var step: Int { side - overlap }
  /// How many tiles lie below each other.
  var tileRows: Int { count(along: rows) }
  /// How many tiles lie beside each other.
  var tileColumns: Int { count(along: columns) }

  private func count(along extent: Int) -> Int { extent / step + (extent % step > 0 ? 1 : 0) }

  /// Rows or columns that a tile covers of so many.
  func span(_ tile: Int, along extent: Int) -> Range<Int> { tile * step..<min(tile * step + side, extent) }

  /// The sizes that tiles have, each with the number of such tiles: up to nine, in the order of the first of each.
  public var sizes: [(rows: Int, columns: Int, count: Double)] {
    /// All but the last two are whole.
    func lengths(along extent: Int) -> [(length: Int, count: Double)] {
      let count = count(along: extent)
      let last = (max(count - 2, 0)..<count).map { (length: span($0, along: extent).count, count: 1.0) }
      return (count > 2 ? [(side, Double(count - 2))] : []) + last
    }
    return lengths(along: rows).flatMap { row in
      lengths(along: columns).map { (row.length, $0.length, row.count * $0.count) }
    }
  }
}
