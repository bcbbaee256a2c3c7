import Glibc
import Testing

@testable import Tensors

@Suite struct AttentionTests {
  struct Case: Sendable {
    var frames: Int, queryTokens: Int
    var keyFrames: Int, keyTokens: Int
    var heads: Int, channels: Int
    var lists: [[Int]]
  }

  static let cases = [
    Case(frames: 1, queryTokens: 1, keyFrames: 1, keyTokens: 1, heads: 1, channels: 4, lists: [[0]]),
    Case(frames: 2, queryTokens: 5, keyFrames: 3, keyTokens: 7, heads: 2, channels: 4, lists: [[2], [0]]),
    Case(
      frames: 3, queryTokens: 70, keyFrames: 3, keyTokens: 70, heads: 2, channels: 40,
      lists: [[0, 1], [1, 1], [2, 1]]),
    Case(frames: 2, queryTokens: 16, keyFrames: 2, keyTokens: 77, heads: 8, channels: 8, lists: [[0], [1]]),
    Case(frames: 1, queryTokens: 65, keyFrames: 2, keyTokens: 600, heads: 1, channels: 80, lists: [[1, 0, 1]]),
    Case(frames: 1, queryTokens: 9, keyFrames: 1, keyTokens: 1025, heads: 2, channels: 160, lists: [[0]]),
    Case(frames: 1, queryTokens: 4, keyFrames: 1, keyTokens: 8192, heads: 1, channels: 16, lists: [[0]]),
    Case(frames: 4, queryTokens: 33, keyFrames: 4, keyTokens: 3, heads: 3, channels: 13, lists: [[0], [0], [3], [3]]),
  ]

  /// (n, heads, q, K) rows of softmax(Q K^T * scale).
  static func plainMaps(_ operands: AttentionOperands, heads: Int, scale: Double, causal: Bool = false) -> [Double] {
    let (q, width, k) = (operands.queries.shape[1], operands.queries.shape[2], operands.keys.shape[1])
    let d = width / heads
    let (queries, keys) = (operands.queries.floats, operands.keys.floats)
    var maps: [Double] = []
    for (frame, list) in operands.keyFrames.enumerated() {
      for head in 0..<heads {
        for query in 0..<q {
          var row: [Double] = []
          for keyFrame in list {
            for key in 0..<k {
              var sum = 0.0
              for channel in 0..<d {
                sum +=
                  Double(queries[(frame * q + query) * width + head * d + channel])
                  * Double(keys[(keyFrame * k + key) * width + head * d + channel])
              }
              row.append(causal && key > query ? -.infinity : sum * scale)
            }
          }
          let largest = row.max() ?? 0
          let exponentials = row.map { exp($0 - largest) }
          let sum = exponentials.reduce(0, +)
          maps += exponentials.map { $0 / sum }
        }
      }
    }
    return maps
  }

  static func plainApply(_ maps: [Double], values: Tensor, lists: [[Int]], queries q: Int, heads: Int) -> [Double] {
    let (k, width) = (values.shape[1], values.shape[2])
    let d = width / heads
    let numbers = values.floats
    var result = [Double](repeating: 0, count: lists.count * q * width)
    for (frame, list) in lists.enumerated() {
      let columns = list.count * k
      for head in 0..<heads {
        for query in 0..<q {
          let map = ((frame * heads + head) * q + query) * columns
          for (position, valueFrame) in list.enumerated() {
            for key in 0..<k {
              let share = maps[map + position * k + key]
              for channel in 0..<d {
                result[(frame * q + query) * width + head * d + channel] +=
                  share * Double(numbers[(valueFrame * k + key) * width + head * d + channel])
              }
            }
          }
        }
      }
    }
    return result
  }

  private static func operands(_ item: Case, _ numbers: inout Numbers) throws -> (AttentionOperands, values: Tensor) {
    let width = item.heads * item.channels
    let queries = try numbers.tensor([item.frames, item.queryTokens, width], scale: 3)
    let keys = try numbers.tensor([item.keyFrames, item.keyTokens, width], scale: 3)
    let values = try numbers.tensor([item.keyFrames, item.keyTokens, width])
    return (AttentionOperands(queries: queries, keys: keys, keyFrames: item.lists), values)
  }

  @Test(arguments: Configuration.all)
  func matchesPlainLoop(_ configuration: Configuration) throws {
    let device = try configuration.device()
    var numbers = Numbers(5)
    for item in Self.cases {
      let (operands, values) = try Self.operands(item, &numbers)
      let scale = 1 / Float(item.channels).squareRoot()
      let name = "attention \(item.heads)x\(item.channels), \(item.keyTokens) keys"
      let maps = Self.plainMaps(operands, heads: item.heads, scale: Double(scale))
      let expected = Self.plainApply(
        maps, values: values, lists: item.lists, queries: item.queryTokens, heads: item.heads)
      let attended = try device.attention(operands, values: values, heads: item.heads, scale: scale)
      expectClose(attended, expected, shape: operands.queries.shape, tolerance: 4e-6, name)
      let columns = item.keyTokens * (item.lists.first?.count ?? 0)
      let computed = try device.attentionMaps(operands, heads: item.heads, scale: scale)
      expectClose(
        computed, maps, shape: [item.frames, item.heads, item.queryTokens, columns], tolerance: 4e-6, name + ", maps")
      let applied = try device.apply(maps: computed, values: values, valueFrames: item.lists, heads: item.heads)
      expectClose(applied, expected, shape: operands.queries.shape, tolerance: 4e-6, name + ", maps applied")
    }
  }

