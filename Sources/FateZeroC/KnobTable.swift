// The names are those of the C header.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CFateZero
import FateZero
import Glibc

/// The settings as C sees them. Made once; a constant from then on.
private struct KnobTable: @unchecked Sendable {
  static let shared = KnobTable()

  private let knobs: UnsafeMutableBufferPointer<fatezero_knob>

  private init() {
    knobs = .allocate(capacity: Knobs.all.count)
    _ = knobs.initialize(fromContentsOf: Knobs.all.map(KnobTable.describe))
  }

  subscript(index: Int) -> UnsafePointer<fatezero_knob>? {
    knobs.indices.contains(index) ? knobs.baseAddress.map { UnsafePointer($0 + index) } : nil
  }

  private static func describe(_ knob: Knob) -> fatezero_knob {
    var described = fatezero_knob()
    described.struct_size = MemoryLayout<fatezero_knob>.size
    described.name = permanent(knob.name)
    described.blurb = permanent(knob.blurb)
    described.range = permanent(knob.range)
    described.default_text = permanent(knob.defaultText)
    switch knob.kind {
    case .text: described.kind = FATEZERO_KNOB_TEXT
    case .path: described.kind = FATEZERO_KNOB_PATH
    case .integer(let range):
      described.kind = FATEZERO_KNOB_INTEGER
      (described.minimum, described.maximum) = (Double(range.lowerBound), Double(range.upperBound))
    case .number(let range):
      described.kind = FATEZERO_KNOB_NUMBER
      (described.minimum, described.maximum) = (range.lowerBound, range.upperBound)
    case .flag: described.kind = FATEZERO_KNOB_FLAG
    case .choice(let words):
      described.kind = FATEZERO_KNOB_CHOICE
      let list = UnsafeMutableBufferPointer<UnsafePointer<CChar>?>.allocate(capacity: words.count + 1)
      _ = list.initialize(fromContentsOf: words.map { permanent($0) } + [nil])
      described.choices = UnsafePointer(list.baseAddress)
    case .list: described.kind = FATEZERO_KNOB_LIST
    }
    return described
  }

  private static func permanent(_ text: String) -> UnsafePointer<CChar>? { UnsafePointer(strdup(text)) }
}

@_cdecl("fatezero_knob_at") @implementation
public func fatezero_knob_at(_ index: Int) -> UnsafePointer<fatezero_knob>? { KnobTable.shared[index] }
