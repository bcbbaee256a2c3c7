/// How targets cut an input into what they need.
extension [UInt8] {
  /// What stands between zero bytes, at most so many parts; the last one holds the rest.
  func parts(atMost count: Int) -> [[UInt8]] {
    split(separator: 0, maxSplits: count - 1, omittingEmptySubsequences: false).map(Array.init)
  }

  /// As UTF-8, repaired.
  var text: String { String(decoding: self, as: UTF8.self) }

  init(littleEndian value: Int, count: Int) {
    self = (0..<count).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }

  init(bigEndian value: UInt64) { self = (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - $0 * 8)) } }
}
