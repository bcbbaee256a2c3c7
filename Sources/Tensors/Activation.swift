/// A function applied to every element.
public enum Activation: Sendable {
  case none
  /// x * sigmoid(x)
  case silu
  /// x * Phi(x), Phi the normal distribution's cumulative function by the error function.
  case gelu
  /// x * sigmoid(1.702 x), CLIP's approximation of `gelu`.
  case quickGELU
}
