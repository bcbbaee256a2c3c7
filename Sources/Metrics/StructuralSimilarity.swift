import Glibc
import MediaIO

/// The structural similarity of Wang, Bovik, Sheikh and Simoncelli 2004, with their constants: windows of 11x11 pixels
/// weighted by a Gaussian of sigma 1.5, K1 = 0.01, K2 = 0.03, on luma (BT.601, not rounded), over the windows that lie
/// within the frame.
enum StructuralSimilarity {
  static let windowSize = 11

  /// Mean over all windows of the frame.
  static func mean(of pair: FramePair) -> Double {
    let (width, height) = (pair.width, pair.height)
    let x = luma(pair.source.pixels), y = luma(pair.result.pixels)
    func filtered(_ values: [Double]) -> [Double] { weighted(values, width: width, height: height) }
    let meanX = filtered(x), meanY = filtered(y)
    let squareX = filtered(product(x, x)), squareY = filtered(product(y, y)), productXY = filtered(product(x, y))
    let c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255
    var sum = 0.0
    for index in meanX.indices {
      let (a, b) = (meanX[index], meanY[index])
      let varianceX = squareX[index] - a * a, varianceY = squareY[index] - b * b
      let covariance = productXY[index] - a * b
      let luminance = (2 * a * b + c1) / (a * a + b * b + c1)
      let contrastAndStructure = (2 * covariance + c2) / (varianceX + varianceY + c2)
      sum += luminance * contrastAndStructure
    }
    return sum / Double(meanX.count)
  }

  private static func product(_ x: [Double], _ y: [Double]) -> [Double] { zip(x, y).map { $0 * $1 } }

  private static func luma(_ pixels: [UInt8]) -> [Double] {
    var luma = [Double](repeating: 0, count: pixels.count / 3)
    for index in luma.indices {
      let (red, green, blue) = (pixels[index * 3], pixels[index * 3 + 1], pixels[index * 3 + 2])
      luma[index] = 0.299 * Double(red) + 0.587 * Double(green) + 0.114 * Double(blue)
    }
    return luma
  }

  private static let weights: [Double] = {
    let middle = Double(windowSize / 2)
    let weights = (0..<windowSize).map { (position: Int) -> Double in
      let distance = (Double(position) - middle) / 1.5
      return exp(-distance * distance / 2)
    }
    let total = weights.reduce(0, +)
    return weights.map { $0 / total }
  }()

  /// Means of the windows: windowSize - 1 rows and columns fewer than the picture.
  private static func weighted(_ values: [Double], width: Int, height: Int) -> [Double] {
    let columns = width - windowSize + 1, rows = height - windowSize + 1
    let weights = weights
    var narrow = [Double](repeating: 0, count: height * columns)
    for y in 0..<height {
      for (offset, weight) in weights.enumerated() {
        for x in 0..<columns { narrow[y * columns + x] += weight * values[y * width + x + offset] }
      }
    }
    var result = [Double](repeating: 0, count: rows * columns)
    for y in 0..<rows {
      for (offset, weight) in weights.enumerated() {
        for x in 0..<columns { result[y * columns + x] += weight * narrow[(y + offset) * columns + x] }
      }
    }
    return result
  }
}
