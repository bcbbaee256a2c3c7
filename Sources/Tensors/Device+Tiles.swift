import CKernels

extension Device {
  /// An image made in overlapping tiles, one at a time: for the memory that `body` takes in between, which then is that of
  /// one tile.
  ///
  /// Where tiles overlap they are mixed linearly: row y of the e that a tile shares with the one above is y / e of its own
  /// and 1 - y / e of the other's, and columns likewise after that, as diffusers' `AutoencoderKL` does it (`blend_v`,
  /// `blend_h`). Beside the image only the seams are kept: what the tiles of a row leave to those below, and a tile to the
  /// next.
  ///
  /// - Parameters:
  ///   - grid: The tiles, in pixels or in what stands for `scale` x `scale` of them.
  ///   - body: Makes the tile of the given rows and columns of the grid: (1, rows * scale, columns * scale, channels).
  /// - Returns: (1, grid.rows * scale, grid.columns * scale, channels)
  /// - Throws: `TensorError` for an empty image or a tile of another shape, and what `body` throws.
  public func inTiles(
    _ grid: TileGrid, scale: Int, channels: Int,
    _ body: (_ rows: Range<Int>, _ columns: Range<Int>) throws -> Tensor
  ) throws -> Tensor {
    guard grid.rows > 0, grid.columns > 0, scale > 0, channels > 0 else {
      throw TensorError("an image of \(grid.rows)x\(grid.columns) times \(scale) pixels has no tiles")
    }
    return try run {
      let image = try makeResult([1, grid.rows * scale, grid.columns * scale, channels])
      let extents = TileExtents(grid, scale: scale, channels: channels)
      let below = try makeResult(extents.below)
      let right = try makeResult(extents.right)
      for tileRow in 0..<grid.tileRows {
        for tileColumn in 0..<grid.tileColumns {
          let (rows, columns) = (
            grid.span(tileRow, along: grid.rows), grid.span(tileColumn, along: grid.columns)
          )
          let tile = try body(rows, columns)
          try requireFloat32(tile, in: "an image of tiles")
          let shape = [1, rows.count * scale, columns.count * scale, channels]
          guard tile.shape == shape else { throw TensorError("a tile has the shape \(tile.shape), not \(shape)") }
          let strip = extents.below[1] * extents.below[2] * channels
          try place(
            tile, row: tileRow, column: tileColumn, extents, in: image,
            below: below.mutableFloatPointer + tileColumn * strip, right: right.mutableFloatPointer)
        }
      }
      return image
    }
  }

  /// Mixes a tile with the ones above and to the left of it: its part of the image, and what it leaves to the next ones.
  /// - Parameters:
  ///   - row, column: In tiles.
  ///   - below: What the tile above left; then what this one leaves.
  ///   - right: What the tile to the left left; then what this one leaves.
  private func place(
    _ tile: Tensor, row: Int, column: Int, _ extents: TileExtents, in image: Tensor,
    below: UnsafeMutablePointer<Float>, right: UnsafeMutablePointer<Float>
  ) throws {
    let (height, width, channels) = (tile.shape[1], tile.shape[2], tile.shape[3])
    let (step, overlap) = (extents.step, extents.overlap)
    let (mixedRows, mixedColumns) = (row > 0 ? min(overlap, height) : 0, column > 0 ? min(overlap, width) : 0)
    let (input, output) = (tile.floatPointer, image.mutableFloatPointer)
    let imageStart = (row * step * image.shape[2] + column * step) * channels
    let belowStride = extents.below[2] * channels

    /// Columns of a line, mixed with the tile above.
    func write(_ columns: Range<Int>, of line: Int, to target: UnsafeMutablePointer<Float>) {
      let start = columns.lowerBound * channels
      target.update(from: input + line * width * channels + start, count: columns.count * channels)
      guard line < mixedRows else { return }
      kernel_mix(
        Float(line) / Float(mixedRows), below + line * belowStride + start, target, columns.count * channels)
    }
    /// A line of the image (up to `step` columns), or of what is left to the tile below.
    func place(_ line: Int, columns: Int, at target: UnsafeMutablePointer<Float>) {
      let right = right + line * overlap * channels
      write(0..<columns, of: line, to: target)
      for column in 0..<mixedColumns {
        kernel_mix(
          Float(column) / Float(mixedColumns), right + column * channels, target + column * channels, channels)
      }
      if width > step { write(step..<width, of: line, to: right) }
    }

    let grain = Device.grain / (width * channels)
    try parallel(count: min(height, step), grain: grain) { lines in
      for line in lines {
        place(line, columns: min(width, step), at: output + imageStart + line * image.shape[2] * channels)
      }
    }
    // After the lines above, which read what these overwrite.
    try parallel(count: max(height - step, 0), grain: grain) { lines in
      for line in lines { place(step + line, columns: width, at: below + line * belowStride) }
    }
  }
}

/// Tiles of a grid in pixels, and the shapes of their seams.
private struct TileExtents {
  let step: Int, overlap: Int
  /// (tiles beside each other, rows, columns, channels); without rows where no tile has one below.
  let below: [Int]
  /// (rows, columns, channels); without columns where no tile has one to the right.
  let right: [Int]

  init(_ grid: TileGrid, scale: Int, channels: Int) {
    (step, overlap) = (grid.step * scale, grid.overlap * scale)
    let (height, width) = (min(grid.side, grid.rows) * scale, min(grid.side, grid.columns) * scale)
    below = [grid.tileColumns, grid.tileRows > 1 ? overlap : 0, width, channels]
    right = [height, grid.tileColumns > 1 ? overlap : 0, channels]
  }
}

extension MemoryRehearsal {
  /// `Device.inTiles`.
  /// - Parameter body: Rehearses a tile of the given sides in the units of the grid and releases it.
  /// - Returns: The image.
  public mutating func inTiles(
    _ grid: TileGrid, scale: Int, channels: Int, _ body: (inout MemoryRehearsal, _ rows: Int, _ columns: Int) -> Void
  ) -> Block {
    let extents = TileExtents(grid, scale: scale, channels: channels)
    func count(_ shape: [Int]) -> Double { shape.reduce(1) { $0 * Double($1) } }
    let image = tensor(count([grid.rows, grid.columns, scale, scale, channels]))
    let seams = [tensor(count(extents.below)), tensor(count(extents.right))]
    for size in grid.sizes { body(&self, size.rows, size.columns) }
    seams.forEach { release($0) }
    return image
  }
}
