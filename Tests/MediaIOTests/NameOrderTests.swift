import Glibc
import Testing

@testable import MediaIO

/// Files come in the order of the numbers in their names.
@Suite struct NameOrderTests {
  @Test(arguments: [
    ["1.png", "2.png", "9.png", "10.png", "11.png", "100.png"],
    ["shot-2-1.png", "shot-2-10.png", "shot-10-1.png"],
    ["a2b10.png", "a10b2.png"],
    ["IMG_1.JPG", "img_2.jpg", "IMG_9.JPG", "img_10.jpg"],
    ["frame.png", "frame 2.png", "frame-2.png", "frame-10.png", "frame2.png"],
    ["0009.png", "10.png", "0011.png"],
    ["07.png", "7.png", "08.png"],
    ["f99999999999999999999998.png", "f99999999999999999999999.png", "f100000000000000000000000.png"],
    ["2.PNG", "2.png", "3.PNG"],
    ["été 2.png", "été 10.png"],
    ["1.bmp", "1.png", "2.bmp"],
    ["clip.1.png", "clip.2.png", "clip.10.png"],
    ["v1.2.png", "v1.10.png", "v2.1.png"],
  ])
  func order(names: [String]) {
    #expect(names.reversed().sorted(by: NameOrder.precedes) == names)
    // Every pair has one order, and only one.
    for (index, name) in names.enumerated() {
      #expect(!NameOrder.precedes(name, name))
      for later in names[(index + 1)...] {
        #expect(NameOrder.precedes(name, later) && !NameOrder.precedes(later, name), "\(name), \(later)")
      }
    }
  }

  /// Each picture is as grey as its number in the sequence says.
  @Test(arguments: [
    (1...12).map { "\($0).png" }, (8...12).map { "Render_\($0)_final.PNG" }, [2, 10, 33, 100].map { "\($0).jpg" },
    ["IMG_1.BMP", "img_2.bmp", "IMG_10.BMP"],
  ])
  func foldersAreReadInOrder(names: [String]) throws {
    let workspace = try Workspace()
    #expect(mkdir(workspace.path("in"), 0o700) == 0)
    // Written backwards, so that no order of creation helps.
    for (index, name) in names.enumerated().reversed() {
      try workspace.ffmpeg(
        "-f", "lavfi", "-i",
        "color=0x\(String(repeating: index < 10 ? "\(index)0" : "\(index - 9)8", count: 3)):s=16x16",
        "-frames:v", "1", "-f", "image2", workspace.path("in/" + name))
    }
    let files = try ImageSequence.files(at: workspace.path("in"))
    #expect(files == names.map { workspace.path("in/" + $0) })
    let reader = try MediaReader(path: workspace.path("in"))
    for name in names {
      let read = try #require(try reader.nextFrame())
      #expect(try workspace.pixels("in/" + name) == read.pixels, "\(name)")
    }
    #expect(try reader.nextFrame()?.timestamp == nil)
  }
}
