import Glibc
import Testing

@testable import MediaIO

/// What a stranger's file names is neither fetched nor opened.
@Suite struct InputConfinementTests {
  /// Playlists that name `address` of a clip, by the name that they are given.
  private static func playlists(_ address: String) -> [(name: String, text: String)] {
    let hls = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n\(address)\n#EXT-X-ENDLIST\n"
    let dash = """
      <?xml version="1.0"?>
      <MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static"
        mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="0" bandwidth="1">
        <BaseURL>\(address)</BaseURL></Representation></AdaptationSet></Period></MPD>
      """
    return [
      ("list.m3u8", hls), ("clip.mp4", hls), ("clip.png", hls),
      ("key.m3u8", hls.replacing("#EXTINF", with: "#EXT-X-KEY:METHOD=AES-128,URI=\"\(address)\"\n#EXTINF")),
      ("map.m3u8", hls.replacing("#EXTINF", with: "#EXT-X-MAP:URI=\"\(address)\"\n#EXTINF")),
      ("master.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n\(address)\n"),
      ("list.m3u", "#EXTM3U\n#EXTINF:1,a clip\n\(address)\n"),
      ("list.mpd", dash), ("dash.mkv", dash),
      ("list.ffconcat", "ffconcat version 1.0\nfile '\(address)'\n"),
      ("list.txt", "file '\(address)'\n"),
      ("clip.avi", "ffconcat version 1.0\nfile '\(address)'\n"),
      ("list.pls", "[playlist]\nFile1=\(address)\nNumberOfEntries=1\n"),
      ("list.asx", "<asx version=\"3.0\"><entry><ref href=\"\(address)\"/></entry></asx>"),
      (
        "list.xspf",
        "<?xml version=\"1.0\"?><playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\"><trackList/></playlist>"
      ),
      (
        "list.sdp",
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=clip\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 33\r\n"
      ),
      (
        "cpl.xml",
        "<?xml version=\"1.0\"?><CompositionPlaylist xmlns=\"http://www.smpte-ra.org/schemas/2067-3/2016\">"
          + "<Id>urn:uuid:0</Id></CompositionPlaylist>"
      ),
      ("list.idx", "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n"),
    ]
  }

  @Test func noAddressIsCalled() throws {
    let workspace = try Workspace()
    let server = try Server()
    for (name, text) in Self.playlists("http://127.0.0.1:\(server.port)/clip.ts") {
      try workspace.write(Array(text.utf8), to: name)
      let error = try mediaError { _ = try MediaReader(path: workspace.path(name)) }
      print(error)
      #expect(error.kind == .badData)
      #expect(error.description.contains(name), "\(error)")
      #expect(!server.wasCalled(), "\(name)")
      // Neither is it where it is one of several pictures.
      #expect(mkdir(workspace.path("folder"), 0o700) == 0)
      try workspace.write(Array(text.utf8), to: "folder/1.png")
      #expect(try mediaError { _ = try MediaReader(path: workspace.path("folder")) }.kind == .badData)
      #expect(!server.wasCalled(), "\(name) in a folder")
      try Workspace.run("rm", ["-r", workspace.path("folder")])
    }
    // Naming the format opens files, not addresses.
    for (name, format) in [("list.m3u8", "hls"), ("list.mpd", "dash"), ("list.ffconcat", "concat")] {
      let error = try mediaError {
        _ = try MediaReader(path: workspace.path(name), options: InputOptions(format: format))
      }
      print(error)
      #expect(!server.wasCalled(), "\(name)")
    }
    // An address that was given is called.
    #expect(throws: MediaError.self) { try MediaReader(path: "tcp://127.0.0.1:\(server.port)?timeout=200000") }
    #expect(server.wasCalled())
  }

