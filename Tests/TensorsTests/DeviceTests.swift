import Glibc
import Synchronization
import Testing

@testable import Tensors

@Suite struct DeviceTests {
  @Test func threadCounts() throws {
    #expect(try Device(threads: 3).threads == 3)
    #expect(try Device().threads >= 1)
    #expect(throws: TensorError.self) { try Device(threads: -1) }
    #expect(throws: TensorError.self) { try Device(threads: 1025) }
  }

  /// All operators that reduce or share out work, on sizes that make several pieces; twice on one device, once on
  /// another.
  @Test(arguments: Configuration.all)
  func sameBytesEveryTime(_ configuration: Configuration) throws {
    func results() throws -> [[Float]] {
      let device = try configuration.device()
      var numbers = Numbers(14)
      let x = try numbers.tensor([2, 24, 25, 64])
      let convolution = try device.makeConvolution(
        weight: try numbers.tensor([64, 64, 3, 3]), bias: nil, padding: Padding(1))
      let linear = try device.makeLinear(weight: try numbers.tensor([96, 64]), bias: nil)
      let weight = try numbers.tensor([64])
      let tokens = x.reshaped([2, 600, 64])
      let operands = AttentionOperands(queries: tokens, keys: tokens, keyFrames: [[0, 1], [1, 1]])
      func once() throws -> [[Float]] {
        [
          try device.convolution(x, convolution, adding: x), try device.linear(x, linear, activation: .gelu),
          try device.groupNorm(x, groups: 8, framesPerStatistic: 2, weight: weight, bias: weight, epsilon: 1e-5),
          try device.layerNorm(x, weight: weight, bias: weight, epsilon: 1e-5), try device.softmax(x),
          try device.attention(operands, values: tokens, heads: 4, scale: 0.25),
        ].map(\.floats)
      }
      let first = try once()
      #expect(try once() == first)
      return first
    }
    #expect(try results() == results())
  }

  @Test(arguments: Configuration.all)
  func notANumberIsCarriedThrough(_ configuration: Configuration) throws {
    let device = try configuration.device()
    var numbers = Numbers(15)
    var values = try numbers.tensor([1, 8, 8, 32]).floats
    let clean = try Tensor(values, shape: [1, 8, 8, 32])
    let linear = try device.makeLinear(weight: try numbers.tensor([32, 32]), bias: nil)
    let convolution = try device.makeConvolution(
      weight: try numbers.tensor([32, 32, 3, 3]), bias: nil, padding: Padding(1))
    let ones = try Tensor(Array(repeating: 1, count: 32), shape: [32])
    for bad in [Float.nan, .infinity] {
      values[37] = bad
      let x = try Tensor(values, shape: [1, 8, 8, 32])
      let tokens = x.reshaped([1, 64, 32])
      let cleanTokens = clean.reshaped([1, 64, 32])
      func attention(_ queries: Tensor, _ keys: Tensor, _ values: Tensor) throws -> Tensor {
        try device.attention(
          AttentionOperands(queries: queries, keys: keys, keyFrames: [[0]]), values: values, heads: 2, scale: 0.25)
      }
      let results: [(String, Tensor)] = [
        ("linear", try device.linear(x, linear)), ("linear, gelu", try device.linear(x, linear, activation: .gelu)),
        ("linear, silu", try device.linear(x, linear, activation: .silu)),
        ("convolution", try device.convolution(x, convolution)),
        ("group norm", try device.groupNorm(x, groups: 4, weight: ones, bias: ones, epsilon: 1e-5)),
        ("layer norm", try device.layerNorm(x, weight: ones, bias: ones, epsilon: 1e-5)),
        ("silu", try device.activate(x, .silu)), ("gelu", try device.activate(x, .gelu)),
        ("softmax", try device.softmax(x)), ("geglu", try device.geglu(x)),
        ("queries", try attention(tokens, cleanTokens, cleanTokens)),
        ("values", try attention(cleanTokens, cleanTokens, tokens)),
        ("added", try device.linear(clean, linear, adding: x)),
        ("convolution, added", try device.convolution(clean, convolution, adding: x)),
      ]
      for (name, result) in results {
        #expect(result.floats.contains { !$0.isFinite }, "\(name) of \(bad)")
      }
    }
    // A key that is not a number spoils every query; one that is infinite may rightly get no share.
    values[37] = .nan
    let tokens = try Tensor(values, shape: [1, 64, 32])
    let cleanTokens = clean.reshaped([1, 64, 32])
    let operands = AttentionOperands(queries: cleanTokens, keys: tokens, keyFrames: [[0]])
    let attended = try device.attention(operands, values: cleanTokens, heads: 2, scale: 0.25).floats
    #expect(attended.indices.allSatisfy { $0 % 32 >= 16 || attended[$0].isNaN })
  }

