import CKernels

extension Device {
  /// softmax(Q K^T * scale) V, each head by itself -> (n, q, heads*d), as factors. values (m, k, heads*d) are read by the
  /// same lists as the keys. `causal`: key j of a frame only for queries i >= j.
  ///
  /// No map is kept: a tile of queries meets the keys piece by piece (Dao et al. 2022, arXiv:2205.14135).
  public func attention(
    _ operands: AttentionOperands, values: Tensor, heads: Int, scale: Float, causal: Bool = false
  ) throws -> Tensor {
    let extents = try AttentionExtents(
      operands, values: values, valueFrames: operands.keyFrames, heads: heads, precision: precision)
    return try run {
      let result = try makeResult(operands.queries.shape, asFactors: true)
      try attend(
        operands, values: values, valueFrames: operands.keyFrames, extents: extents, scale: scale, causal: causal,
        rows: extents.allRows, shares: nil, into: result)
      return result
    }
  }

  /// softmax(Q K^T * scale) -> (n, heads, q, k * keyFrames[i].count), float32; all lists of key frames are of one length.
  public func attentionMaps(_ operands: AttentionOperands, heads: Int, scale: Float) throws -> Tensor {
    try requireFactors(operands.queries, in: "attention")
    try requireFactors(operands.keys, in: "attention")
    var operands = operands
    (operands.queries, operands.keys) = (try float32(operands.queries), try float32(operands.keys))
    let extents = try AttentionExtents(operands, heads: heads)
    let lists = operands.keyFrames.map(\.count)
    guard let list = lists.first, lists.allSatisfy({ $0 == list }) else {
      throw TensorError("attention maps need lists of key frames of one length, not \(lists)")
    }
    return try run {
      let columns = list * extents.keyTokens
      let maps = try makeResult([extents.frames, heads, extents.queryTokens, columns])
      try parallel(
        tiles: extents.tiles(of: extents.allRows), columns: columns, channels: extents.channels
      ) { tile, _ in
        let first = (tile.frame * heads + tile.head) * extents.queryTokens + tile.first
        let output = maps.mutableFloatPointer + first * columns
        for (position, keyFrame) in operands.keyFrames[tile.frame].enumerated() {
          try matrices.multiply(
            MatrixProduct(
              rows: tile.count, columns: extents.keyTokens, depth: extents.channels, alpha: scale,
              a: extents.query(operands.queries, tile.frame, tile.first, tile.head), aStride: extents.width,
              b: extents.key(operands.keys, keyFrame, 0, tile.head), bStride: extents.width, transposesB: true, beta: 0,
              c: output + position * extents.keyTokens, cStride: columns))
        }
        kernel_softmax(output, tile.count, columns)
      }
      return maps
    }
  }

  /// maps (n, heads, q, K) times values (m, k, heads*d), read by `valueFrames`, each of K / k frames -> (n, q,
  /// heads*d), float32.
  public func apply(maps: Tensor, values: Tensor, valueFrames: [[Int]], heads: Int) throws -> Tensor {
    try requireFloat32(maps, in: "attention")
    try requireFactors(values, in: "attention")
    let values = try float32(values)
    guard maps.shape.count == 4, maps.shape[1] == heads, heads > 0, maps.shape[0] == valueFrames.count else {
      throw TensorError("\(maps.shape) are not the maps of \(heads) heads for \(valueFrames.count) frames")
    }
    guard values.shape.count == 3, values.shape[1] > 0, values.shape[2] > 0, values.shape[2] % heads == 0,
      valueFrames.allSatisfy({ list in
        list.allSatisfy((0..<values.shape[0]).contains) && list.count * values.shape[1] == maps.shape[3]
      }), maps.shape[3] > 0
    else { throw TensorError("maps \(maps.shape) do not fit the values \(values.shape) of the frames \(valueFrames)") }
    return try run {
      let extents = AttentionExtents(
        frames: maps.shape[0], queryTokens: maps.shape[2], keyTokens: values.shape[1], heads: heads,
        channels: values.shape[2] / heads)
      let columns = maps.shape[3]
      let result = try makeResult([extents.frames, extents.queryTokens, extents.width])
      try parallel(
        tiles: extents.tiles(of: extents.allRows), columns: columns, channels: extents.channels
      ) { tile, _ in
        let first = (tile.frame * heads + tile.head) * extents.queryTokens + tile.first
        for (position, valueFrame) in valueFrames[tile.frame].enumerated() {
          try matrices.multiply(
            MatrixProduct(
              rows: tile.count, columns: extents.channels, depth: extents.keyTokens,
              a: maps.floatPointer + first * columns + position * extents.keyTokens, aStride: columns,
              b: extents.key(values, valueFrame, 0, tile.head), bStride: extents.width, beta: position == 0 ? 0 : 1,
              c: extents.result(result, tile.frame, tile.first, tile.head), cStride: extents.width))
        }
      }
      return result
    }
  }

