// The operators' signatures. Shapes: n frames, h rows, w columns, c channels, q query tokens, k key tokens of one frame, d channels of one head.

public enum Activation: Sendable { case none, silu, gelu, quickGELU }

/// Packed weights of a linear layer, y = x W^T + b.
public final class LinearLayer: @unchecked Sendable {
  public let inputs: Int, outputs: Int
  init(inputs: Int, outputs: Int) { self.inputs = inputs; self.outputs = outputs }
}

/// Packed weights of a 2-D convolution over channels-last images.
public final class ConvolutionLayer: @unchecked Sendable {
  public let inputs: Int, outputs: Int
  init(inputs: Int, outputs: Int) { self.inputs = inputs; self.outputs = outputs }
}

public struct Padding: Sendable, Hashable {
  public var top, left, bottom, right: Int
  public init(top: Int, left: Int, bottom: Int, right: Int) { (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right) }
  public init(_ all: Int) { self.init(top: all, left: all, bottom: all, right: all) }
}

/// One side of an attention map: queries (n, q, heads*d), keys (m, k, heads*d), and for each of the n query frames the key frames that it reads, in order.
public struct AttentionOperands: Sendable {
  public var queries: Tensor, keys: Tensor, keyFrames: [[Int]]
  public init(queries: Tensor, keys: Tensor, keyFrames: [[Int]]) { self.queries = queries; self.keys = keys; self.keyFrames = keyFrames }
}

extension Device {
  // MARK: Layers with weights
  /// weight (outputs, inputs), bias (outputs), of any element type. Packed here, once.
  public func makeLinear(weight: Tensor, bias: Tensor?) throws -> LinearLayer { throw TensorError("") }
  /// weight (outputs, inputs, kernel rows, kernel columns).
  public func makeConvolution(weight: Tensor, bias: Tensor?, stride: Int = 1, padding: Padding) throws -> ConvolutionLayer { throw TensorError("") }
  /// (..., inputs) -> (..., outputs): activation(x W^T + b) + addend.
  public func linear(_ x: Tensor, _ layer: LinearLayer, activation: Activation = .none, adding addend: Tensor? = nil) throws -> Tensor { throw TensorError("") }
  /// (n, h, w, inputs) -> (n, h', w', outputs): convolution + bias + addend.
  public func convolution(_ x: Tensor, _ layer: ConvolutionLayer, adding addend: Tensor? = nil) throws -> Tensor { throw TensorError("") }

  // MARK: Normalisation
  /// x (n, ..., c) with mean and variance over `framesPerGroup` consecutive frames, all positions and c/groups channels (accumulated in double), then weight*x+bias per channel, then activation.
  public func groupNorm(_ x: Tensor, groups: Int, framesPerStatistic: Int = 1, weight: Tensor, bias: Tensor, epsilon: Float, activation: Activation = .none) throws -> Tensor { throw TensorError("") }
  public func layerNorm(_ x: Tensor, weight: Tensor, bias: Tensor, epsilon: Float) throws -> Tensor { throw TensorError("") }

  // MARK: Elementwise
  public func activate(_ x: Tensor, _ activation: Activation) throws -> Tensor { throw TensorError("") }
  /// (..., 2c) -> (..., c): first half times exact gelu of second half.
  public func geglu(_ x: Tensor) throws -> Tensor { throw TensorError("") }
  public func add(_ a: Tensor, _ b: Tensor) throws -> Tensor { throw TensorError("") }
  /// a*x + b*y, elementwise, same shapes.
  public func combine(_ a: Float, _ x: Tensor, _ b: Float, _ y: Tensor) throws -> Tensor { throw TensorError("") }
  /// x (n, h, w, c) + rows (g, c): row j is added to frames j*n/g ..< (j+1)*n/g at every position.
  public func addChannels(_ x: Tensor, _ rows: Tensor) throws -> Tensor { throw TensorError("") }
  public func softmax(_ x: Tensor) throws -> Tensor { throw TensorError("") }

  // MARK: Shape
  /// The last axes joined: (..., a), (..., b) -> (..., a+b).
  public func concatenateChannels(_ a: Tensor, _ b: Tensor) throws -> Tensor { throw TensorError("") }
  /// Along the first axis.
  public func concatenate(_ parts: [Tensor]) throws -> Tensor { throw TensorError("") }
  /// Rows of a (r, c) table -> (indices.count, c), converted to float32.
  public func gather(_ table: Tensor, rows: [Int]) throws -> Tensor { throw TensorError("") }
  /// (a, b, c, d) -> (a, c, b, d).
  public func swapMiddleAxes(_ x: Tensor) throws -> Tensor { throw TensorError("") }
  /// Nearest neighbour, source index floor(i * h / rows): (n, h, w, c) -> (n, rows, columns, c).
  public func upsampleNearest(_ x: Tensor, rows: Int, columns: Int) throws -> Tensor { throw TensorError("") }
  /// The same numbers as float32, aligned.
  public func float32(_ x: Tensor) throws -> Tensor { throw TensorError("") }

  // MARK: Attention
  /// softmax(Q K^T * scale) V per head -> (n, q, heads*d). values (m, k, heads*d) are read by the same lists as keys. `causal`: key j only for query i >= j.
  public func attention(_ operands: AttentionOperands, values: Tensor, heads: Int, scale: Float, causal: Bool = false) throws -> Tensor { throw TensorError("") }
  /// softmax(Q K^T * scale) -> (n, heads, q, k * keyFrames[i].count).
  public func attentionMaps(_ operands: AttentionOperands, heads: Int, scale: Float) throws -> Tensor { throw TensorError("") }
  /// maps (n, heads, q, K) times values (m, k, heads*d) read by `valueFrames` -> (n, q, heads*d).
  public func apply(maps: Tensor, values: Tensor, valueFrames: [[Int]], heads: Int) throws -> Tensor { throw TensorError("") }
  /// Rows of two attention maps mixed, then applied to one set of values: M A + (1-M) S, with M = ownShare (n*q numbers in 0...1).
  /// Rows with share 1 compute only `own`, with share 0 only `source`. own.keyFrames read `values`; source.keyFrames[i] must be as long as own.keyFrames[i].
  public func blendedAttention(own: AttentionOperands, source: AttentionOperands, ownShare: [Float], values: Tensor, heads: Int, scale: Float) throws -> Tensor { throw TensorError("") }
  /// matrix (k, k) times values (m, k, c) along the tokens -> (m, k, c).
  public func mixTokens(_ matrix: Tensor, _ values: Tensor) throws -> Tensor { throw TensorError("") }
}
