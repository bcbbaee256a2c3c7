import FateZero
import Glibc

/// How alike two frames of one size are.
enum PictureSimilarity {
  /// Peak signal-to-noise ratio over the three colours, dB of 255; nil where nothing differs.
  static func psnr(_ a: FateZero.Frame, _ b: FateZero.Frame) -> Double? {
    var sum = 0
    for (x, y) in zip(a.pixels, b.pixels) { sum += (Int(x) - Int(y)) * (Int(x) - Int(y)) }
    guard sum > 0 else { return nil }
    return 10 * log10(255 * 255 * Double(a.pixels.count) / Double(sum))
  }

  /// Structural similarity (Wang et al. 2004) of the luma (ITU-R BT.601), mean over windows of 8x8 pixels every 4: as
  /// ffmpeg's filter `ssim` takes them. -1...1; 1 is equal. Frames under 8 pixels are one window.
  static func ssim(_ a: FateZero.Frame, _ b: FateZero.Frame) -> Double {
    func luma(_ frame: FateZero.Frame) -> [Double] {
      (0..<frame.width * frame.height).map { (pixel: Int) -> Double in
        let red = Double(frame.pixels[pixel * 3]), green = Double(frame.pixels[pixel * 3 + 1])
        return 0.299 * red + 0.587 * green + 0.114 * Double(frame.pixels[pixel * 3 + 2])
      }
    }
    let (x, y) = (luma(a), luma(b))
    let (c1, c2) = (0.01 * 255 * 0.01 * 255, 0.03 * 255 * 0.03 * 255)
    let (rows, columns) = (min(8, a.height), min(8, a.width))
    let count = Double(rows * columns)
    var total = 0.0
    var windows = 0
    for top in stride(from: 0, through: a.height - rows, by: 4) {
      for left in stride(from: 0, through: a.width - columns, by: 4) {
        var (sx, sy, sxx, syy, sxy) = (0.0, 0.0, 0.0, 0.0, 0.0)
        for row in top..<top + rows {
          for at in row * a.width + left..<row * a.width + left + columns {
            let (p, q) = (x[at], y[at])
            sx += p
            sy += q
            sxx += p * p
            syy += q * q
            sxy += p * q
          }
        }
        let (mx, my) = (sx / count, sy / count)
        let variances = (sxx - sx * mx + syy - sy * my) / (count - 1)
        let covariance = (sxy - sx * my) / (count - 1)
        let means = (2 * mx * my + c1) / (mx * mx + my * my + c1)
        total += means * (2 * covariance + c2) / (variances + c2)
        windows += 1
      }
    }
    return total / Double(max(windows, 1))
  }
}
