import Tensors

/// The mean of the blending masks of an edit's steps.
struct MeanMask: Sendable {
  let rows: Int, columns: Int
  /// Sum over the steps, (frames, rows, columns).
  private(set) var sum: [Float]
  private(set) var steps = 1

  init(_ mask: [Float], rows: Int, columns: Int) {
    (self.rows, self.columns, sum) = (rows, columns, mask)
  }

  /// - Parameter steps: How many masks `sum` is of.
  init(sum: [Float], rows: Int, columns: Int, steps: Int) {
    (self.rows, self.columns, self.sum, self.steps) = (rows, columns, sum, steps)
  }

  /// With the mask of one more step.
  func adding(_ mask: [Float]) -> MeanMask {
    var result = self
    for (index, value) in mask.enumerated() { result.sum[index] += value }
    result.steps += 1
    return result
  }

  /// Mean over frames and cells.
  var share: Float { sum.reduce(0, +) / Float(max(sum.count * steps, 1)) }

  /// One picture for each frame, (1, height, width, 3) in -1...1, every cell a rectangle.
  func pictures(_ size: FrameSize) throws -> [Tensor] {
    try stride(from: 0, to: sum.count, by: rows * columns).map { start in
      let values = (0..<size.height * size.width).flatMap { pixel in
        let row = pixel / size.width * rows / size.height
        let column = pixel % size.width * columns / size.width
        return [Float](repeating: sum[start + row * columns + column] / Float(steps) * 2 - 1, count: 3)
      }
      return try Tensor(values, shape: [1, size.height, size.width, 3])
    }
  }
}
