import CLibAV

/// An `AVDictionary`: options for libav, or metadata. After an open call it holds the options nobody took.
final class OptionDictionary {
  var pointer: OpaquePointer?

  init(_ options: [(String, String)] = []) {
    for (name, value) in options { self[name] = value }
  }

  deinit { av_dict_free(&pointer) }

  subscript(name: String) -> String? {
    get { av_dict_get(pointer, name, nil, 0).flatMap { $0.pointee.value.map { String(cString: $0) } } }
    set { av_dict_set(&pointer, name, newValue, 0) }
  }

  var names: [String] { OptionDictionary.entries(of: pointer).map(\.0) }

  static func entries(of dictionary: OpaquePointer?) -> [(String, String)] {
    var entries: [(String, String)] = []
    var entry: UnsafeMutablePointer<AVDictionaryEntry>?
    while let next = av_dict_get(dictionary, "", entry, AV_DICT_IGNORE_SUFFIX) {
      entries.append((String(cString: next.pointee.key), String(cString: next.pointee.value)))
      entry = next
    }
    return entries
  }
}