  /// The rows of two attention maps mixed, then applied to one set of values: (M A + (1-M) S) V, as factors, with
  /// M = ownShare, a number in 0...1 for each of the n*q query rows.
  ///
  /// Rows with share 1 compute only `own`, with share 0 only `source`. own.keyFrames also read `values`;
  /// source.keyFrames[i] must be as long as own.keyFrames[i].
  public func blendedAttention(
    own: AttentionOperands, source: AttentionOperands, ownShare: [Float], values: Tensor, heads: Int, scale: Float
  ) throws -> Tensor {
    let valueFrames = own.keyFrames
    let extents = try AttentionExtents(
      own, values: values, valueFrames: valueFrames, heads: heads, precision: precision)
    guard
      try AttentionExtents(source, values: values, valueFrames: valueFrames, heads: heads, precision: precision)
        == extents
    else {
      throw TensorError("queries \(source.queries.shape) cannot stand in for \(own.queries.shape)")
    }
    let queries = extents.queryTokens
    guard ownShare.count == extents.frames * queries, ownShare.allSatisfy({ 0...1 ~= $0 }) else {
      throw TensorError("blended attention needs \(extents.frames * queries) shares from 0 to 1, not \(ownShare.count)")
    }
    return try run {
      let result = try makeResult(own.queries.shape)
      func rows(_ belongs: (Float) -> Bool) -> [[Int]] {
        (0..<extents.frames).map { frame in (0..<queries).filter { belongs(ownShare[frame * queries + $0]) } }
      }
      try attend(
        own, values: values, valueFrames: valueFrames, extents: extents, scale: scale, causal: false,
        rows: rows { $0 > 0 }, shares: nil, into: result)
      try attend(
        source, values: values, valueFrames: valueFrames, extents: extents, scale: scale, causal: false,
        rows: rows { $0 < 1 }, shares: ownShare, into: result)
      return try rounded(result)
    }
  }

  /// matrix (k, k) times values (m, k, c) along the tokens -> (m, k, c).
  public func mixTokens(_ matrix: Tensor, _ values: Tensor) throws -> Tensor {
    try requireFloat32(matrix, values, in: "a product")
    guard values.shape.count == 3, matrix.shape == [values.shape[1], values.shape[1]] else {
      throw TensorError("a matrix \(matrix.shape) cannot mix the tokens of \(values.shape)")
    }
    return try run {
      let result = try makeResult(values.shape)
      guard result.count > 0 else { return result }
      let (tokens, channels) = (values.shape[1], values.shape[2])
      let tileRows = AttentionExtents.tileRows
      let tiles = (tokens + tileRows - 1) / tileRows
      try parallel(values.shape[0] * tiles, operations: 2 * tokens * values.count) { item, _ in
        let start = item / tiles * tokens * channels
        let first = item % tiles * tileRows
        try matrices.multiply(
          MatrixProduct(
            rows: min(tileRows, tokens - first), columns: channels, depth: tokens,
            a: matrix.floatPointer + first * tokens, aStride: tokens, b: values.floatPointer + start,
            bStride: channels, beta: 0, c: result.mutableFloatPointer + start + first * channels, cStride: channels))
      }
      return result
    }
  }
}

