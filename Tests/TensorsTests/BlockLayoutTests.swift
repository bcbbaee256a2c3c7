import Testing

@testable import Tensors

/// Where a pool's blocks lie.
@Suite struct BlockLayoutTests {
  @Test func theLowestPlaceThatHasRoom() {
    var layout = BlockLayout(capacity: 100)
    #expect((0..<4).map { _ in layout.take(20) } == [0, 20, 40, 60])
    layout.give(20, 20)
    layout.give(60, 20)
    #expect(layout.take(30) == 60)
    #expect(layout.take(10) == 20)
    #expect(layout.take(11) == nil)
    #expect(layout.held == 90)
  }

  /// What neighbours leave is one gap, in whatever order they go.
  @Test(arguments: [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
  func gapsJoin(order: [Int]) {
    var layout = BlockLayout(capacity: 30)
    let offsets = (0..<3).compactMap { _ in layout.take(10) }
    for index in order { layout.give(offsets[index], 10) }
    #expect(layout.isUnused)
    #expect(layout.held == 30)
    #expect(layout.take(30) == 0)
  }

  @Test func whatIsTrimmedIsHeldNoMore() {
    var layout = BlockLayout(capacity: 1000)
    let offsets = (0..<3).compactMap { _ in layout.take(100) }
    layout.give(offsets[1], 100)
    let trimmed = layout.trim()
    #expect(trimmed.map(\.offset) == [100] && trimmed.map(\.count) == [100])
    #expect(layout.held == 200)
    #expect(layout.take(60) == 100)
    #expect(layout.held == 260)
    #expect(layout.trim().isEmpty)
  }

  /// Blocks in random order: none overlaps another, and a plan in floating point lays them out alike.
  @Test func noTwoOverlap() {
    var generator = Numbers(1)
    var layout = BlockLayout(capacity: Int.max / 2)
    var planned = BlockLayout(capacity: Double.infinity)
    var taken: [(offset: Int, count: Int)] = []
    for _ in 0..<5000 {
      if taken.isEmpty || Int.random(in: 0..<5, using: &generator) > 1 && taken.count < 60 {
        let count = Int.random(in: 1...1000, using: &generator)
        let offset = layout.take(count) ?? -1
        #expect(planned.take(Double(count)) == Double(offset))
        #expect(taken.allSatisfy { $0.offset + $0.count <= offset || offset + count <= $0.offset })
        taken.append((offset, count))
      } else {
        let (offset, count) = taken.remove(at: Int.random(in: 0..<taken.count, using: &generator))
        layout.give(offset, count)
        planned.give(Double(offset), Double(count))
      }
      #expect(Double(layout.held) == planned.held)
    }
    for (offset, count) in taken { layout.give(offset, count) }
    #expect(layout.isUnused)
  }
}
