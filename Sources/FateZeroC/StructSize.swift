import FateZero

/// The rule by which structures grow: fields are only added at the end, and zero means "not set" in those that are.
enum StructSize {
  /// No structure is this large: a size above it was never set.
  static let limit = 4096

  /// Whether `size` can be that of a structure of the caller's that has at least `least` bytes.
  static func isPossible(_ size: Int, atLeast least: Int) -> Bool {
    size >= least && size <= limit && size % MemoryLayout<Int>.alignment == 0
  }

  /// The caller's structure as this library knows it: `value` where the caller's ends earlier.
  /// - Throws: `Failure` for a size that cannot be, or for a later version's fields that are set.
  static func read<Value: BitwiseCopyable>(
    _ pointer: UnsafePointer<Value>?, over value: Value, named name: String, atLeast least: Int
  ) throws -> Value {
    guard let pointer else { throw Failure.argument("\(name) is null") }
    let base = UnsafeRawPointer(pointer)
    guard UInt(bitPattern: base) % UInt(MemoryLayout<Value>.alignment) == 0 else {
      throw Failure.argument("\(name) lies at an address that is no multiple of \(MemoryLayout<Value>.alignment)")
    }
    let size = base.load(as: Int.self)
    guard isPossible(size, atLeast: least) else {
      throw Failure.argument("\(name)->struct_size is \(UInt(bitPattern: size)); set it to sizeof of the structure")
    }
    let known = MemoryLayout<Value>.size
    if size > known, UnsafeRawBufferPointer(start: base + known, count: size - known).contains(where: { $0 != 0 }) {
      throw Failure.argument(
        "\(name) sets fields that came after version \(Version.text) of the library, which is running; leave them zero "
          + "or install a later one")
    }
    var result = value
    withUnsafeMutableBytes(of: &result) { target in
      target.copyMemory(from: UnsafeRawBufferPointer(start: base, count: min(size, known)))
    }
    return result
  }
}
