/// What one attention map is made of: queries (n, q, heads*d), keys (m, k, heads*d), and for each of the n query
/// frames the key frames that it reads, in order. Nothing is concatenated: the operators read the keys where they
/// lie.
public struct AttentionOperands: Sendable {
  public var queries: Tensor, keys: Tensor, keyFrames: [[Int]]

  public init(queries: Tensor, keys: Tensor, keyFrames: [[Int]]) {
    (self.queries, self.keys, self.keyFrames) = (queries, keys, keyFrames)
  }
}
