import CKernels

extension Device {
  /// The last axes joined: (..., a), (..., b) -> (..., a+b).
  public func concatenateChannels(_ a: Tensor, _ b: Tensor) throws -> Tensor {
    try requireFloat32(a, b, in: "a concatenation")
    guard let left = a.shape.last, let right = b.shape.last, a.shape.dropLast() == b.shape.dropLast() else {
      throw TensorError("cannot join the channels of \(a.shape) and \(b.shape)")
    }
    return try run {
      let channels = left + right
      let y = try makeResult(Array(a.shape.dropLast()) + [channels])
      guard y.count > 0 else { return y }
      let (first, second, output) = (a.floatPointer, b.floatPointer, y.mutableFloatPointer)
      try parallel(count: y.count / channels, grain: Device.grain / channels) { rows in
        for row in rows {
          (output + row * channels).update(from: first + row * left, count: left)
          (output + row * channels + left).update(from: second + row * right, count: right)
        }
      }
      return y
    }
  }

  /// Joined along the first axis; all float32, or all factors.
  public func concatenate(_ parts: [Tensor]) throws -> Tensor {
    guard let shape = parts.first?.shape, !shape.isEmpty,
      parts.allSatisfy({ !$0.shape.isEmpty && $0.shape.dropFirst() == shape.dropFirst() })
    else { throw TensorError("cannot join \(parts.map(\.shape)) along the first axis") }
    let areFactors = parts.allSatisfy(holdsFactors)
    for part in parts where !areFactors { try requireFloat32(part, in: "a concatenation") }
    return try run {
      let joined = [parts.reduce(0) { $0 + $1.shape[0] }] + shape.dropFirst()
      let y = try makeResult(joined, asFactors: areFactors)
      var first = 0
      for part in parts {
        try copy(part, into: y.rows(first..<first + part.shape[0]))
        first += part.shape[0]
      }
      return y
    }
  }

  /// What `body` makes of pieces of at most `count` rows of x (..., c), (rows, d) each, joined -> (..., d): for the memory
  /// that it takes in between, which then is that of one piece.
  public func inPieces(_ x: Tensor, of count: Int, _ body: (Tensor) throws -> Tensor) throws -> Tensor {
    guard let channels = x.shape.last, channels > 0, count > 0 else {
      throw TensorError("\(x.shape) cannot be cut into pieces of \(count) rows")
    }
    return try run {
      let rows = x.count / channels
      let flat = x.reshaped([rows, channels])
      let pieces = (rows + count - 1) / count
      guard pieces > 1 else {
        let y = try body(flat)
        return y.reshaped(x.shape.dropLast() + [y.shape[1]])
      }
      var joined: Tensor?
      for piece in 0..<pieces {
        let range = piece * rows / pieces..<(piece + 1) * rows / pieces
        let part = try body(flat.rows(range))
        let y = try joined ?? makeResult(x.shape.dropLast() + [part.shape[1]])
        joined = y
        try copy(part, into: y.reshaped([rows, part.shape[1]]).rows(range))
      }
      return try joined ?? makeResult(x.shape)
    }
  }

  /// Rows of a (r, c) table of any element type -> (indices.count, c).
  public func gather(_ table: Tensor, rows: [Int]) throws -> Tensor {
    guard table.shape.count == 2, rows.allSatisfy((0..<table.shape[0]).contains) else {
      throw TensorError("a table of the shape \(table.shape) does not have all of the rows asked for")
    }
    return try run {
      let channels = table.shape[1]
      let y = try makeResult([rows.count, channels])
      for (position, row) in rows.enumerated() {
        convertToFloat(
          from: table.bytes + row * channels * table.elementType.byteCount, type: table.elementType,
          into: y.mutableFloatPointer + position * channels, count: channels)
      }
      return y
    }
  }

