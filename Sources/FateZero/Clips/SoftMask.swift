import Tensors

/// A mask that the user gives for one frame, at the latents' sides: the share of each cell that is edited, 0...1.
struct SoftMask: Sendable, Equatable {
  let rows: Int, columns: Int
  /// (rows, columns)
  let values: [Float]

  init(rows: Int, columns: Int, values: [Float]) { (self.rows, self.columns, self.values) = (rows, columns, values) }

  /// - Parameters:
  ///   - picture: (1, rows * factor, columns * factor, 3), about -1 (kept) to 1 (edited).
  ///   - factor: Pixels of a cell's side.
  init(_ picture: Tensor, factor: Int) {
    let (width, numbers) = (picture.shape[2], picture.floats)
    let (rows, columns) = (picture.shape[1] / factor, width / factor)
    self.init(
      rows: rows, columns: columns,
      values: (0..<rows * columns).map { cell in
        var sum: Float = 0
        for row in cell / columns * factor..<(cell / columns + 1) * factor {
          let first = (row * width + cell % columns * factor) * 3
          // Scaling overshoots at edges.
          for number in numbers[first..<first + factor * 3] { sum += min(max(number / 2 + 0.5, 0), 1) }
        }
        // Sums of many whites are not exactly their count.
        return min(sum / Float(factor * factor * 3), 1)
      })
  }

  /// For a layer of other sides: the mean of the cells that each of its cells covers, wholly or in part.
  func resized(rows: Int, columns: Int) -> [Float] {
    guard (rows, columns) != (self.rows, self.columns) else { return values }
    func covered(_ index: Int, _ count: Int, of whole: Int) -> Range<Int> {
      let first = index * whole / count
      return first..<max((index + 1) * whole + count - 1, (first + 1) * count) / count
    }
    return (0..<rows * columns).map { cell in
      let down = covered(cell / columns, rows, of: self.rows),
        across = covered(cell % columns, columns, of: self.columns)
      var sum: Float = 0
      for row in down { for column in across { sum += values[row * self.columns + column] } }
      return min(sum / Float(down.count * across.count), 1)
    }
  }
}
