import Tensors

/// The directory of a zip archive, zip64 included, whose entries are read in place: PyTorch stores them uncompressed.
/// Specification: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.
struct ZipArchive {
  struct Entry {
    /// 0 is stored; everything else is some compression.
    let method: Int
    let byteCount: Int
    fileprivate let headerOffset: Int
  }

  let file: RandomAccessFile
  private(set) var entries: [String: Entry] = [:]

  private static let entryLimit = 100_000

  /// Whether a file begins as an archive with entries does.
  static func begins(_ file: RandomAccessFile) throws -> Bool {
    try file.byteCount >= 4 && file.bytes(0..<4) == [0x50, 0x4b, 0x03, 0x04]
  }

  init(_ file: RandomAccessFile) throws {
    self.file = file
    let end = try Self.endOfDirectory(file)
    guard end.count <= Self.entryLimit, end.offset >= 0, end.byteCount >= 0, end.offset <= file.byteCount,
      end.byteCount <= file.byteCount - end.offset, end.byteCount <= 64 << 20
    else { throw Self.damaged(file, "its directory lies outside") }
    let directory = try file.bytes(end.offset..<end.offset + end.byteCount)
    var place = 0
    for _ in 0..<end.count {
      guard place + 46 <= directory.count, directory[place..<place + 4].littleEndian == 0x0201_4b50 else {
        throw Self.damaged(file, "its directory is broken")
      }
      let field = { (offset: Int, count: Int) in directory[place + offset..<place + offset + count].littleEndian }
      let nameCount = Int(field(28, 2)), extraCount = Int(field(30, 2)), commentCount = Int(field(32, 2))
      let next = place + 46 + nameCount + extraCount + commentCount
      guard next <= directory.count else { throw Self.damaged(file, "its directory is broken") }
      var compressed = field(20, 4), size = field(24, 4), header = field(42, 4)
      let extra = directory[place + 46 + nameCount..<place + 46 + nameCount + extraCount]
      Self.readZip64(extra, size: &size, compressed: &compressed, header: &header)
      let method = Int(field(10, 2))
      guard let byteCount = Int(exactly: size), let headerOffset = Int(exactly: header),
        method != 0 || size == compressed
      else {
        throw Self.damaged(file, "an entry has an impossible size")
      }
      let name = String(decoding: directory[place + 46..<place + 46 + nameCount], as: UTF8.self)
      guard
        entries.updateValue(Entry(method: method, byteCount: byteCount, headerOffset: headerOffset), forKey: name)
          == nil
      else {
        throw Self.damaged(file, "it has two entries \(name.prefix(200))")
      }
      place = next
    }
  }

  /// Where the bytes of a stored entry lie in the file.
  func range(of name: String) throws -> Range<Int> {
    guard let entry = entries[name] else { throw Self.damaged(file, "\(name.prefix(200)) is missing from it") }
    guard entry.method == 0 else {
      throw ModelError(
        .unsupported,
        "\(file.path): \(name.prefix(200)) is compressed; PyTorch never does that, save the file again with torch.save")
    }
    let header = entry.headerOffset
    let local = try header <= file.byteCount - 30 ? file.bytes(header..<header + 30) : []
    guard local.prefix(4).littleEndian == 0x0403_4b50 else {
      throw Self.damaged(file, "the header of \(name.prefix(200)) is not where the directory says")
    }
    let begin = header + 30 + Int(local[26..<28].littleEndian) + Int(local[28..<30].littleEndian)
    guard begin <= file.byteCount, entry.byteCount <= file.byteCount - begin else {
      throw Self.damaged(file, "\(name.prefix(200)) reaches past its end")
    }
    return begin..<begin + entry.byteCount
  }

  /// The record at the end of the file that says where the directory is.
  private static func endOfDirectory(_ file: RandomAccessFile) throws -> (count: Int, byteCount: Int, offset: Int) {
    let tailOffset = max(0, file.byteCount - 22 - 0xffff)
    let tail = try file.bytes(tailOffset..<file.byteCount)
    guard tail.count >= 22,
      let end = stride(from: tail.count - 22, through: 0, by: -1).first(where: {
        tail[$0..<$0 + 4].littleEndian == 0x0605_4b50
      })
    else { throw damaged(file, "the directory at its end is missing") }
    var count = tail[end + 10..<end + 12].littleEndian
    var byteCount = tail[end + 12..<end + 16].littleEndian
    var offset = tail[end + 16..<end + 20].littleEndian
    if end >= 20, tail[end - 20..<end - 16].littleEndian == 0x0706_4b50 {
      guard let place = Int(exactly: tail[end - 12..<end - 4].littleEndian), place <= file.byteCount - 56
      else { throw damaged(file, "its zip64 record is broken") }
      let record = try file.bytes(place..<place + 56)
      guard record[..<4].littleEndian == 0x0606_4b50 else { throw damaged(file, "its zip64 record is broken") }
      count = record[32..<40].littleEndian
      byteCount = record[40..<48].littleEndian
      offset = record[48..<56].littleEndian
    }
    guard let count = Int(exactly: count), let byteCount = Int(exactly: byteCount), let offset = Int(exactly: offset)
    else {
      throw damaged(file, "its directory lies outside")
    }
    return (count, byteCount, offset)
  }

  /// Sizes of 4 GiB and more are in extra field 1, in this order, each only where the 32-bit field is full.
  private static func readZip64(
    _ extra: ArraySlice<UInt8>, size: inout UInt64, compressed: inout UInt64, header: inout UInt64
  ) {
    var rest = extra
    while rest.count >= 4 {
      let id = rest.prefix(2).littleEndian, count = Int(rest.dropFirst(2).prefix(2).littleEndian)
      var body = rest.dropFirst(4).prefix(count)
      rest = rest.dropFirst(4 + count)
      guard id == 1 else { continue }
      func next(_ value: inout UInt64) {
        guard value == 0xffff_ffff, body.count >= 8 else { return }
        value = body.prefix(8).littleEndian
        body = body.dropFirst(8)
      }
      next(&size)
      next(&compressed)
      next(&header)
    }
  }

  private static func damaged(_ file: RandomAccessFile, _ what: String) -> ModelError {
    ModelError(.badData, "\(file.path) is truncated or damaged: \(what); download it again")
  }
}
