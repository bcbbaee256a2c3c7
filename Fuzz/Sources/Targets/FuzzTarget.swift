/// Something that reads what strangers wrote. It may refuse an input with an error, but must neither trap nor hang, take
/// much memory nor break its promises, whatever the input is.
protocol FuzzTarget {
  /// As `make fuzz` and the folder of its corpus call it.
  static var name: String { get }
  /// Bytes of an input, at most: longer ones take longer and find no more.
  static var maximumLength: Int { get }

  /// Makes what all inputs share.
  /// - Parameter scratch: For the files that inputs become.
  init(scratch: ScratchFolder) throws

  /// - Throws: `BrokenPromise`; what is wrong with the input is no error here.
  func run(_ input: [UInt8]) throws
}

/// What holds for every input, and did not for this one.
struct BrokenPromise: Error, CustomStringConvertible {
  let description: String
}

/// - Throws: `BrokenPromise` unless `holds`.
func promise(_ holds: Bool, _ description: @autoclosure () -> String) throws {
  if !holds { throw BrokenPromise(description: description()) }
}