  /// The same of a table that may lie in a file, of which only these rows are read.
  public func gather(_ table: Weights, rows: [Int]) throws -> Tensor {
    let stored: StoredTensor
    switch table {
    case .memory(let tensor): return try gather(tensor, rows: rows)
    case .file(let file): stored = file
    }
    guard stored.shape.count == 2, rows.allSatisfy((0..<stored.shape[0]).contains) else {
      throw TensorError("a table of the shape \(stored.shape) does not have all of the rows asked for")
    }
    return try run {
      let channels = stored.shape[1]
      let y = try makeResult([rows.count, channels])
      for (position, row) in rows.enumerated() {
        let numbers = row * channels..<(row + 1) * channels
        try stored.read(numbers, into: y.mutableFloatPointer + position * channels)
      }
      return y
    }
  }

  /// (a, b, c, d) -> (a, c, b, d).
  public func swapMiddleAxes(_ x: Tensor) throws -> Tensor {
    try requireFloat32(x, in: "a transposition")
    guard x.shape.count == 4 else { throw TensorError("\(x.shape) does not have four axes") }
    return try run {
      let (inner, outer, length) = (x.shape[1], x.shape[2], x.shape[3])
      let y = try makeResult([x.shape[0], outer, inner, length])
      guard x.count > 0 else { return y }
      let (input, output) = (x.floatPointer, y.mutableFloatPointer)
      let piece = max(Device.grain / (inner * length), 1)
      let pieces = (outer + piece - 1) / piece
      try parallel(x.shape[0] * pieces, operations: 8 * x.count) { item, _ in
        let start = item / pieces * inner * outer * length
        let first = item % pieces * piece
        kernel_swap(input + start, output + start, outer, inner, length, first, min(piece, outer - first))
      }
      return y
    }
  }

  /// A part of each image: (n, h, w, c) -> (n, rows.count, columns.count, c).
  public func crop(_ x: Tensor, rows: Range<Int>, columns: Range<Int>) throws -> Tensor {
    try requireFloat32(x, in: "a cut")
    guard x.shape.count == 4, rows.lowerBound >= 0, rows.upperBound <= x.shape[1], columns.lowerBound >= 0,
      columns.upperBound <= x.shape[2]
    else {
      throw TensorError("images of the shape \(x.shape) do not have the rows \(rows) and columns \(columns)")
    }
    let (height, width, channels) = (x.shape[1], x.shape[2], x.shape[3])
    return try run {
      let y = try makeResult([x.shape[0], rows.count, columns.count, channels])
      guard y.count > 0 else { return y }
      let (input, output) = (x.floatPointer, y.mutableFloatPointer)
      let length = columns.count * channels
      try parallel(count: x.shape[0] * rows.count, grain: 4 * Device.grain / length) { lines in
        for line in lines {
          let source = line / rows.count * height + rows.lowerBound + line % rows.count
          (output + line * length).update(from: input + (source * width + columns.lowerBound) * channels, count: length)
        }
      }
      return y
    }
  }

  /// Nearest neighbour, source index floor(i * h / rows): (n, h, w, c) -> (n, rows, columns, c).
  public func upsampleNearest(_ x: Tensor, rows: Int, columns: Int) throws -> Tensor {
    try requireFloat32(x, in: "a resize")
    guard x.shape.count == 4, rows > 0, columns > 0, x.shape[1] > 0, x.shape[2] > 0, x.shape[2] <= Int(Int32.max) else {
      throw TensorError("cannot resize images of the shape \(x.shape) to \(rows)x\(columns)")
    }
    let (height, width, channels) = (x.shape[1], x.shape[2], x.shape[3])
    return try run {
      let y = try makeResult([x.shape[0], rows, columns, channels])
      let (input, output) = (x.floatPointer, y.mutableFloatPointer)
      let sources = (0..<columns).map { Int32($0 * width / columns) }
      try sources.withUnsafeBufferPointer { sources in
        try parallel(count: x.shape[0] * rows, grain: Device.grain / max(columns * channels, 1)) { lines in
          for line in lines {
            let source = line / rows * height + line % rows * height / rows
            kernel_gather_pixels(
              input + source * width * channels, sources.baseAddress, output + line * columns * channels, columns,
              channels)
          }
        }
      }
      return y
    }
  }
}
