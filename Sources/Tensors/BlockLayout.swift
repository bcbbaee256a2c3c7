/// Where blocks lie in a stretch of memory: each at the lowest place that has room for it. A UNet's tensors, which come in
/// all sizes and go in another order than they came, then take little more together than those that live at once.
///
/// It also counts: what was once used stays with the process until it is trimmed. Generic, since what is merely planned may
/// have absurd sizes.
struct BlockLayout<Size: SignedNumeric & Comparable & Sendable>: Sendable {
  private struct Gap {
    var offset: Size
    var count: Size
    /// Of these bytes, those that were used before: the first ones.
    var held: Size
  }

  /// Lowest first; no two of them touch.
  private var gaps: [Gap]
  /// Bytes in use, and those that were before.
  private(set) var held: Size = 0
  private var used: Size = 0

  init(capacity: Size) { gaps = [Gap(offset: 0, count: capacity, held: 0)] }

  var isUnused: Bool { used == 0 }

  /// The offset of a block; nil where no gap has room.
  mutating func take(_ count: Size) -> Size? {
    guard let index = gaps.firstIndex(where: { $0.count >= count }) else { return nil }
    let offset = gaps[index].offset
    used += count
    held += max(0, count - gaps[index].held)
    if gaps[index].count == count {
      gaps.remove(at: index)
    } else {
      gaps[index].offset += count
      gaps[index].count -= count
      gaps[index].held = max(0, gaps[index].held - count)
    }
    return offset
  }

  /// A block that `take` gave.
  mutating func give(_ offset: Size, _ count: Size) {
    used -= count
    let index = MemoryPool.position(of: offset, in: gaps, size: \.offset)
    gaps.insert(Gap(offset: offset, count: count, held: count), at: index)
    if index + 1 < gaps.count { joinGap(index) }
    if index > 0 { joinGap(index - 1) }
  }

  /// Joins a gap and the next one where they touch.
  private mutating func joinGap(_ index: Int) {
    let next = gaps[index + 1]
    guard gaps[index].offset + gaps[index].count == next.offset else { return }
    gaps[index].count += next.count
    gaps[index].held += next.held
    gaps.remove(at: index + 1)
  }

  /// What is not in use is held no more.
  /// - Returns: The gaps that were held at least in part.
  mutating func trim() -> [(offset: Size, count: Size)] {
    let trimmed = gaps.filter { $0.held > 0 }.map { ($0.offset, $0.count) }
    for index in gaps.indices { gaps[index].held = 0 }
    held = used
    return trimmed
  }
}