// MARK: - Tiles

/// The extents of one attention layer.
struct AttentionExtents: Equatable {
  var frames: Int
  /// Tokens of one frame.
  var queryTokens, keyTokens: Int
  var heads: Int
  /// Of one head.
  var channels: Int

  /// Floats from token to token.
  var width: Int { heads * channels }

  /// Rows of a map that are handled together.
  static let tileRows = 64
}

/// Where a worker keeps what it needs for one tile: offsets in floats. Lines of the cache are not shared.
struct AttentionWorkspace {
  let queries, keys, values, logits, maxima, sums, accumulators: Int
  let count: Int
  /// Keys that a tile meets at a time.
  let pieceColumns: Int
  let channelStride: Int

  /// Queries that share the work of packing keys and values.
  static let tileRows = 512
  /// Floats of the keys of one piece: with the values of as many they stay in a core's second-level cache.
  private static let pieceCount = 32768

  init(_ extents: AttentionExtents) {
    func padded(_ count: Int, _ multiple: Int) -> Int { (count + multiple - 1) / multiple * multiple }
    let panel = Int(KERNEL_ATTENTION_COLUMNS)
    let block = Int(KERNEL_ATTENTION_ROWS)
    channelStride = padded(extents.channels, 16)
    let columns = min(512, max(Self.pieceCount / extents.channels / panel, 1) * panel, padded(extents.keyTokens, panel))
    pieceColumns = columns
    let rows = padded(min(Self.tileRows, extents.queryTokens), block)
    var end = 0
    func reserve(_ count: Int) -> Int {
      defer { end += padded(count, 16) }
      return end
    }
    queries = reserve(rows * extents.channels)
    keys = reserve(columns * extents.channels)
    values = reserve(columns * channelStride)
    logits = reserve(block * (columns + 16))
    maxima = reserve(rows)
    sums = reserve(rows)
    accumulators = reserve(rows * channelStride)
    count = end
  }

  /// Queries are kept in blocks, their channels (or pairs of channels) interleaved.
  func query(_ row: Int, channels: Int) -> Int {
    let block = Int(KERNEL_ATTENTION_ROWS)
    return queries + row / block * block * channels + row % block
  }
}

/// The loops of one precision.
struct AttentionKernels {
  let precision: Device.Precision
  let extents: AttentionExtents

  /// What `channels` numbers are packed into.
  func words(_ channels: Int) -> Int { precision == .bfloat16 ? (channels + 1) / 2 : channels }

  func pack(query: Tensor, at index: Int, into packed: UnsafeMutablePointer<Float>) {
    switch precision {
    case .float32: kernel_pack_query(query.floatPointer + index, extents.channels, packed)
    case .bfloat16:
      kernel_pack_query_bfloat16(query.address(of: index), query.elementType == .bfloat16, extents.channels, packed)
    }
  }

  func pack(keys: Tensor, at index: Int, columns: Int, into packed: UnsafeMutablePointer<Float>) {
    switch precision {
    case .float32: kernel_pack_keys(keys.floatPointer + index, extents.width, columns, extents.channels, packed)
    case .bfloat16:
      kernel_pack_keys_bfloat16(
        keys.address(of: index), keys.elementType == .bfloat16, extents.width, columns, extents.channels, packed)
    }
  }

  func pack(
    values: Tensor, at index: Int, columns: Int, channelStride: Int, into packed: UnsafeMutablePointer<Float>
  ) {
    switch precision {
    case .float32:
      kernel_pack_values(values.floatPointer + index, extents.width, columns, extents.channels, channelStride, packed)
    case .bfloat16:
      kernel_pack_values_bfloat16(
        values.address(of: index), values.elementType == .bfloat16, extents.width, columns, extents.channels,
        channelStride, packed)
    }
  }

