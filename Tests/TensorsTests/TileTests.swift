import Testing

@testable import Tensors

@Suite struct TileTests {
  private typealias Picture = [[[Double]]]

  /// As diffusers' `tiled_decode` goes about it: all tiles are kept, mixed in place and cut.
  private static func joined(_ tiles: [[Picture]], step: Int, overlap: Int) -> Picture {
    var tiles = tiles
    var result: Picture = []
    for i in tiles.indices {
      var lines: Picture = []
      for j in tiles[i].indices {
        if i > 0 {
          let above = tiles[i - 1][j]
          let extent = min(above.count, tiles[i][j].count, overlap)
          for y in 0..<extent {
            let share = Double(y) / Double(extent)
            for x in tiles[i][j][y].indices {
              for c in tiles[i][j][y][x].indices {
                tiles[i][j][y][x][c] =
                  above[above.count - extent + y][x][c] * (1 - share) + tiles[i][j][y][x][c] * share
              }
            }
          }
        }
        if j > 0 {
          let left = tiles[i][j - 1]
          let extent = min(left[0].count, tiles[i][j][0].count, overlap)
          for y in tiles[i][j].indices {
            for x in 0..<extent {
              let share = Double(x) / Double(extent)
              for c in tiles[i][j][y][x].indices {
                tiles[i][j][y][x][c] =
                  left[y][left[y].count - extent + x][c] * (1 - share) + tiles[i][j][y][x][c] * share
              }
            }
          }
        }
        let cut = tiles[i][j].prefix(step).map { Array($0.prefix(step)) }
        lines = j == 0 ? cut : zip(lines, cut).map { $0 + $1 }
      }
      result += lines
    }
    return result
  }

  struct Case: Sendable, CustomTestStringConvertible {
    var rows: Int, columns: Int, side: Int, overlap: Int, scale: Int, channels: Int

    /// Among them last tiles of one pixel, last tiles that others cover, one tile in a direction or in both.
    static let all = [
      Case(rows: 9, columns: 13, side: 8, overlap: 2, scale: 8, channels: 3),
      Case(rows: 16, columns: 16, side: 4, overlap: 1, scale: 1, channels: 4),
      Case(rows: 16, columns: 16, side: 4, overlap: 0, scale: 2, channels: 1),
      Case(rows: 7, columns: 40, side: 8, overlap: 4, scale: 3, channels: 2),
      Case(rows: 3, columns: 30, side: 8, overlap: 2, scale: 2, channels: 3),
      Case(rows: 31, columns: 5, side: 8, overlap: 2, scale: 2, channels: 3),
      Case(rows: 6, columns: 6, side: 8, overlap: 2, scale: 4, channels: 3),
      Case(rows: 70, columns: 90, side: 64, overlap: 16, scale: 4, channels: 5),
    ]

    var grid: TileGrid { TileGrid(rows: rows, columns: columns, side: side, overlap: overlap) }
    var testDescription: String { "\(rows)x\(columns) in tiles of \(side), \(overlap) shared, times \(scale)" }
  }

  @Test(arguments: Configuration.all, Case.all)
  func tilesAreMixed(_ configuration: Configuration, _ wanted: Case) throws {
    let device = try configuration.device()
    var numbers = Numbers(31)
    var tiles: [[Picture]] = []
    var sizes: [[Int]] = []
    let image = try device.inTiles(wanted.grid, scale: wanted.scale, channels: wanted.channels) { rows, columns in
      let (height, width) = (rows.count * wanted.scale, columns.count * wanted.scale)
      let tile = try numbers.tensor([1, height, width, wanted.channels])
      let values = tile.doubles
      if columns.lowerBound == 0 { tiles.append([]) }
      sizes.append([rows.count, columns.count])
      tiles[tiles.count - 1].append(
        (0..<height).map { y in
          (0..<width).map { x in
            (0..<wanted.channels).map { values[(y * width + x) * wanted.channels + $0] }
          }
        })
      return tile
    }
    let expected = Self.joined(
      tiles, step: (wanted.side - wanted.overlap) * wanted.scale, overlap: wanted.overlap * wanted.scale)
    expectClose(
      image, expected.flatMap { $0.flatMap { $0 } },
      shape: [1, wanted.rows * wanted.scale, wanted.columns * wanted.scale, wanted.channels], "tiles")

    var counts: [[Int]: Double] = [:]
    for size in wanted.grid.sizes { counts[[size.rows, size.columns], default: 0] += size.count }
    #expect(counts == sizes.reduce(into: [:]) { $0[$1, default: 0] += 1 })
  }

  /// What a tile takes is given back before the next one begins.
  @Test func memoryIsThatOfOneTile() throws {
    let device = try Device(threads: 2)
    let grid = TileGrid(rows: 100, columns: 130, side: 64, overlap: 16)
    let image = try device.inTiles(grid, scale: 8, channels: 3) { rows, columns in
      let (height, width) = (rows.count * 8, columns.count * 8)
      let wide = try device.makeResult([1, height, width * 16, 3])
      return try device.crop(wide, rows: 0..<height, columns: 0..<width)
    }
    var memory = MemoryRehearsal(threads: 2, precision: .float32, convolutions: .direct)
    let block = memory.inTiles(grid, scale: 8, channels: 3) { memory, rows, columns in
      let wide = memory.tensor(Double(64 * 48 * rows * columns))
      let tile = memory.tensor(Double(64 * 3 * rows * columns))
      memory.release(wide)
      memory.release(tile)
    }
    memory.release(block)
    let (held, one) = (Double(device.heldByteCount), Double(4 * 64 * 64 * 64 * 51))
    print("an image of tiles: \(Int(held)) bytes held, \(Int(memory.peak)) predicted, \(Int(one)) of a tile")
    #expect(abs(memory.peak / held - 1) < 0.001)
    #expect(held < one + Double(image.byteCount) * 1.5)
  }

  @Test func tilesOfAnotherShapeAreRefused() throws {
    let device = try Device(threads: 1)
    let grid = TileGrid(rows: 4, columns: 4, side: 4, overlap: 1)
    #expect(throws: TensorError.self) {
      try device.inTiles(grid, scale: 2, channels: 3) { _, _ in try Tensor(zeros: [1, 8, 7, 3]) }
    }
    #expect(throws: TensorError.self) {
      try device.inTiles(TileGrid(rows: 0, columns: 4, side: 4, overlap: 1), scale: 2, channels: 3) { _, _ in
        try Tensor(zeros: [1, 0, 8, 3])
      }
    }
  }
}
