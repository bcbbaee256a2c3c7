import Files
import Foundation
import TestSupport
import Testing

struct ClaimedFolderTests {
  private static func mode(_ path: String) throws -> Int {
    (try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue ?? -1
  }

  private static func names(_ path: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted()
  }

  private func withFolder(_ body: (String) throws -> Void) throws {
    try Fixtures.withTemporaryFolder { try body($0.path) }
  }

  @Test func itsFilesAreItsUsersAlone() throws {
    try withFolder { place in
      let folder = try ClaimedFolder(taking: "\(place)/own")
      try folder.write([1, 2], to: "a.png")
      try folder.write([3], to: "a.png")
      #expect(folder.bytes(of: "a.png", limit: 10) == [3] && folder.bytes(of: "a.png", limit: 0) == nil)
      #expect(try Self.mode("\(place)/own") == 0o700 && Self.mode("\(place)/own/a.png") == 0o600)
      #expect(try Self.mode("\(place)/own/\(ClaimedFolder.listName)") == 0o600)
      folder.remove()
      #expect(try Self.names(place) == [])
    }
  }

  @Test func whatOthersMadeStays() throws {
    try withFolder { place in
      try Data("mine".utf8).write(to: URL(filePath: "\(place)/source-0001.png"))
      let folder = try ClaimedFolder(taking: place)
      #expect(throws: FileError.self) { try folder.write([1], to: "source-0001.png") }
      #expect(throws: FileError.self) { try folder.claim(["b.png", "source-0001.png"]) }
      try folder.write([1], to: "source-0002.png")
      // Again, as the next run does.
      let again = try #require(ClaimedFolder(at: place))
      #expect(again.claims.contains("source-0002.png") && !again.claims.contains("source-0001.png"))
      again.removeFiles()
      #expect(try Self.names(place) == [ClaimedFolder.listName, "source-0001.png"])
      again.remove()
      #expect(try Self.names(place) == ["source-0001.png"])
    }
  }

  /// A list that somebody else wrote, with names that lead elsewhere, and claimed names that became links or folders.
  @Test func nothingBehindALinkIsTouched() throws {
    try withFolder { place in
      let manager = FileManager.default
      let (own, other) = ("\(place)/own", "\(place)/other")
      try manager.createDirectory(atPath: other, withIntermediateDirectories: false)
      try Data("mine".utf8).write(to: URL(filePath: "\(other)/photo.png"))
      let folder = try ClaimedFolder(taking: own)
      try folder.claim(["link.png", "folder.png"])
      try manager.createSymbolicLink(atPath: "\(own)/link.png", withDestinationPath: "\(other)/photo.png")
      try manager.createSymbolicLink(atPath: "\(own)/folder.png", withDestinationPath: other)
      let list = FileHandle(forWritingAtPath: "\(own)/\(ClaimedFolder.listName)")
      try list?.seekToEnd()
      try list?.write(contentsOf: Data("../other/photo.png\n\(other)/photo.png\n..\n.\n\nunfinished".utf8))
      try list?.close()
      folder.removeFiles()
      #expect(try Self.names(other) == ["photo.png"])
      #expect(try Self.names(own).contains("link.png"))
      // A folder of the program's that was exchanged for a link to somebody else's.
      try manager.createSymbolicLink(atPath: "\(place)/x.partial", withDestinationPath: other)
      _ = try ClaimedFolder(taking: other)
      HeldFolder.removeLeft(in: place) { _ in true }
      #expect(try Self.names(other).contains("photo.png"))
      #expect(manager.fileExists(atPath: "\(place)/x.partial"))
    }
  }

  @Test func aListThatIsNoneIsRefused() throws {
    for contents in ["", "photo.png\n", "fatezero 2\nphoto.png\n"] {
      try withFolder { place in
        try Data("mine".utf8).write(to: URL(filePath: "\(place)/photo.png"))
        try Data(contents.utf8).write(to: URL(filePath: "\(place)/\(ClaimedFolder.listName)"))
        #expect(ClaimedFolder(at: place) == nil)
        HeldFolder.removeLeft(in: (place as NSString).deletingLastPathComponent) { place.hasSuffix($0) }
        #expect(FileManager.default.fileExists(atPath: "\(place)/photo.png"))
      }
    }
    // A list in another's place is no list, and opening it waits for nobody.
    try withFolder { place in
      #expect(mkfifo("\(place)/\(ClaimedFolder.listName)", 0o600) == 0)
      #expect(throws: FileError.self) { try ClaimedFolder(taking: place) }
      #expect(RegularFile.bytes(at: "\(place)/\(ClaimedFolder.listName)", limit: 10) == nil)
    }
  }

  @Test func namesThatLeadElsewhereAreRefused() throws {
    try withFolder { place in
      let folder = try ClaimedFolder(taking: "\(place)/own")
      for name in ["", ".", "..", "a/b", "a\u{d4e}/b", "/etc/x", "a\nb", "a\0b", ClaimedFolder.listName] {
        #expect(throws: FileError.self, "\(name)") { try folder.claim(name) }
      }
    }
  }

  @Test func whatAKilledProcessLeftGoesAndWhatIsHeldStays() throws {
    try withFolder { place in
      var held: HeldFolder? = try HeldFolder(making: "\(place)/.out.fatezero-1")
      try held?.files.write([1], to: "a")
      // As one that was killed: a list, files, no lock.
      do { try ClaimedFolder(taking: "\(place)/.out.fatezero-2").write([1], to: "b") }
      // A user's folder with such a name.
      try FileManager.default.createDirectory(atPath: "\(place)/.out.fatezero-3", withIntermediateDirectories: false)
      try Data("mine".utf8).write(to: URL(filePath: "\(place)/.out.fatezero-3/c"))
      try Data("mine".utf8).write(to: URL(filePath: "\(place)/.out.fatezero-4"))
      HeldFolder.removeLeft(in: place) { $0.hasPrefix(".out.fatezero-") }
      #expect(try Self.names(place) == [".out.fatezero-1", ".out.fatezero-3", ".out.fatezero-4"])
      withExtendedLifetime(held) {}
      held = nil
      #expect(try Self.names(place) == [".out.fatezero-3", ".out.fatezero-4"])
      #expect(throws: FileError.self) { try HeldFolder(making: "\(place)/.out.fatezero-3") }
    }
  }

  @Test func aFolderIsHandedOver() throws {
    try withFolder { place in
      let folder = try ClaimedFolder(making: "\(place)/.draft")
      try folder.write([1], to: "00001.png")
      try folder.handOver(to: "\(place)/pictures")
      try FileManager.default.createDirectory(atPath: "\(place)/plain", withIntermediateDirectories: false)
      #expect(try Self.names(place) == ["pictures", "plain"] && Self.names("\(place)/pictures") == ["00001.png"])
      #expect(try Self.mode("\(place)/pictures") == Self.mode("\(place)/plain"))
      folder.remove()
      #expect(try Self.names("\(place)/pictures") == ["00001.png"])
    }
  }
}
