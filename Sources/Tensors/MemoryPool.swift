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
    let blocks = free.withLock { kept in
      defer { kept = [:] }
      return kept.values.flatMap { $0 }
    }
    for block in blocks { Glibc.free(block.base) }
  }

  deinit { trim() }

  static func allocate(_ byteCount: Int) throws -> UnsafeMutableRawPointer {
    var base: UnsafeMutableRawPointer?
    guard byteCount >= 0, posix_memalign(&base, 64, max(byteCount, 64)) == 0, let base else {
      throw TensorError("the system has no memory for a block of \(byteCount) bytes", isOutOfMemory: true)
    }
    return base
  }
}
