import Text

/// A frame that another frame's self-attention reads keys and values from.
public enum FrameReference: Sendable, Hashable {
  /// So many frames after the current one (0 itself, -1 the previous one), held within the clip.
  case relative(Int)
  case first
  case last
  /// Frame (count - 1) / 2, rounded down.
  case middle

  /// The name in settings: `self`, `previous`, `next`, `first`, `last`, `middle` or a number of frames.
  public var text: String {
    switch self {
    case .relative(0): "self"
    case .relative(-1): "previous"
    case .relative(1): "next"
    case .relative(let distance): "\(distance)"
    case .first: "first"
    case .last: "last"
    case .middle: "middle"
    }
  }

  /// Reads one name; `mid` is taken for `middle`.
  public init?(_ text: String) {
    switch text {
    case "self": self = .relative(0)
    case "previous": self = .relative(-1)
    case "next": self = .relative(1)
    case "first": self = .first
    case "last": self = .last
    case "middle", "mid": self = .middle
    default:
      guard let distance = Int(text), (-1_000_000...1_000_000).contains(distance) else { return nil }
      self = .relative(distance)
    }
  }

  /// Reads a list like `self+middle` or `-2+self`; `none` is the empty list.
  /// - Throws: `SettingsError` naming the part that is no frame.
  public static func parse(_ text: String, in name: String = "frame-coupling") throws -> [FrameReference] {
    if text == "none" { return [] }
    var list: [FrameReference] = []
    for part in text.pieces(at: "+", keepingEmpty: true) {
      guard let reference = FrameReference(Grammar.trim(String(part))) else {
        throw SettingsError(
          "\"\(part)\" is no frame; join self, previous, next, first, last, middle or numbers like -2 with +", in: name)
      }
      list.append(reference)
    }
    return list
  }

  public static func text(of list: [FrameReference]) -> String {
    list.isEmpty ? "none" : list.map(\.text).joined(separator: "+")
  }

  /// The frames that frame `i` of `count` reads, in order; keys and values are joined in this order and duplicates
  /// stay. An empty list means the frame itself. Source: the reference's spatial-temporal self-attention.
  public static func resolve(_ list: [FrameReference], frame i: Int, count: Int) -> [Int] {
    if list.isEmpty { return [i] }
    return list.map { reference in
      switch reference {
      case .relative(let distance): min(max(i + distance, 0), count - 1)
      case .first: 0
      case .last: count - 1
      case .middle: (count - 1) / 2
      }
    }
  }
}
