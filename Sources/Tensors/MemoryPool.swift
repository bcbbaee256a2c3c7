import Glibc
import Synchronization

/// Blocks that finished tensors leave behind, kept for the next tensors. The passes of a UNet ask for the same sizes again
/// and again; without the pool each would be mapped, cleared and unmapped by the system.
final class MemoryPool: Sendable {
  struct Block: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
  }

  private struct State {
    /// Of large blocks.
    var stretches: [MemoryStretch] = []
    /// Small ones, the smallest first.
    var free: [Block] = []
    /// Of all small blocks, in use or free.
    var byteCount = 0
  }

  private let state = Mutex(State())

  /// Bytes of the blocks in use and of those kept.
  var byteCount: Int {
    state.withLock { state in state.stretches.reduce(state.byteCount) { $0 + $1.layout.held } }
  }

  /// A block of at least so many bytes. Of the small ones one that is up to twice as large serves as well.
  func take(_ byteCount: Int) throws -> Block {
    try state.withLock { state in
      if byteCount >= MemoryPool.mappedByteCount {
        for index in state.stretches.indices {
          if let block = try state.stretches[index].take(byteCount) { return block }
        }
        var stretch = try MemoryStretch(atLeast: byteCount)
        defer { state.stretches.append(stretch) }
        guard let block = try stretch.take(byteCount) else { throw MemoryPool.refused(byteCount) }
        return block
      }
      let index = MemoryPool.position(of: byteCount, in: state.free, size: \.byteCount)
      if index < state.free.count, state.free[index].byteCount / 2 <= byteCount { return state.free.remove(at: index) }
      let made = Block(base: try MemoryPool.allocate(byteCount), byteCount: byteCount)
      state.byteCount += byteCount
      return made
    }
  }

  func give(_ block: Block) {
    state.withLock { state in
      if let index = state.stretches.firstIndex(where: { $0.holds(block) }) {
        state.stretches[index].give(block)
      } else {
        state.free.insert(block, at: MemoryPool.position(of: block.byteCount, in: state.free, size: \.byteCount))
      }
    }
  }

  /// Of the first block that is not smaller.
  static func position<Kept, Size: Comparable>(of byteCount: Size, in blocks: [Kept], size: (Kept) -> Size) -> Int {
    var (low, high) = (0, blocks.count)
    while low < high {
      let middle = (low + high) / 2
      if size(blocks[middle]) < byteCount { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Returns all kept blocks to the system.
  func trim() {
    state.withLock { state in
      for block in state.free {
        MemoryPool.release(block.base, byteCount: block.byteCount)
        state.byteCount -= block.byteCount
      }
      state.free = []
      for index in state.stretches.indices { state.stretches[index].trim() }
      for stretch in state.stretches where stretch.layout.isUnused { stretch.unmap() }
      state.stretches.removeAll(where: \.layout.isUnused)
    }
  }

  deinit { trim() }

  // Large blocks are mapped: the heap would keep what lies between two that are still in use, gigabytes after an edit. In
  // huge pages, where the system has some: an operator walks through hundreds of megabytes.

  /// From how many bytes on a block is mapped.
  static let mappedByteCount = 1 << 20

  /// Memory that is 64-byte aligned and not cleared, for `release`.
  static func allocate(_ byteCount: Int) throws -> UnsafeMutableRawPointer {
    var base: UnsafeMutableRawPointer?
    if byteCount >= mappedByteCount {
      base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      if base == MAP_FAILED {
        base = nil
      } else {
        madvise(base, byteCount, MADV_HUGEPAGE)
      }
    } else if byteCount >= 0 {
      posix_memalign(&base, 64, max(byteCount, 64))
    }
    guard let base else { throw refused(byteCount) }
    return base
  }

  static func release(_ base: UnsafeMutableRawPointer, byteCount: Int) {
    if byteCount >= mappedByteCount {
      munmap(base, byteCount)
    } else {
      Glibc.free(base)
    }
  }

  static func refused(_ byteCount: Int) -> TensorError {
    TensorError("the system has no memory for a block of \(byteCount) bytes", kind: .memory)
  }
}

/// Addresses for many blocks, most of them never used. The system is asked for the memory behind them when blocks reach so
/// far, and may refuse.
private struct MemoryStretch: @unchecked Sendable {
  private let base: UnsafeMutableRawPointer
  private let capacity: Int
  private(set) var layout: BlockLayout<Int>
  /// Bytes from the start that may be written.
  private var usable = 0

  /// More than a run needs; where addresses are limited (`ulimit -v`), no more than is needed.
  private static let capacity = 1 << 36
  /// What the system is asked for at a time.
  private static let step = 16 << 20

  init(atLeast byteCount: Int) throws {
    func reserve(_ byteCount: Int) -> UnsafeMutableRawPointer? {
      let base = mmap(nil, byteCount, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
      return base == MAP_FAILED ? nil : base
    }
    let least = MemoryStretch.padded(byteCount, to: MemoryStretch.step)
    var limit = rlimit()
    let isLimited = getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) != 0 || limit.rlim_cur < UInt(1) << 60
    let wanted = isLimited ? least : max(least, MemoryStretch.capacity)
    if let base = reserve(wanted) {
      (self.base, capacity) = (base, wanted)
    } else if let base = reserve(least) {
      (self.base, capacity) = (base, least)
    } else {
      throw MemoryPool.refused(byteCount)
    }
    madvise(base, capacity, MADV_HUGEPAGE)
    layout = BlockLayout(capacity: capacity)
  }

  /// nil where there is no room.
  /// - Throws: `TensorError` where the system refuses.
  mutating func take(_ byteCount: Int) throws -> MemoryPool.Block? {
    let count = MemoryStretch.padded(byteCount, to: 4096)
    guard let offset = layout.take(count) else { return nil }
    if offset + count > usable {
      let wanted = min(MemoryStretch.padded(offset + count, to: MemoryStretch.step), capacity)
      guard mprotect(base + usable, wanted - usable, PROT_READ | PROT_WRITE) == 0 else {
        layout.give(offset, count)
        throw MemoryPool.refused(byteCount)
      }
      usable = wanted
    }
    return MemoryPool.Block(base: base + offset, byteCount: count)
  }

  func holds(_ block: MemoryPool.Block) -> Bool { block.base >= base && block.base < base + capacity }

  mutating func give(_ block: MemoryPool.Block) { layout.give(block.base - base, block.byteCount) }

  mutating func trim() {
    for (offset, count) in layout.trim() { madvise(base + offset, min(count, usable - offset), MADV_DONTNEED) }
  }

  func unmap() { munmap(base, capacity) }

  private static func padded(_ count: Int, to multiple: Int) -> Int { (count + multiple - 1) / multiple * multiple }
}
