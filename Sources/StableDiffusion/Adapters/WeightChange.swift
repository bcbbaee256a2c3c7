import Tensors

/// What an adapter makes of one weight or bias W, at full strength.
struct WeightChange: Sendable {
  /// A matrix that a file stores as factors: left right, or with a core what Tucker's decomposition makes of the three.
  struct Factors: Sendable {
    /// (outputs, rank), or (rank, outputs) where it is stored transposed.
    let left: String
    /// (rank, inputs...).
    let right: String
    /// (rank, rank, kernel...).
    var core: String?
    var isLeftTransposed = false
  }

  enum Matrix: Sendable {
    /// As it is, its axes behind the first taken as one.
    case stored(String)
    case product(Factors)
  }

  enum Kind: Sendable {
    /// W + scale * left right: LoRA (Hu et al. 2021, arXiv:2106.09685), with a core LoCon.
    case lowRank(Factors)
    /// W + scale * A . B, number by number: LoHa (Hyeon-Woo et al. 2021, arXiv:2108.06098).
    case hadamard(Factors, Factors)
    /// W + scale * Kronecker's product of A and B: LoKr (Yeh et al. 2023, arXiv:2309.14859).
    case kronecker(Matrix, Matrix)
    /// W + scale * the tensor.
    case difference(String)
    /// W * (offset + the tensor), one number for each entry of an axis: IA3 (Liu et al. 2022, arXiv:2205.05638).
    case factors(String, axis: Int, offset: Float)
  }

  /// The norms that the changed weight's slices along an axis are then given: DoRA (Liu et al. 2024, arXiv:2402.09353).
  struct Magnitude: Sendable {
    let name: String
    let axis: Int
  }

  let kind: Kind
  /// alpha / rank and such.
  let scale: Float
  var magnitude: Magnitude?

  /// The tensors that say it.
  var tensors: [String] {
    func names(_ factors: Factors) -> [String] { [factors.left, factors.right] + (factors.core.map { [$0] } ?? []) }
    func names(_ matrix: Matrix) -> [String] {
      switch matrix {
      case .stored(let name): [name]
      case .product(let factors): names(factors)
      }
    }
    let own =
      switch kind {
      case .lowRank(let factors): names(factors)
      case .hadamard(let a, let b): names(a) + names(b)
      case .kronecker(let a, let b): names(a) + names(b)
      case .difference(let name), .factors(let name, _, _): [name]
      }
    return own + (magnitude.map { [$0.name] } ?? [])
  }

  /// Whether it adds nothing if one of its tensors is all zeros.
  var isSum: Bool {
    if case .factors = kind { return false }
    return magnitude == nil
  }

  // MARK: Shapes

  /// Whether it can be made to a weight of the shape.
  func fits(_ shape: [Int], in file: any WeightFile) -> Bool {
    guard let outputs = shape.first else { return false }
    let inputs = shape.dropFirst().reduce(1, *)
    func fits(_ size: (rows: Int, columns: Int)?) -> Bool { size.map { $0 == (outputs, inputs) } ?? false }
    let fitsItself =
      switch kind {
      case .lowRank(let factors): fits(factors.size(in: file))
      case .hadamard(let a, let b): fits(a.size(in: file)) && fits(b.size(in: file))
      case .kronecker(let a, let b): fits(Self.kroneckerSize(a.size(in: file), b.size(in: file)))
      case .difference(let name): file.shape(of: name).flatMap { Tensor.count(of: $0) } == outputs * inputs
      case .factors(let name, let axis, _):
        shape.indices.contains(axis) && file.shape(of: name).flatMap { Tensor.count(of: $0) } == shape[axis]
      }
    guard fitsItself, let magnitude else { return fitsItself }
    return shape.indices.contains(magnitude.axis)
      && file.shape(of: magnitude.name).flatMap { Tensor.count(of: $0) } == shape[magnitude.axis]
  }

  private static func kroneckerSize(
    _ a: (rows: Int, columns: Int)?, _ b: (rows: Int, columns: Int)?
  ) -> (rows: Int, columns: Int)? {
    guard let a, let b, Tensor.count(of: [a.rows, b.rows, a.columns, b.columns]) != nil else { return nil }
    return (a.rows * b.rows, a.columns * b.columns)
  }
}

extension WeightChange.Factors {
  /// Nil where the factors do not fit each other.
  func size(in file: any WeightFile) -> (rows: Int, columns: Int)? {
    guard let left = file.shape(of: left), let right = file.shape(of: right), let first = left.first,
      let rank = right.first,
      first > 0, rank > 0, let leftCount = Tensor.count(of: left), let rightCount = Tensor.count(of: right)
    else { return nil }
    let (rows, leftRank) = isLeftTransposed ? (leftCount / first, first) : (first, leftCount / first)
    guard let core else { return leftRank == rank ? (rows, rightCount / rank) : nil }
    guard let shape = file.shape(of: core), shape.count >= 2, shape[0] == leftRank, shape[1] == rank,
      let kernel = Tensor.count(of: Array(shape.dropFirst(2))),
      let columns = Tensor.count(of: [rightCount / rank, kernel])
    else { return nil }
    return (rows, columns)
  }

