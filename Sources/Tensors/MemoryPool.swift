import Glibc
import Synchronization

/// Blocks that finished tensors leave behind, kept for the next tensor of about that size. The passes of a UNet ask for
/// the same sizes again and again; without the pool each would be mapped, cleared and unmapped by the system.
final class MemoryPool: Sendable {
  struct Block: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
  }

  private struct State {
    /// Smallest first.
    var free: [Block] = []
    /// Of all blocks, in use or free.
    var byteCount = 0
  }

  private let state = Mutex(State())

  /// Bytes of the blocks in use and of those kept.
  var byteCount: Int { state.withLock(\.byteCount) }

  /// A block of at least so many bytes. The levels of a UNet ask in turn: a block that is up to twice as large serves as
  /// well, or each level would leave its own behind.
  func take(_ byteCount: Int) throws -> Block {
    let found = state.withLock { state -> Block? in
      let index = MemoryPool.position(of: byteCount, in: state.free, size: \.byteCount)
      guard index < state.free.count, state.free[index].byteCount / 2 <= byteCount else { return nil }
      return state.free.remove(at: index)
    }
    if let found { return found }
    let made = Block(base: try MemoryPool.allocate(byteCount), byteCount: byteCount)
    state.withLock { $0.byteCount += byteCount }
    return made
  }

  func give(_ block: Block) {
    state.withLock {
      $0.free.insert(block, at: MemoryPool.position(of: block.byteCount, in: $0.free, size: \.byteCount))
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
    let blocks = state.withLock { state in
      defer { state.free = [] }
      state.byteCount -= state.free.reduce(0) { $0 + $1.byteCount }
      return state.free
    }
    for block in blocks { MemoryPool.release(block.base, byteCount: block.byteCount) }
  }

  deinit { trim() }

  // Large blocks are mapped one by one: the heap would keep what lies between two that are still in use, gigabytes after an
  // edit. In huge pages, where the system has some: an operator walks through hundreds of megabytes.

  /// From how many bytes on a block is mapped.
  private static let mappedByteCount = 1 << 20

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
    guard let base else {
      throw TensorError("the system has no memory for a block of \(byteCount) bytes", isOutOfMemory: true)
    }
    return base
  }

  static func release(_ base: UnsafeMutableRawPointer, byteCount: Int) {
    if byteCount >= mappedByteCount {
      munmap(base, byteCount)
    } else {
      Glibc.free(base)
    }
  }
}
