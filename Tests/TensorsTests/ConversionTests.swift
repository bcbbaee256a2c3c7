import Glibc
import Testing

@testable import Tensors

@Suite struct ConversionTests {
  /// A file with one byte in front, so that what follows is not aligned.
  private static func withMapped<Result>(_ bytes: [UInt8], _ body: (MappedFile) throws -> Result) throws -> Result {
    var path = Array("/tmp/fatezero-tensor-XXXXXX".utf8CString)
    let descriptor = mkstemp(&path)
    try #require(descriptor >= 0)
    defer { unlink(path) }
    let all = [0] + bytes
    try #require(write(descriptor, all, all.count) == all.count)
    close(descriptor)
    return try body(try MappedFile(path: String(decoding: path.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)))
  }

  private static func bytes(_ patterns: [UInt16]) -> [UInt8] {
    patterns.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
  }

  /// Every one of the 65536 patterns, against the language's own conversion.
  @Test(arguments: [ElementType.float16, .bfloat16])
  func halvesFromAnUnalignedFile(_ type: ElementType) throws {
    let patterns = Array(UInt16.min...UInt16.max)
    try Self.withMapped(Self.bytes(patterns)) { file in
      let stored = try Tensor(mapping: file, byteOffset: 1, shape: [256, 256], elementType: type)
      let device = try Device(threads: 2)
      for numbers in [stored.floats, try device.float32(stored).floats] {
        for (pattern, number) in zip(patterns, numbers) {
          let expected =
            type == .float16 ? Float(Float16(bitPattern: pattern)) : Float(bitPattern: UInt32(pattern) << 16)
          if expected.isNaN {
            #expect(number.isNaN)
          } else if number.bitPattern != expected.bitPattern {
            Issue.record("\(type) \(pattern) gives \(number), not \(expected)")
          }
        }
      }
    }
  }

  @Test(arguments: Device.Engine.allCases)
  func layersTakeStoredWeights(_ engine: Device.Engine) throws {
    let device = try Device(engine: engine, threads: 2)
    var numbers = Numbers(13)
    let halves = (0..<24).map { _ in Float16.random(in: -1...1, using: &numbers) }
    let x = try numbers.tensor([4, 6])
    try Self.withMapped(Self.bytes(halves.map(\.bitPattern))) { file in
      let stored = try Tensor(mapping: file, byteOffset: 1, shape: [4, 6], elementType: .float16)
      let full = try Tensor(halves.map(Float.init), shape: [4, 6])
      let layer = try device.makeLinear(weight: stored, bias: nil)
      let same = try device.makeLinear(weight: full, bias: nil)
      // The next layer's numbers pass through the same memory on their way.
      let other = try device.makeLinear(weight: stored.rows(1..<3), bias: nil)
      #expect(try device.linear(x, layer).floats == device.linear(x, same).floats)
      let part = try device.makeLinear(weight: full.rows(1..<3), bias: nil)
      #expect(try device.linear(x, other).floats == device.linear(x, part).floats)
      // As operands, stored numbers have to be converted first.
      #expect(throws: TensorError.self) { try device.add(stored, full) }
      #expect(try device.add(device.float32(stored), full).floats == full.floats.map { $0 + $0 })
      let rows = try device.gather(stored, rows: [3, 1])
      #expect(rows.floats == Array(full.floats[18..<24] + full.floats[6..<12]))
    }
    let single = halves.map(Float.init)
    try Self.withMapped(
      single.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) } }
    ) {
      let stored = try Tensor(mapping: $0, byteOffset: 1, shape: [24], elementType: .float32)
      #expect(try device.float32(stored).floats == single)
      #expect(throws: TensorError.self) { try device.activate(stored, .silu) }
    }
  }
}