  @Test func noOtherFileIsOpened() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.4", "-c:v", "mpeg2video", workspace.path("other.ts"))
    let watch = try Watch(workspace.path("other.ts"))
    for address in ["other.ts", workspace.path("other.ts"), "file://" + workspace.path("other.ts")] {
      for (name, text) in Self.playlists(address) {
        try workspace.write(Array(text.utf8), to: name)
        for path in [workspace.path(name), "file:" + workspace.path(name)] {
          #expect(try mediaError { _ = try MediaReader(path: path) }.kind == .badData)
          #expect(!watch.wasOpened(), "\(name), \(address)")
        }
      }
    }
    // A drawing that shows another picture.
    try workspace.ffmpeg("-f", "lavfi", "-i", "color=red:s=16x16", "-frames:v", "1", workspace.path("inner.png"))
    let inner = try Watch(workspace.path("inner.png"))
    for address in ["inner.png", "file://" + workspace.path("inner.png")] {
      let drawing =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"16\" height=\"16\">"
        + "<image width=\"16\" height=\"16\" xlink:href=\"\(address)\"/></svg>"
      try workspace.write(Array(drawing.utf8), to: "drawing.svg")
      _ = try? workspace.pass("drawing.svg", to: "out.nut", InputOptions(), OutputOptions(overwrite: .replace))
      #expect(!inner.wasOpened())
    }
    // Whoever names the format wishes for the files in it.
    try workspace.write(Array(Self.playlists("other.ts")[0].text.utf8), to: "list.m3u8")
    try workspace.write(Array("ffconcat version 1.0\nfile other.ts\n".utf8), to: "list.ffconcat")
    for (name, format) in [("list.m3u8", "hls"), ("list.ffconcat", "concat")] {
      let passed = try workspace.pass(
        name, to: "out.nut", InputOptions(format: format), OutputOptions(overwrite: .replace))
      #expect(passed.frames.count == 10)
      #expect(watch.wasOpened(), "\(name)")
    }
  }

  /// libav takes `%d` and `*` in a name for a pattern, and opens some pictures itself.
  @Test func namesThatLookLikePatterns() throws {
    let workspace = try Workspace()
    for (index, name) in ["1.tga", "2.tga", "%d.tga", "*.png", "[1].jpg", "a?.bmp"].enumerated() {
      try workspace.ffmpeg(
        "-f", "lavfi", "-i", "color=0x\(index + 1)\(index + 1)\(index + 1)\(index + 1)\(index + 1)\(index + 1):s=16x16",
        "-frames:v",
        "1", "-update", "1", "-f", "image2", "-c:v",
        name.hasSuffix("tga") ? "targa" : name.hasSuffix("png") ? "png" : "bmp",
        workspace.path("made"))
      try Workspace.run("mv", [workspace.path("made"), workspace.path(name)])
      let passed = try workspace.pass(name, to: "out.nut", InputOptions(), OutputOptions(overwrite: .replace))
      #expect(passed.frames.count == 1)
      let grey = UInt8((index + 1) * 17)
      #expect(passed.pixels.allSatisfy { abs(Int($0) - Int(grey)) <= 2 }, "\(name)")
    }
  }

  /// Names and addresses in what a clip says about itself.
  @Test func metadataOpensNothing() throws {
    let workspace = try Workspace()
    let server = try Server()
    try workspace.write(Array("secret".utf8), to: "other.txt")
    let watch = try Watch(workspace.path("other.txt"))
    let address = "http://127.0.0.1:\(server.port)/x"
    var arguments = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.2"]
    for name in ["title", "comment", "filename", "url", "location", "attachment", "encoder"] {
      arguments += ["-metadata", "\(name)=movie=\(workspace.path("other.txt")),\(address)"]
      arguments += ["-metadata:s:v", "\(name)=file:\(workspace.path("other.txt"))"]
    }
    #expect(try Workspace.run("ffmpeg", arguments + [workspace.path("in.mkv")]) == 0)
    for output in ["out.mkv", "out.mp4", "out.nut", "out.avi"] { try workspace.pass("in.mkv", to: output) }
    #expect(!watch.wasOpened() && !server.wasCalled())
  }
}

/// Listens on a port of this machine, and says whether anybody called.
private final class Server {
  private let socket: Int32
  let port: UInt16

  init() throws {
    socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let socket = socket
    let isListening = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        bind(socket, pointer, length) == 0 && listen(socket, 16) == 0 && getsockname(socket, pointer, &length) == 0
      }
    }
    try #require(isListening)
    port = UInt16(bigEndian: address.sin_port)
  }

  deinit { close(socket) }

  /// Since it was asked last.
  func wasCalled() -> Bool {
    var count = 0
    while true {
      let connection = accept(socket, nil, nil)
      if connection < 0 { return count > 0 }
      close(connection)
      count += 1
    }
  }
}

/// Says whether a file was opened.
private final class Watch {
  private let descriptor: Int32

  init(_ path: String) throws {
    descriptor = inotify_init1(Int32(IN_NONBLOCK))
    try #require(inotify_add_watch(descriptor, path, UInt32(IN_OPEN)) >= 0)
  }

  deinit { close(descriptor) }

  /// Since it was asked last.
  func wasOpened() -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4096)
    var found = false
    while read(descriptor, &buffer, buffer.count) > 0 { found = true }
    return found
  }
}