  @Test(arguments: Configuration.all)
  func causal(_ configuration: Configuration) throws {
    let device = try configuration.device()
    var numbers = Numbers(6)
    for tokens in [1, 7, 77, 520] {
      let item = Case(
        frames: 2, queryTokens: tokens, keyFrames: 2, keyTokens: tokens, heads: 2, channels: 8, lists: [[0], [1]])
      let (operands, values) = try Self.operands(item, &numbers)
      let maps = Self.plainMaps(operands, heads: 2, scale: 0.5, causal: true)
      expectClose(
        try device.attention(operands, values: values, heads: 2, scale: 0.5, causal: true),
        Self.plainApply(maps, values: values, lists: item.lists, queries: tokens, heads: 2),
        shape: [2, tokens, 16], tolerance: 4e-6, "causal attention")
    }
  }

  @Test(arguments: Configuration.all)
  func blended(_ configuration: Configuration) throws {
    let device = try configuration.device()
    var numbers = Numbers(7)
    let item = Case(
      frames: 3, queryTokens: 100, keyFrames: 3, keyTokens: 100, heads: 2, channels: 20,
      lists: [[0, 1], [1, 1], [2, 1]])
    let (own, values) = try Self.operands(item, &numbers)
    var (source, _) = try Self.operands(item, &numbers)
    // The source's keys are numbered by themselves.
    source.keyFrames = [[2, 0], [1, 0], [0, 0]]
    let scale: Float = 0.2
    func blended(_ shares: [Float]) throws -> Tensor {
      try device.blendedAttention(own: own, source: source, ownShare: shares, values: values, heads: 2, scale: scale)
    }
    let count = 300
    let ones = try blended(Array(repeating: 1, count: count))
    #expect(ones.floats == (try device.attention(own, values: values, heads: 2, scale: scale)).floats)
    let zeros = try blended(Array(repeating: 0, count: count))
    let sourceMaps = Self.plainMaps(source, heads: 2, scale: Double(scale))
    expectClose(
      zeros, Self.plainApply(sourceMaps, values: values, lists: item.lists, queries: 100, heads: 2),
      shape: [3, 100, 40], tolerance: 4e-6, "source attention")

    let shares = (0..<count).map { [1, 0, 0.25, 0, 1][$0 % 5] as Float }
    let ownMaps = Self.plainMaps(own, heads: 2, scale: Double(scale))
    let columns = 200
    let maps = ownMaps.indices.map { index in
      let row = index / columns
      let share = Double(shares[row / 200 * 100 + row % 100])
      return share * ownMaps[index] + (1 - share) * sourceMaps[index]
    }
    expectClose(
      try blended(shares), Self.plainApply(maps, values: values, lists: item.lists, queries: 100, heads: 2),
      shape: [3, 100, 40], tolerance: 4e-6, "blended attention")

    // All shares 0 with the source's key frames numbered as the values': the source's attention itself.
    source.keyFrames = own.keyFrames
    #expect(
      try blended(Array(repeating: 0, count: count)).floats
        == (try device.attention(source, values: values, heads: 2, scale: scale)).floats)
    #expect(throws: TensorError.self) { try blended([1]) }
    #expect(throws: TensorError.self) { try blended(Array(repeating: 1.5, count: count)) }
    #expect(throws: TensorError.self) { try blended(Array(repeating: .nan, count: count)) }
  }

  @Test(arguments: Configuration.all)
  func tokensAreMixed(_ configuration: Configuration) throws {
    let device = try configuration.device()
    var numbers = Numbers(8)
    for (tokens, channels) in [(1, 1), (7, 5), (77, 24), (130, 3)] {
      let matrix = try numbers.tensor([tokens, tokens])
      let values = try numbers.tensor([3, tokens, channels])
      let (m, v) = (matrix.doubles, values.doubles)
      let expected = (0..<3 * tokens * channels).map { index in
        let frame = index / (tokens * channels)
        let row = index / channels % tokens
        return (0..<tokens).reduce(0.0) {
          $0 + m[row * tokens + $1] * v[(frame * tokens + $1) * channels + index % channels]
        }
      }
      expectClose(try device.mixTokens(matrix, values), expected, shape: [3, tokens, channels], "mixed tokens")
    }
  }

  @Test func wrongOperandsAreErrors() throws {
    let device = try Device(threads: 1)
    let x = try Tensor(zeros: [2, 4, 8])
    func attention(_ frames: [[Int]], heads: Int = 2, values: Tensor? = nil) throws {
      _ = try device.attention(
        AttentionOperands(queries: x, keys: x, keyFrames: frames), values: values ?? x, heads: heads, scale: 1)
    }
    #expect(throws: TensorError.self) { try attention([[0]]) }
    #expect(throws: TensorError.self) { try attention([[0], [2]]) }
    #expect(throws: TensorError.self) { try attention([[0], []]) }
    #expect(throws: TensorError.self) { try attention([[0], [-1]]) }
    #expect(throws: TensorError.self) { try attention([[0], [1]], heads: 3) }
    #expect(throws: TensorError.self) { try attention([[0], [1]], heads: 0) }
    #expect(throws: TensorError.self) { try attention([[0], [1]], values: try Tensor(zeros: [1, 4, 8])) }
    #expect(throws: TensorError.self) { try attention([[0], [1]], values: try Tensor(zeros: [2, 3, 8])) }
  }
}
