import Glibc
import Synchronization
import Text

/// A folder in which the program knows what it has made there. Before it makes a file it writes the file's name into a list,
/// `.fatezero-files`, in that folder; it removes or replaces nothing but files of that list, never what a link leads to, and
/// nothing whose name merely looks like one of its own.
///
/// Many processes may use one such folder. The folder is for its user alone, and so are the files.
public final class ClaimedFolder: Sendable {
  public static let listName = ".fatezero-files"
  /// The list's first line.
  private static let header = "fatezero 1"
  private static let largestList = 1 << 26

  /// For those who open files by their path.
  public let path: String
  public let folder: OpenFolder
  /// What is claimed, where nobody else claims anything: the list need not be read again for each name.
  private let ownClaims: Mutex<Set<String>?>

  private init(path: String, folder: OpenFolder, isOwn: Bool) {
    (self.path, self.folder) = (path, folder)
    ownClaims = Mutex(isOwn ? [] : nil)
  }

  // MARK: Opening

  /// Makes a folder that is not there yet, of which this process alone makes the files, and holds its lock.
  /// - Throws: `FileError`, also where there is something of that name.
  public init(making path: String) throws(FileError) {
    guard mkdir(path, 0o700) == 0 else { throw .system("cannot make the folder \(path)") }
    guard let folder = OpenFolder(path) else {
      let error = FileError.system("cannot open the folder \(path)")
      rmdir(path)
      throw error
    }
    (self.path, self.folder) = (path, folder)
    ownClaims = Mutex([])
    // Before there is a list: a folder with one that nobody holds is removed.
    _ = folder.lock()
    do { try begin() } catch {
      rmdir(path)
      throw error
    }
  }

  /// Takes a folder for the program's files, and makes it where there is none. What others have in it stays theirs.
  /// - Throws: `FileError`.
  public convenience init(taking path: String) throws(FileError) {
    if mkdir(path, 0o700) != 0, errno != EEXIST { throw .system("cannot make the folder \(path)") }
    guard let folder = OpenFolder(path) else { throw .system("cannot open the folder \(path)") }
    self.init(path: path, folder: folder, isOwn: false)
    try begin()
  }

  /// A folder that was taken before; nil for every other.
  /// - Parameter path: It may lead over links: who names it chooses.
  public convenience init?(at path: String) {
    guard let folder = Self.opened(path) else { return nil }
    self.init(path: path, folder: folder, isOwn: false)
  }

  /// A folder in another one that was taken before; nil for every other, and for links.
  /// - Parameter path: Of the folder that it lies in.
  public convenience init?(_ name: String, in parent: OpenFolder, at path: String) {
    guard let folder = parent.folder(name), Self.isTaken(folder) else { return nil }
    self.init(path: "\(path)/\(name)", folder: folder, isOwn: false)
  }

  private static func opened(_ path: String) -> OpenFolder? {
    OpenFolder(path).flatMap { isTaken($0) ? $0 : nil }
  }

  private static func isTaken(_ folder: OpenFolder) -> Bool {
    guard let descriptor = openList(folder, O_RDONLY) else { return false }
    defer { close(descriptor) }
    return (try? read(descriptor, "")) != nil
  }

  private func begin() throws(FileError) {
    _ = try withList(making: true) { _ throws(FileError) in }
  }

  // MARK: The list