  func attend(_ attention: UnsafePointer<kernel_attention>) {
    switch precision {
    case .float32: kernel_attend(attention)
    case .bfloat16: kernel_attend_bfloat16(attention)
    }
  }
}

/// Some queries of one frame and head: entries `first ..< first + count` of the frame's list of rows.
struct AttentionTile {
  var frame, head, first, count: Int
}

extension AttentionExtents {
  /// - Parameter precision: bf16 takes factors.
  /// - Throws: `TensorError` where the shapes do not fit each other or a list names a frame that is not there.
  init(_ operands: AttentionOperands, heads: Int, precision: Device.Precision = .float32) throws {
    let (queries, keys) = (operands.queries, operands.keys)
    for tensor in [queries, keys] { try precision.requireFactors(tensor, in: "attention") }
    guard queries.shape.count == 3, keys.shape.count == 3, heads > 0, queries.shape[2] > 0,
      queries.shape[2] == keys.shape[2], queries.shape[2] % heads == 0, keys.shape[1] > 0
    else { throw TensorError("queries \(queries.shape) and keys \(keys.shape) do not fit \(heads) heads") }
    guard operands.keyFrames.count == queries.shape[0],
      operands.keyFrames.allSatisfy({ !$0.isEmpty && $0.allSatisfy((0..<keys.shape[0]).contains) })
    else {
      throw TensorError("key frames \(operands.keyFrames) do not fit queries \(queries.shape) and keys \(keys.shape)")
    }
    self.init(
      frames: queries.shape[0], queryTokens: queries.shape[1], keyTokens: keys.shape[1], heads: heads,
      channels: queries.shape[2] / heads)
  }

  init(
    _ operands: AttentionOperands, values: Tensor, valueFrames: [[Int]], heads: Int, precision: Device.Precision
  ) throws {
    try self.init(operands, heads: heads, precision: precision)
    try precision.requireFactors(values, in: "attention")
    guard values.shape.count == 3, values.shape[1] == keyTokens, values.shape[2] == width,
      valueFrames.map(\.count) == operands.keyFrames.map(\.count),
      valueFrames.allSatisfy({ $0.allSatisfy((0..<values.shape[0]).contains) })
    else { throw TensorError("values \(values.shape) of the frames \(valueFrames) do not fit \(operands.keys.shape)") }
  }

  /// Every query row of every frame.
  var allRows: [[Int]] { Array(repeating: Array(0..<queryTokens), count: frames) }

  /// The listed rows cut into tiles, those of one frame and head one after the other.
  func tiles(of rows: [[Int]], tileRows: Int = tileRows) -> [AttentionTile] {
    rows.indices.flatMap { frame in
      (0..<heads).flatMap { head in
        stride(from: 0, to: rows[frame].count, by: tileRows).map {
          AttentionTile(frame: frame, head: head, first: $0, count: min(tileRows, rows[frame].count - $0))
        }
      }
    }
  }

  func queryIndex(_ frame: Int, _ token: Int, _ head: Int) -> Int {
    (frame * queryTokens + token) * width + head * channels
  }

  func keyIndex(_ frame: Int, _ token: Int, _ head: Int) -> Int {
    (frame * keyTokens + token) * width + head * channels
  }

  func query(_ tensor: Tensor, _ frame: Int, _ token: Int, _ head: Int) -> UnsafePointer<Float> {
    tensor.floatPointer + queryIndex(frame, token, head)
  }

  func key(_ tensor: Tensor, _ frame: Int, _ token: Int, _ head: Int) -> UnsafePointer<Float> {
    tensor.floatPointer + keyIndex(frame, token, head)
  }

  func result(_ tensor: Tensor, _ frame: Int, _ token: Int, _ head: Int) -> UnsafeMutablePointer<Float> {
    tensor.mutableFloatPointer + queryIndex(frame, token, head)
  }
}

