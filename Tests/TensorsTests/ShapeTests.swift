import Testing

@testable import Tensors

@Suite struct ShapeTests {
  /// 0, 1, 2, ... so that each number tells where it came from.
  private static func counted(_ shape: [Int], from start: Int = 0) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { Float(start + $0) }, shape: shape)
  }

  @Test(arguments: Configuration.all)
  func channelsAreJoined(_ configuration: Configuration) throws {
    let device = try configuration.device()
    for (leading, left, right) in [([1], 1, 1), ([2, 3], 4, 5), ([3, 30, 20], 33, 17), ([2], 3, 0)] {
      let a = try Self.counted(leading + [left])
      let b = try Self.counted(leading + [right], from: 1 << 20)
      let (x, y) = (a.floats, b.floats)
      var expected: [Float] = []
      for row in 0..<leading.reduce(1, *) {
        expected += x[row * left..<(row + 1) * left]
        expected += y[row * right..<(row + 1) * right]
      }
      let joined = try device.concatenateChannels(a, b)
      #expect(joined.shape == leading + [left + right])
      #expect(joined.floats == expected)
    }
    #expect(throws: TensorError.self) {
      try device.concatenateChannels(try Tensor(zeros: [2, 3]), try Tensor(zeros: [3, 3]))
    }
  }

  @Test(arguments: Configuration.all)
  func partsAreJoined(_ configuration: Configuration) throws {
    let device = try configuration.device()
    let a = try Self.counted([1, 200, 300])
    let b = try Self.counted([3, 200, 300])
    let none = try Tensor(zeros: [0, 200, 300])
    let joined = try device.concatenate([a, none, b, a])
    #expect(joined.shape == [5, 200, 300])
    #expect(joined.floats == a.floats + b.floats + a.floats)
    #expect(throws: TensorError.self) { try device.concatenate([]) }
    #expect(throws: TensorError.self) { try device.concatenate([a, try Tensor(zeros: [1, 200, 301])]) }
  }

  /// Each row by itself, whatever the pieces.
  @Test(arguments: Configuration.all)
  func piecesAreJoined(_ configuration: Configuration) throws {
    let device = try configuration.device()
    for (shape, count) in [([2, 5, 3], 1), ([2, 5, 3], 3), ([2, 5, 3], 10), ([7, 3], 100), ([0, 3], 4)] {
      let x = try Self.counted(shape)
      var most = 0
      let doubled = try device.inPieces(x, of: count) { part in
        most = max(most, part.shape[0])
        return try device.concatenateChannels(part, part)
      }
      #expect(doubled.shape == shape.dropLast() + [6])
      #expect(doubled.floats == (try device.concatenateChannels(x, x)).floats)
      #expect(most <= count)
    }
    #expect(throws: TensorError.self) { try device.inPieces(try Tensor(zeros: [2, 3]), of: 0) { $0 } }
  }

  @Test(arguments: Configuration.all)
  func middleAxesAreSwapped(_ configuration: Configuration) throws {
    let device = try configuration.device()
    for shape in [[1, 1, 1, 1], [2, 3, 4, 5], [1, 8, 4096, 3], [3, 70, 9, 40], [2, 0, 3, 4]] {
      let x = try Self.counted(shape)
      let numbers = x.floats
      let expected = (0..<x.count).map { index in
        let d = index % shape[3]
        let b = index / shape[3] % shape[1]
        let c = index / shape[3] / shape[1] % shape[2]
        let a = index / shape[3] / shape[1] / shape[2]
        return numbers[((a * shape[1] + b) * shape[2] + c) * shape[3] + d]
      }
      let swapped = try device.swapMiddleAxes(x)
      #expect(swapped.shape == [shape[0], shape[2], shape[1], shape[3]])
      #expect(swapped.floats == expected)
    }
    #expect(throws: TensorError.self) { try device.swapMiddleAxes(try Tensor(zeros: [2, 3, 4])) }
  }

  @Test(arguments: Configuration.all)
  func partsAreCut(_ configuration: Configuration) throws {
    let device = try configuration.device()
    for (shape, rows, columns) in [
      ([1, 1, 1, 1], 0..<1, 0..<1), ([2, 5, 6, 3], 1..<4, 2..<6), ([1, 300, 200, 7], 10..<300, 0..<199),
      ([2, 5, 6, 3], 2..<2, 0..<6),
    ] {
      let x = try Self.counted(shape)
      let numbers = x.floats
      var expected: [Float] = []
      for image in 0..<shape[0] {
        for row in rows {
          let start = (image * shape[1] + row) * shape[2]
          expected += numbers[(start + columns.lowerBound) * shape[3]..<(start + columns.upperBound) * shape[3]]
        }
      }
      let part = try device.crop(x, rows: rows, columns: columns)
      #expect(part.shape == [shape[0], rows.count, columns.count, shape[3]])
      #expect(part.floats == expected)
    }
    let x = try Tensor(zeros: [1, 2, 2, 1])
    #expect(throws: TensorError.self) { try device.crop(x, rows: 0..<3, columns: 0..<2) }
    #expect(throws: TensorError.self) { try device.crop(x, rows: 0..<2, columns: -1..<2) }
    #expect(throws: TensorError.self) { try device.crop(x.reshaped([2, 2]), rows: 0..<1, columns: 0..<1) }
  }

  @Test(arguments: Configuration.all)
  func nearestNeighbours(_ configuration: Configuration) throws {
    let device = try configuration.device()
    for (shape, rows, columns) in [
      ([1, 1, 1, 1], 2, 3), ([2, 4, 4, 5], 8, 8), ([1, 3, 5, 2], 7, 9), ([1, 6, 6, 3], 4, 5),
      ([1, 16, 16, 70], 32, 31),
    ] {
      let x = try Self.counted(shape)
      let numbers = x.floats
      let expected = (0..<shape[0] * rows * columns * shape[3]).map { index in
        let channel = index % shape[3]
        let column = index / shape[3] % columns
        let row = index / shape[3] / columns % rows
        let image = index / shape[3] / columns / rows
        let (y, z) = (row * shape[1] / rows, column * shape[2] / columns)
        return numbers[((image * shape[1] + y) * shape[2] + z) * shape[3] + channel]
      }
      let resized = try device.upsampleNearest(x, rows: rows, columns: columns)
      #expect(resized.shape == [shape[0], rows, columns, shape[3]])
      #expect(resized.floats == expected)
    }
    #expect(throws: TensorError.self) {
      try device.upsampleNearest(try Tensor(zeros: [1, 2, 2, 1]), rows: 0, columns: 1)
    }
    #expect(throws: TensorError.self) {
      try device.upsampleNearest(try Tensor(zeros: [1, 0, 2, 1]), rows: 1, columns: 1)
    }
  }

  @Test func rowsAreGathered() throws {
    let device = try Device(threads: 2)
    let table = try Self.counted([5, 3])
    let gathered = try device.gather(table, rows: [4, 0, 4])
    #expect(gathered.shape == [3, 3])
    #expect(gathered.floats == [12, 13, 14, 0, 1, 2, 12, 13, 14])
    #expect(throws: TensorError.self) { try device.gather(table, rows: [5]) }
    #expect(throws: TensorError.self) { try device.gather(table, rows: [-1]) }
  }
}
