/// Antialiased bilinear scaling: a triangle filter as wide as the scale asks for, as in PyTorch's
/// `interpolate(mode="bilinear", antialias=True)` and in the reference's loader.
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

  /// (height, width, 3) -> (target height, target width, 3), the columns first.
  func callAsFunction(_ pixels: [Float]) -> [Float] {
    if source == target { return pixels }
    let rowLength = target.width * 3
    var wide = [Float](repeating: 0, count: source.height * rowLength)
    for row in 0..<source.height {
      let line = row * source.width * 3
      for (column, tap) in horizontal.taps.enumerated() {
        var (red, green, blue): (Float, Float, Float) = (0, 0, 0)
        var position = line + tap.first * 3
        for weight in tap.weights {
          red += weight * pixels[position]
          green += weight * pixels[position + 1]
          blue += weight * pixels[position + 2]
          position += 3
        }
        let result = row * rowLength + column * 3
        wide[result] = red
        wide[result + 1] = green
        wide[result + 2] = blue
      }
    }
    var result = [Float](repeating: 0, count: target.height * rowLength)
    for (row, tap) in vertical.taps.enumerated() {
      for (offset, weight) in tap.weights.enumerated() {
        let line = (tap.first + offset) * rowLength
        for column in 0..<rowLength { result[row * rowLength + column] += weight * wide[line + column] }
      }
    }
    return result
  }
}
