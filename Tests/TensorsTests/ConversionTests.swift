import Glibc
import Testing

@testable import Tensors

@Suite struct ConversionTests {
  /// A file with one byte in front, so that what follows is not aligned.
  private static func withFile<Result>(_ bytes: [UInt8], _ body: (RandomAccessFile) throws -> Result) throws -> Result {
    var path = Array("/tmp/fatezero-tensor-XXXXXX".utf8CString)
    let descriptor = mkstemp(&path)
    try #require(descriptor >= 0)
    defer { unlink(path) }
    let all = [0] + bytes
    try #require(write(descriptor, all, all.count) == all.count)
    close(descriptor)
    return try body(
      try RandomAccessFile(path: String(decoding: path.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)))
  }

  private static func bytes(_ patterns: [UInt16]) -> [UInt8] {
    patterns.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
  }

  /// Every one of the 65536 patterns, against the language's own conversion.
  @Test(arguments: [ElementType.float16, .bfloat16])
  func halvesFromAnUnalignedFile(_ type: ElementType) throws {
    let patterns = Array(UInt16.min...UInt16.max)
    try Self.withFile(Self.bytes(patterns)) { file in
      let stored = try StoredTensor(
        file, byteOffset: 1, shape: [256, 256], format: type == .float16 ? .float16 : .bfloat16)
      #expect(try stored.read().elementType == type)
      let device = try Device(threads: 2)
      for numbers in [try stored.read().floats, try device.float32(stored.read()).floats, try stored.first(1 << 16)] {
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
    try Self.withFile(Self.bytes(halves.map(\.bitPattern))) { file in
      let stored = try StoredTensor(file, byteOffset: 1, shape: [4, 6], format: .float16)
      let full = try Tensor(halves.map(Float.init), shape: [4, 6])
      let layer = try device.makeLinear(weight: .file(stored), bias: nil)
      let same = try device.makeLinear(weight: full, bias: nil)
      // The next layer's numbers pass through the same memory on their way.
      let other = try device.makeLinear(weight: .file(stored.rows(1..<3)), bias: nil)
      #expect(try device.linear(x, layer).floats == device.linear(x, same).floats)
      let part = try device.makeLinear(weight: full.rows(1..<3), bias: nil)
      #expect(try device.linear(x, other).floats == device.linear(x, part).floats)
      // As operands, stored numbers have to be converted first.
      #expect(throws: TensorError.self) { try device.add(stored.read(), full) }
      #expect(try device.add(device.float32(stored.read()), full).floats == full.floats.map { $0 + $0 })
      let rows = try device.gather(.file(stored), rows: [3, 1])
      #expect(rows.floats == Array(full.floats[18..<24] + full.floats[6..<12]))
    }
    let single = halves.map(Float.init)
    try Self.withFile(
      single.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) } }
    ) {
      let stored = try StoredTensor($0, byteOffset: 1, shape: [24], format: .float32)
      #expect(try stored.read().floats == single)
    }
  }

  /// Every byte, against PyTorch's numbers of some and the rule of neighbours for the rest.
  @Test func bytes() throws {
    try Self.withFile(Array(0...255)) { file in
      let four = try StoredTensor(file, byteOffset: 1, shape: [256], format: .float8E4M3).read().floats
      let five = try StoredTensor(file, byteOffset: 1, shape: [256], format: .float8E5M2).read().floats
      // torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn) and of float8_e5m2.
      for (byte, number) in [(0x01, 0.001953125), (0x07, 0.013671875), (0x08, 0.015625), (0x38, 1), (0x7e, 448)] {
        #expect(four[byte] == Float(number) && four[byte + 128] == -Float(number))
      }
      for (byte, number) in [(0x01, 1.52587890625e-05), (0x04, 6.103515625e-05), (0x3c, 1), (0x7b, 57344)] {
        #expect(five[byte] == Float(number) && five[byte + 128] == -Float(number))
      }
      #expect(four[0x7f].isNaN && four[0xff].isNaN && five[0x7c] == .infinity && five[0x7f].isNaN)
      for byte in 1..<0x7f { #expect(four[byte] > four[byte - 1]) }
      for byte in 1..<0x7c { #expect(five[byte] > five[byte - 1]) }
      let whole = try StoredTensor(file, byteOffset: 1, shape: [32], format: .int64).first(2)
      #expect(whole == [Float(0x0706_0504_0302_0100 as Int64), Float(0x0f0e_0d0c_0b0a_0908 as Int64)])
      #expect(try StoredTensor(file, byteOffset: 1 + 0x80, shape: [2], format: .int8).read().floats == [-128, -127])
    }
  }

  @Test func doublesAndScales() throws {
    let numbers = (0..<12).map { Double($0) / 7 - 0.8 }
    let bytes = numbers.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) } }
    try Self.withFile(bytes) { file in
      let stored = try StoredTensor(file, byteOffset: 1, shape: [3, 4], format: .float64)
      let want = numbers.map { Float($0) }
      #expect(try stored.read().floats == want)
      #expect(try stored.scaled(by: [2]).read().floats == want.map { $0 * 2 })
      let rows = stored.scaled(by: [1, 2, 3])
      #expect(try rows.read().floats == want.enumerated().map { $1 * Float($0 / 4 + 1) })
      #expect(try rows.rows(1..<3).read().floats == Array(want.enumerated().map { $1 * Float($0 / 4 + 1) }[4...]))
    }
  }

  /// A file that is cut short while it is in use is an error, wherever its numbers are asked for.
  @Test func aFileThatIsCut() throws {
    let device = try Device(threads: 2)
    try Self.withFile(Array(repeating: 0, count: 1 << 20)) { file in
      let stored = try StoredTensor(file, byteOffset: 1, shape: [512, 512], format: .float32)
      let convolution = try device.makeConvolution(
        weight: .file(stored.reshaped([64, 64, 8, 8])), bias: nil, padding: Padding(1))
      #expect(truncate(file.path, 100_000) == 0)
      func isOfFile(_ body: () throws -> Void) -> Bool {
        do { try body() } catch { return (error as? TensorError)?.kind == .file }
        return false
      }
      #expect(isOfFile { _ = try stored.read() })
      #expect(isOfFile { _ = try device.makeLinear(weight: .file(stored), bias: nil) })
      #expect(isOfFile { _ = try device.gather(.file(stored), rows: [511]) })
      #expect(isOfFile { try ContentDigest().add(file, 0..<1 << 20) })
      #expect(isOfFile { _ = try file.bytes(1 << 19..<1 << 20) })
      #expect(isOfFile { try file.checkUnchanged() })
      #expect(try device.gather(.file(stored), rows: [0]).floats.allSatisfy { $0 == 0 })
      _ = convolution
    }
  }

  /// Nothing waits for what has no end.
  @Test func filesThatAreNone() throws {
    let path = "/tmp/fatezero-fifo-\(getpid())"
    #expect(mkfifo(path, 0o600) == 0)
    defer { unlink(path) }
    for place in [path, "/tmp", "/dev/zero"] {
      #expect(throws: TensorError.self) { try RandomAccessFile(path: place) }
    }
  }
}
