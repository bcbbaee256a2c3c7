/// Numbers for people.
public enum Numerals {
  /// `value` with so many digits after the point.
  public static func fixed(_ value: Double, digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    var unit = 1.0
    for _ in 0..<digits { unit *= 10 }
    let scaled = Int((abs(value) * unit).rounded())
    let whole = scaled / Int(unit)
    let sign = value < 0 && scaled != 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(whole)" }
    let rest = "\(scaled % Int(unit))"
    return "\(sign)\(whole).\(String(repeating: "0", count: digits - rest.count))\(rest)"
  }

  /// `12 s`, `4:05 min`, `1:02:03 h`.
  public static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "unknown" }
    let total = Int(max(seconds, 0).rounded())
    func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    if total < 60 { return "\(total) s" }
    if total < 3600 { return "\(total / 60):\(padded(total % 60)) min" }
    return "\(total / 3600):\(padded(total / 60 % 60)):\(padded(total % 60)) h"
  }

  /// `512 KiB`, `3.4 GiB`.
  public static func bytes(_ count: Int) -> String {
    var value = Double(count)
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
      if value < 1024 { return "\(fixed(value, digits: unit == "bytes" || value >= 100 ? 0 : 1)) \(unit)" }
      value /= 1024
    }
    return "\(fixed(value, digits: 1)) TiB"
  }

  public static func count(_ number: Int, _ singular: String, _ plural: String? = nil) -> String {
    "\(number) \(number == 1 ? singular : plural ?? singular + "s")"
  }
}
