import Glibc

/// The bytes behind one or more tensors: memory of its own or of a pool, 64-byte aligned.
final class TensorStorage: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  private let owner: Owner

  private enum Owner {
    case own
    case pool(MemoryPool, MemoryPool.Block)
  }

  /// Memory of its own, not cleared. Throws where the system has none left.
  init(byteCount: Int) throws {
    base = try MemoryPool.allocate(byteCount)
    self.byteCount = byteCount
    owner = .own
  }

  /// Memory from a pool, given back to it at the end.
  init(byteCount: Int, pool: MemoryPool) throws {
    let block = try pool.take(byteCount)
    base = block.base
    self.byteCount = byteCount
    owner = .pool(pool, block)
  }

  deinit {
    switch owner {
    case .own: MemoryPool.release(base, byteCount: byteCount)
    case .pool(let pool, let block): pool.give(block)
    }
  }
}
