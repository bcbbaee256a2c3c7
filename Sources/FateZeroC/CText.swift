import Glibc

/// A text that is handed to C: valid until it is replaced.
struct CText: ~Copyable {
  private var pointer: UnsafeMutablePointer<CChar>?

  /// "" where there is no memory for it.
  var base: UnsafePointer<CChar> { pointer.map { UnsafePointer($0) } ?? CText.empty }

  mutating func set(_ text: String) {
    free(pointer)
    pointer = text.isEmpty ? nil : strdup(text)
  }

  deinit { free(pointer) }

  static var empty: UnsafePointer<CChar> { constant("") }

  static func constant(_ text: StaticString) -> UnsafePointer<CChar> {
    UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
  }
}
