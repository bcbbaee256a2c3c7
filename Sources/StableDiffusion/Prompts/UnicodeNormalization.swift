// Canonical composition is in the standard library, but not yet in its public interface (the same import is what
// swift-foundation uses); FoundationEssentials has none.
@_spi(_Unicode) import Swift

/// Normalisation form C (Unicode Standard Annex 15).
func canonicalComposition(of scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
  var text = String.UnicodeScalarView()
  text.append(contentsOf: scalars)
  return Array(String(text)._nfc)
}