  @Test func cancellationStopsOperators() throws {
    let device = try Device(threads: 2)
    let x = try Tensor(zeros: [4, 4])
    let cancellation = Cancellation()
    try device.perform(cancellation: cancellation) {
      _ = try device.add(x, x)
      try device.perform { try device.checkCancellation() }
      cancellation.request()
      #expect(throws: CancellationRequested.self) { try device.add(x, x) }
      // A nested call is under the outer cancellation too.
      #expect(throws: CancellationRequested.self) {
        try device.perform(cancellation: Cancellation()) { try device.add(x, x) }
      }
      #expect(throws: CancellationRequested.self) { try device.checkCancellation() }
    }
    _ = try device.add(x, x)
    try device.checkCancellation()
  }

  @Test func cancellationStopsAttentionOnTheWay() throws {
    let device = try Device(threads: 2)
    let cancellation = Cancellation()
    let tokens = try Tensor(zeros: [1, 64, 8])
    // More frames than could be done before the request is seen: the loop looks between its tiles.
    let frames = 200_000
    let queries = try Tensor(zeros: [frames, 1, 8])
    let operands = AttentionOperands(queries: queries, keys: tokens, keyFrames: Array(repeating: [0], count: frames))
    #expect(throws: CancellationRequested.self) {
      try device.perform(cancellation: cancellation) {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(cancellation).toOpaque()
        pthread_create(
          &thread, nil,
          { context in
            usleep(5000)
            if let context { Unmanaged<Cancellation>.fromOpaque(context).takeRetainedValue().request() }
            return nil
          }, context)
        defer { pthread_join(thread, nil) }
        while true { _ = try device.attention(operands, values: tokens, heads: 1, scale: 1) }
      }
    }
  }

  @Test func callersTakeTurns() async throws {
    let device = try Device(threads: 2)
    final class Counter: Sendable {
      let inside = Atomic<Int>(0), most = Atomic<Int>(0)
      func visit() {
        most.max(inside.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
        usleep(2000)
        inside.subtract(1, ordering: .relaxed)
      }
    }
    let counter = Counter()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 { group.addTask { try device.perform { counter.visit() } } }
      try await group.waitForAll()
    }
    #expect(counter.most.load(ordering: .relaxed) == 1)
  }

  @Test func memoryIsUsedAgain() throws {
    let device = try Device(threads: 1)
    let x = try Tensor(zeros: [1000])
    let first = try device.add(x, x).floatPointer
    #expect(try device.add(x, x).floatPointer == first)
    device.trimMemory()
    #expect(try device.add(x, x).floats == x.floats)
  }

  /// Large blocks of many sizes in one stretch, of which what is trimmed is cleared and the rest is kept.
  @Test func largeBlocksKeepTheirNumbers() throws {
    let device = try Device(threads: 1)
    func made(_ count: Int, _ value: Float) throws -> Tensor {
      try device.add(try Tensor([Float](repeating: value, count: count), shape: [count]), try Tensor(zeros: [count]))
    }
    let kept = try (1...6).map { try made($0 * 300_000, Float($0)) }
    for round in 0..<3 {
      let others = try (1...6).map { try made((7 - $0) * 290_000 + round, -Float($0)) }
      for (index, other) in others.enumerated() { #expect(other.floats.allSatisfy { $0 == -Float(index + 1) }) }
      device.trimMemory()
    }
    for (index, tensor) in kept.enumerated() { #expect(tensor.floats.allSatisfy { $0 == Float(index + 1) }) }
    withExtendedLifetime(kept) {}
  }
}
