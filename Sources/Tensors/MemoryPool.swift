import Glibc
import Synchronization

/// Blocks that finished tensors leave behind, kept for the next tensor of the same size. The passes of a UNet ask for
/// the same sizes again and again; without the pool each would be mapped, cleared and unmapped by the system.
final class MemoryPool: Sendable {
  private struct Block: @unchecked Sendable { let base: UnsafeMutableRawPointer }
  private let free = Mutex<[Int: [Block]]>([:])

  func take(_ byteCount: Int) throws -> UnsafeMutableRawPointer {
    if let block = free.withLock({ $0[byteCount]?.popLast() }) { return block.base }
    return try MemoryPool.allocate(byteCount)
  }

  func give(_ base: UnsafeMutableRawPointer, byteCount: Int) {
    let block = Block(base: base)
    free.withLock { $0[byteCount, default: []].append(block) }
  }

  /// Returns all kept blocks to the system.
  func trim() {
    let kept = free.withLock { kept in
      defer { kept = [:] }
      return kept
    }
    for (byteCount, blocks) in kept {
      for block in blocks { MemoryPool.release(block.base, byteCount: byteCount) }
    }
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