  /// nil where there is none, or where it is no file.
  private static func openList(_ folder: OpenFolder, _ flags: Int32) -> Int32? {
    let descriptor = openat(
      folder.descriptor, listName, flags | O_NOFOLLOW | O_NONBLOCK | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return nil }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      errno = EINVAL
      return nil
    }
    return descriptor
  }

  /// - Throws: `FileError` where it is no such list.
  private static func read(_ descriptor: Int32, _ path: String) throws(FileError) -> [String] {
    guard let bytes = RegularFile.rest(of: descriptor, limit: largestList) else {
      throw .system("cannot read \(path)/\(listName)")
    }
    let lines = String(decoding: bytes, as: UTF8.self).pieces(at: "\n", keepingEmpty: true)
    guard lines.first.map(String.init) == header else {
      throw FileError("\(path)/\(listName) is no list of fatezero's; name another folder")
    }
    // A line that was not written to its end claims nothing.
    return lines.dropFirst().dropLast().map(String.init).filter(OpenFolder.isName)
  }

  /// Runs `body` with the names on the list, which no other process reads or writes meanwhile.
  private func withList<Result>(
    making makes: Bool = false, _ body: (inout OpenList) throws(FileError) -> Result
  ) throws(FileError) -> Result {
    guard let descriptor = Self.openList(folder, O_RDWR | (makes ? O_CREAT : 0)) else {
      throw .system("cannot open \(path)/\(Self.listName)")
    }
    defer { close(descriptor) }
    while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
    var status = stat()
    if makes, fstat(descriptor, &status) == 0, status.st_size == 0 {
      try Self.append(Self.header + "\n", to: descriptor, path)
      lseek(descriptor, 0, SEEK_SET)
    }
    var list = OpenList(descriptor: descriptor, path: path, names: Set(try Self.read(descriptor, path)))
    return try body(&list)
  }

  private static func append(_ text: String, to descriptor: Int32, _ path: String) throws(FileError) {
    guard RegularFile.write(Array(text.utf8), to: descriptor) else { throw .system("cannot write \(path)/\(listName)") }
  }

  private struct OpenList {
    let descriptor: Int32
    let path: String
    var names: Set<String>

    mutating func add(_ name: String, in folder: OpenFolder) throws(FileError) {
      guard !names.contains(name) else { return }
      try ClaimedFolder.checkFree(name, in: folder, path)
      try append(name + "\n", to: descriptor, path)
      names.insert(name)
    }

    mutating func drop(_ dropped: some Sequence<String>) throws(FileError) {
      names.subtract(dropped)
      guard ftruncate(descriptor, ClaimedFolder.header.utf8.count + 1) == 0 else {
        throw .system("cannot write \(path)/\(ClaimedFolder.listName)")
      }
      try append(names.sorted().map { $0 + "\n" }.joined(), to: descriptor, path)
    }
  }

  private static func checkFree(_ name: String, in folder: OpenFolder, _ path: String) throws(FileError) {
    guard OpenFolder.isName(name), name != listName else { throw FileError("\(name.visible) cannot be a file's name") }
    guard folder.status(of: name) == nil else {
      throw FileError("\(path)/\(name) exists already, and fatezero did not make it; move it away", code: EEXIST)
    }
  }

  // MARK: Files

  /// The names on the list, whether there are such files or not.
  public var claims: Set<String> {
    ownClaims.withLock { $0 } ?? (try? withList { list in list.names }) ?? []
  }

  /// Takes names for files of the program's, which may be made, written to and removed from now on.
  /// - Throws: `FileError` where there is something of such a name that is not on the list.
  public func claim(_ names: some Sequence<String>) throws(FileError) {
    try withList { list throws(FileError) in
      for name in names { try list.add(name, in: folder) }
    }
  }

  /// Takes a name for a file of the program's, which may be made, written to and removed from now on.
  /// - Throws: `FileError` where there is something of that name that is not on the list.
  public func claim(_ name: String) throws(FileError) {
    let isKnown = ownClaims.withLock { $0?.contains(name) }
    guard isKnown != true else { return }
    guard isKnown == false else {
      try withList { list throws(FileError) in try list.add(name, in: folder) }
      return
    }
    try Self.checkFree(name, in: folder, path)
    guard let descriptor = Self.openList(folder, O_RDWR) else { throw .system("cannot open \(path)/\(Self.listName)") }
    defer { close(descriptor) }
    try Self.append(name + "\n", to: descriptor, path)
    ownClaims.withLock { _ = $0?.insert(name) }
  }

  /// Takes names off the list whose files are elsewhere by now.
  public func release(_ names: some Sequence<String>) {
    ownClaims.withLock { $0?.subtract(names) }
    _ = try? withList { list throws(FileError) in try list.drop(names) }
  }

  /// Removes files of the list.
  public func removeFiles(_ names: some Sequence<String>) {
    _ = try? withList { list throws(FileError) in
      let own = names.filter { list.names.contains($0) }
      for name in own { folder.removeFile(name) }
      try list.drop(own)
    }
    ownClaims.withLock { $0?.subtract(names) }
  }

  /// Removes all files of the list.
  public func removeFiles() { removeFiles(claims) }

  /// Removes the files of the list, and the folder where nothing else lies in it; nothing where the folder has another path by
  /// now.
  public func remove() {
    guard folder.isAt(path) else { return }
    removeFiles()
    folder.removeFile(Self.listName)
    rmdir(path)
  }

  /// Makes the folder, with all that is in it, an ordinary one of another name, with the rights that a new folder has.
  /// - Throws: `FileError`; all is as before then, but that nothing is claimed.
  public func handOver(to other: String) throws(FileError) {
    let probe = ".rights"
    guard mkdirat(folder.descriptor, probe, 0o777) == 0, let status = folder.status(of: probe) else {
      throw .system("\(path)/\(probe)")
    }
    unlinkat(folder.descriptor, probe, AT_REMOVEDIR)
    folder.removeFile(Self.listName)
    guard fchmod(folder.descriptor, status.st_mode & 0o7777) == 0, rename(path, other) == 0 else {
      throw .system(other)
    }
  }

  /// Writes a file, readable for its user alone, which has its name once it is complete.
  /// - Throws: `FileError`; what was there before is there then.
  public func write(_ bytes: [UInt8], to name: String) throws(FileError) {
    let draft = ".\(name).partial"
    try claim(draft)
    try claim(name)
    // Nobody else writes a draft of that name meanwhile.
    try withList { _ throws(FileError) in
      let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
      let descriptor = openat(folder.descriptor, draft, flags, 0o600)
      guard descriptor >= 0 else { throw .system("\(path)/\(name)") }
      let isWritten = RegularFile.write(bytes, to: descriptor)
      let code = errno
      guard close(descriptor) == 0, isWritten,
        renameat(folder.descriptor, draft, folder.descriptor, name) == 0
      else {
        if !isWritten { errno = code }
        let error = FileError.system("\(path)/\(name)")
        folder.removeFile(draft)
        throw error
      }
    }
  }

  /// The bytes of a file in the folder; nil where there is none, or more than `limit` bytes.
  public func bytes(of name: String, limit: Int) -> [UInt8]? {
    RegularFile.bytes(of: name, in: folder, limit: limit)
  }
}
