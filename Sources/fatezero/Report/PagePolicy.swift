import FateZero
import Text

/// What a page may load and run: the one script that was written with it. Should a text from elsewhere ever be read as part of
/// the page, it still runs nothing and asks for nothing.
struct PagePolicy {
  /// Written into the page, and known to nobody before.
  private let nonce =
    String(UInt64.random(in: 0 ... .max), radix: 36) + String(UInt64.random(in: 0 ... .max), radix: 36)

  /// For the page's head, before all that it governs.
  /// - Parameter pictures: Where the page's pictures may come from, in the policy's own words.
  func tag(pictures: String) -> String {
    let rules = [
      "default-src 'none'", "script-src 'nonce-\(nonce)'", "style-src 'unsafe-inline'", "img-src \(pictures)",
      "base-uri 'none'", "form-action 'none'",
    ]
    return "<meta http-equiv=\"Content-Security-Policy\" content=\"\(rules.joined(separator: "; "))\">"
  }

  func script(_ text: String) -> String { "<script nonce=\"\(nonce)\">\(text)</script>" }
}

/// Text for HTML, between tags and in quoted attributes. Characters are compared scalar by scalar: a mark that combines with a
/// quote does not hide it.
func escaped(_ text: String) -> String {
  var result = ""
  for scalar in text.visible.unicodeScalars {
    switch scalar {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    case "'": result += "&#39;"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result
}
