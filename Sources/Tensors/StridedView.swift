/// An array whose elements lie in a file in another order than row by row, or with gaps between them, as training code may
/// leave them: transposed, channels last, part of a larger array.
struct StridedView: Sendable {
  let shape: [Int]
  /// In elements.
  let strides: [Int]

  /// Elements from the first to the last, in the file.
  var span: Int { shape.contains(0) ? 0 : zip(shape, strides).reduce(1) { $0 + ($1.0 - 1) * $1.1 } }

  /// Elements that are converted at a time.
  private static let windowLength = 1 << 18

  /// - Throws: `TensorError` where the view is so large that it cannot be one, or two elements lie at one place.
  init(shape: [Int], strides: [Int], in path: String) throws {
    guard shape.count == strides.count, Tensor.count(of: shape) != nil, strides.allSatisfy({ $0 >= 0 }) else {
      throw TensorError("\(path): the strides \(strides) are none of the shape \(shape)")
    }
    (self.shape, self.strides) = (shape, strides)
    guard !shape.contains(0) else { return }
    var end = 0
    for (extent, stride) in zip(shape, strides).filter({ $0.0 > 1 }).sorted(by: { $0.1 < $1.1 }) {
      guard stride > end else { throw TensorError("\(path): elements of \(shape) lie on one another (\(strides))") }
      let (reach, isTooLarge) = stride.multipliedReportingOverflow(by: extent - 1)
      guard !isTooLarge, reach < Int.max / 16 - end else {
        throw TensorError("\(path): the strides \(strides) are none of the shape \(shape)")
      }
      end += reach
    }
  }

  private init(_ shape: [Int], _ strides: [Int]) { (self.shape, self.strides) = (shape, strides) }

  func rows(_ count: Int) -> StridedView { StridedView([count] + shape.dropFirst(), strides) }

  var isRowMajor: Bool {
    guard !shape.contains(0) else { return true }
    var expected = 1
    for (extent, stride) in zip(shape, strides).reversed() {
      guard extent == 1 || stride == expected else { return false }
      expected *= extent
    }
    return true
  }

  /// Reads the elements `range`, counted row by row: all of them in the order in which they lie in the file, so that no part
  /// of it is read twice, or some of them one by one.
  func read(
    _ range: Range<Int>, of file: RandomAccessFile, byteOffset: Int, format: NumberFormat,
    into target: UnsafeMutablePointer<Float>
  ) throws {
    let count = shape.reduce(1, *)
    guard count > 0 else { return }
    let run = zip(shape, strides).first { $0.0 > 1 && $0.1 == 1 }?.0 ?? 1
    // Where the gaps between runs are wide, or few elements are asked for, each run is read by itself: what lies between may
    // be a thousand times as much.
    let isWhole = range == 0..<count
    let length = min(isWhole && span / 8 <= count ? span : run, Self.windowLength)
    let window = try StridedWindow(file, byteOffset: byteOffset, format: format, span: span, length: length)
    guard isWhole else {
      for index in range { target[index - range.lowerBound] = try window.number(at: place(of: index)) }
      return
    }
    // Where the axes lie in the file, and where in the result; the widest steps in the file are the outer loops.
    var results = 1
    var axes: [(extent: Int, stride: Int, result: Int)] = []
    for (extent, stride) in zip(shape, strides).reversed() {
      if extent > 1 { axes.append((extent, stride, results)) }
      results *= extent
    }
    axes.sort { $0.stride > $1.stride }
    let inner = axes.popLast() ?? (1, 1, 1)
    var index = Array(repeating: 0, count: axes.count)
    var (place, result) = (0, 0)
    while true {
      for step in 0..<inner.extent {
        target[result + step * inner.result] = try window.number(at: place + step * inner.stride)
      }
      guard var axis = axes.indices.last else { return }
      while true {
        index[axis] += 1
        place += axes[axis].stride
        result += axes[axis].result
        if index[axis] < axes[axis].extent { break }
        place -= axes[axis].stride * axes[axis].extent
        result -= axes[axis].result * axes[axis].extent
        index[axis] = 0
        guard axis > 0 else { return }
        axis -= 1
      }
    }
  }

  /// Of an element, counted row by row: elements from the first.
  private func place(of index: Int) -> Int {
    var (rest, place) = (index, 0)
    for (extent, stride) in zip(shape, strides).reversed() {
      place += rest % extent * stride
      rest /= extent
    }
    return place
  }

  /// The part of a file that was read last, as float32.
  private final class StridedWindow {
    private let file: RandomAccessFile
    private let byteOffset: Int, span: Int
    private let format: NumberFormat
    /// Elements that are read together.
    private let length: Int
    private let bytes: TensorStorage, numbers: TensorStorage
    private var first = 0, count = 0

    init(_ file: RandomAccessFile, byteOffset: Int, format: NumberFormat, span: Int, length: Int) throws {
      (self.file, self.byteOffset, self.format) = (file, byteOffset, format)
      (self.span, self.length) = (span, length)
      bytes = try TensorStorage(byteCount: length * format.byteCount)
      numbers = try TensorStorage(byteCount: length * 4)
    }

    @inline(__always) func number(at place: Int) throws -> Float {
      if place < first || place >= first + count { try move(to: place) }
      return numbers.base.assumingMemoryBound(to: Float.self)[place - first]
    }

    private func move(to place: Int) throws {
      let size = format.byteCount
      count = 0
      let length = min(length, span - place)
      try file.read(byteOffset + place * size..<byteOffset + (place + length) * size, into: bytes.base)
      convertToFloat(
        from: bytes.base, format: format, into: numbers.base.assumingMemoryBound(to: Float.self), count: length)
      (first, count) = (place, length)
    }
  }
}