  /// The rank of the change.
  func rank(in file: any WeightFile) -> Int { file.shape(of: right)?.first ?? 0 }
}

extension WeightChange.Matrix {
  func size(in file: any WeightFile) -> (rows: Int, columns: Int)? {
    switch self {
    case .product(let factors): return factors.size(in: file)
    case .stored(let name):
      guard let shape = file.shape(of: name), let rows = shape.first, rows > 0, let count = Tensor.count(of: shape)
      else {
        return nil
      }
      return (rows, count / rows)
    }
  }

  /// Nil of a matrix without factors.
  func rank(in file: any WeightFile) -> Int? {
    if case .product(let factors) = self { factors.rank(in: file) } else { nil }
  }
}

// MARK: Merging

extension Device {
  /// W with a change of its file's, at some strength: 0 leaves it, 1 is as the file was made, and in between and beyond on
  /// the line through both. In float32, with memory for some copies of this one weight.
  func changed(_ weight: Tensor, by change: WeightChange, in file: any WeightFile, strength: Float) throws -> Tensor {
    guard let magnitude = change.magnitude else { return try added(strength, change, in: file, to: weight) }
    let whole = try added(1, change, in: file, to: weight)
    let wanted = try file.tensor(magnitude.name).floats
    // As LyCORIS: a slice of zeros stays one.
    let factors = zip(wanted, try norms(of: whole, along: magnitude.axis)).map { $0 / ($1 + .ulpOfOne) }
    let normed = try scaled(whole, along: magnitude.axis, by: factors)
    guard strength != 1 else { return normed }
    return try adding(strength, try adding(-1, weight, to: normed), to: weight)
  }

  private func added(
    _ strength: Float, _ change: WeightChange, in file: any WeightFile, to weight: Tensor
  ) throws -> Tensor {
    let scale = strength * change.scale
    switch change.kind {
    case .lowRank(let factors) where factors.core == nil:
      return try adding(scale, try left(of: factors, in: file), try right(of: factors, in: file), to: weight)
    case .lowRank(let factors): return try adding(scale, try matrix(factors, in: file), to: weight)
    case .hadamard(let a, let b):
      let product = try elementwiseProduct(try matrix(a, in: file), try matrix(b, in: file))
      return try adding(scale, product, to: weight)
    case .kronecker(let a, let b):
      return try adding(scale, try kroneckerProduct(try matrix(a, in: file), try matrix(b, in: file)), to: weight)
    case .difference(let name): return try adding(scale, try file.tensor(name), to: weight)
    case .factors(let name, let axis, let offset):
      let factors = try file.tensor(name).floats.map { 1 + scale * (offset + $0 - 1) }
      return try scaled(weight, along: axis, by: factors)
    }
  }

  private func left(of factors: WeightChange.Factors, in file: any WeightFile) throws -> Tensor {
    let stored = try file.tensor(factors.left)
    let (rows, columns) = (stored.shape[0], stored.count / stored.shape[0])
    guard factors.isLeftTransposed else { return stored.reshaped([rows, columns]) }
    return try transposed(stored.reshaped([1, rows, columns])).reshaped([columns, rows])
  }

  private func right(of factors: WeightChange.Factors, in file: any WeightFile) throws -> Tensor {
    let stored = try file.tensor(factors.right)
    return stored.reshaped([stored.shape[0], stored.count / stored.shape[0]])
  }

  private func matrix(_ matrix: WeightChange.Matrix, in file: any WeightFile) throws -> Tensor {
    switch matrix {
    case .product(let factors): return try self.matrix(factors, in: file)
    case .stored(let name):
      let stored = try file.tensor(name)
      return stored.reshaped([stored.shape[0], stored.count / stored.shape[0]])
    }
  }

  /// (outputs, inputs * kernel)
  private func matrix(_ factors: WeightChange.Factors, in file: any WeightFile) throws -> Tensor {
    let (left, right) = (try left(of: factors, in: file), try right(of: factors, in: file))
    guard let name = factors.core else { return try product(left, right) }
    let core = try file.tensor(name)
    let (rank, inputRank) = (core.shape[0], core.shape[1])
    let kernel = core.count / (rank * inputRank)
    // sum over p, q of left[o, p] core[p, q, k] right[q, i]; the sum over q wants the kernel before it.
    let half = try product(left, core.reshaped([rank, inputRank * kernel])).reshaped([left.shape[0], inputRank, kernel])
    let rows = try transposed(half).reshaped([left.shape[0] * kernel, inputRank])
    let whole = try product(rows, right).reshaped([left.shape[0], kernel, right.shape[1]])
    return try transposed(whole).reshaped([left.shape[0], right.shape[1] * kernel])
  }
}
