/// Antialiased bilinear scaling: a triangle filter as wide as the scale asks for, as in PyTorch's
/// `interpolate(mode="bilinear", antialias=True)` and in the reference's loader.
///
/// Pictures pass through it row by row; neither the source's nor the target's is held.
struct Resampling: Sendable {
  /// For each target position the first source position and the weights from there on.
  private struct Axis: Sendable {
    let taps: [(first: Int, weights: [Float])]

    init(from source: Int, to target: Int) {
      let scale = Float(source) / Float(target)
      let support = max(scale, 1)
      taps = (0..<target).map { index in
        let center = scale * (Float(index) + 0.5)
        let first = max(Int(center - support + 0.5), 0)
        let end = min(Int(center + support + 0.5), source)
        let weights = (first..<end).map { max(0, 1 - abs((Float($0) - center + 0.5) / support)) }
        let total = weights.reduce(0, +)
        return (first, weights.map { $0 / total })
      }
    }
  }

  private let source: FrameSize, target: FrameSize
  private let horizontal: Axis, vertical: Axis

  init(from source: FrameSize, to target: FrameSize) {
    (self.source, self.target) = (source, target)
    horizontal = Axis(from: source.width, to: target.width)
    vertical = Axis(from: source.height, to: target.height)
  }

  /// Scales a picture, the columns first.
  /// - Parameters:
  ///   - read: Fills the source's row of that number, 3 numbers a pixel. Each row is read once at most, from top to bottom.
  ///   - write: Takes the target's rows in their order.
  func callAsFunction(
    read: (_ row: Int, _ into: inout [Float]) throws -> Void, write: (_ row: Int, _ numbers: [Float]) throws -> Void
  ) rethrows {
    var line = [Float](repeating: 0, count: source.width * 3)
    if source == target {
      for row in 0..<source.height {
        try read(row, &line)
        try write(row, line)
      }
      return
    }
    // The widened rows that target rows still need: row r lies at r modulo their number.
    let length = target.width * 3
    let depth = vertical.taps.reduce(1) { max($0, $1.weights.count) }
    var wide = [[Float]](repeating: [Float](repeating: 0, count: length), count: depth)
    var next = 0
    for (row, tap) in vertical.taps.enumerated() {
      while next < tap.first + tap.weights.count {
        try read(next, &line)
        widen(line, into: &wide[next % depth])
        next += 1
      }
      var result = [Float](repeating: 0, count: length)
      for (offset, weight) in tap.weights.enumerated() {
        let wide = wide[(tap.first + offset) % depth]
        for column in 0..<length { result[column] += weight * wide[column] }
      }
      try write(row, result)
    }
  }

  private func widen(_ line: [Float], into result: inout [Float]) {
    for (column, tap) in horizontal.taps.enumerated() {
      var (red, green, blue): (Float, Float, Float) = (0, 0, 0)
      var position = tap.first * 3
      for weight in tap.weights {
        red += weight * line[position]
        green += weight * line[position + 1]
        blue += weight * line[position + 2]
        position += 3
      }
      result[column * 3] = red
      result[column * 3 + 1] = green
      result[column * 3 + 2] = blue
    }
  }
}
