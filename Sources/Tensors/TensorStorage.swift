import Glibc

/// The bytes behind one or more tensors: memory of our own, 64-byte aligned, or a mapped file.
final class TensorStorage: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  private let owner: Owner

  private enum Owner {
    case own
    case pool(MemoryPool, MemoryPool.Block)
    case file(MappedFile)
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

  /// A view of a file. Never written to: tensors are values.
  init(mapping file: MappedFile) {
    base = UnsafeMutableRawPointer(mutating: file.base)
    byteCount = file.byteCount
    owner = .file(file)
  }

  var isMapped: Bool {
    if case .file = owner { true } else { false }
  }

  /// Lets go of the pages of a mapped file that lie wholly or in part within `range`; they are read again when touched.
  func releasePages(_ range: Range<Int>) {
    guard case .file(let file) = owner else { return }
    file.releasePages(range)
  }

  deinit {
    switch owner {
    case .own: MemoryPool.release(base, byteCount: byteCount)
    case .pool(let pool, let block): pool.give(block)
    case .file: break
    }
  }
}