extension Device {
  /// - Parameter columns: Keys that a query meets.
  private func parallel(
    tiles: [AttentionTile], columns: Int, channels: Int, _ body: (AttentionTile, _ worker: Int) throws -> Void
  ) throws {
    let operations = 4 * tiles.reduce(0) { $0 + $1.count } * columns * channels
    try parallel(tiles.count, operations: operations) { item, worker in try body(tiles[item], worker) }
  }

  /// Attention of the listed rows (under `causal`: all rows) of each frame. Without `shares` they are stored; with
  /// them (a number for every row of every frame) they are mixed into what is there, float32, which keeps its share.
  private func attend(
    _ operands: AttentionOperands, values: Tensor, valueFrames: [[Int]], extents: AttentionExtents, scale: Float,
    causal: Bool, rows: [[Int]], shares: [Float]?, into result: Tensor
  ) throws {
    let layout = AttentionWorkspace(extents)
    let kernels = AttentionKernels(precision: precision, extents: extents)
    let workspace = try makeResult([threads, layout.count])
    let columns = extents.keyTokens * (operands.keyFrames.map(\.count).max() ?? 1)
    try parallel(
      tiles: extents.tiles(of: rows, tileRows: AttentionWorkspace.tileRows), columns: columns,
      channels: extents.channels
    ) { tile, worker in
      let base = workspace.mutableFloatPointer + worker * layout.count
      let tokens = rows[tile.frame][tile.first..<tile.first + tile.count]
      for (row, token) in tokens.enumerated() {
        kernels.pack(
          query: operands.queries, at: extents.queryIndex(tile.frame, token, tile.head),
          into: base + layout.query(row, channels: kernels.words(extents.channels)))
      }
      (base + layout.accumulators).update(repeating: 0, count: tile.count * layout.channelStride)
      (base + layout.maxima).update(repeating: -.infinity, count: tile.count)
      (base + layout.sums).update(repeating: 0, count: tile.count)

      for (keyFrame, valueFrame) in zip(operands.keyFrames[tile.frame], valueFrames[tile.frame]) {
        for piece in stride(from: 0, to: extents.keyTokens, by: layout.pieceColumns) {
          // A causal tile needs no keys past its last query.
          if causal, let last = tokens.last, piece > last { break }
          let columns = min(layout.pieceColumns, extents.keyTokens - piece)
          kernels.pack(
            keys: operands.keys, at: extents.keyIndex(keyFrame, piece, tile.head), columns: columns,
            into: base + layout.keys)
          kernels.pack(
            values: values, at: extents.keyIndex(valueFrame, piece, tile.head), columns: columns,
            channelStride: layout.channelStride, into: base + layout.values)
          let diagonal = causal ? tile.first + 1 - piece : columns
          var attention = kernel_attention(
            rows: tile.count, columns: columns, channels: extents.channels, channel_stride: layout.channelStride,
            scale: scale, diagonal: diagonal, queries: base + layout.queries, keys: base + layout.keys,
            values: base + layout.values, logits: base + layout.logits, maxima: base + layout.maxima,
            sums: base + layout.sums, accumulators: base + layout.accumulators)
          kernels.attend(&attention)
        }
      }

      for (row, token) in tokens.enumerated() {
        let attended = base + layout.accumulators + row * layout.channelStride
        let index = extents.queryIndex(tile.frame, token, tile.head)
        kernel_scale(attended, 1 / base[layout.sums + row], attended, extents.channels)
        guard result.elementType == .float32 else {
          kernel_round_bfloat16(
            attended, result.mutableAddress(of: index).assumingMemoryBound(to: UInt16.self), extents.channels)
          continue
        }
        let output = result.mutableFloatPointer + index
        if let share = shares?[tile.frame * extents.queryTokens + token], share > 0 {
          kernel_mix(share, attended, output, extents.channels)
        } else {
          output.update(from: attended, count: extents.channels)
        }
      }
    }
  }
}
