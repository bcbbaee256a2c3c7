import CLibAV
import Testing

@testable import MediaIO

/// Times of files: arithmetic that cannot trap, and clips that say anything.
@Suite struct TimestampTests {
  private let millisecond = AVRational(num: 1, den: 1000)
  private let broadcast = AVRational(num: 1, den: 90000)

  private func time(_ ticks: Int64) -> Timestamp { Timestamp(clamping: ticks, millisecond) }

  @Test func unknownIsNil() {
    #expect(Timestamp(FATEZERO_AV_NOPTS_VALUE, millisecond) == nil)
    #expect((nil as Timestamp?).ticks(in: millisecond) == FATEZERO_AV_NOPTS_VALUE)
    #expect(Timestamp(clamping: FATEZERO_AV_NOPTS_VALUE, millisecond).ticks == Int64.min + 1)
  }

  @Test func sumsStayInRange() {
    let (least, most) = (time(Int64.min), time(Int64.max))
    #expect((most + most).ticks == Int64.max && (most + time(1)).ticks == Int64.max && most.next.ticks == Int64.max)
    #expect((least + least).ticks == Int64.min + 1 && (least - most).ticks == Int64.min + 1)
    #expect((most - least).ticks == Int64.max && (-least).ticks == Int64.max && least.magnitude == most)
    #expect((time(5) - time(7)).ticks == -2 && (time(1) + Timestamp(clamping: 90, broadcast)).ticks == 2)
  }

  @Test func conversionsStayInRange() {
    for ticks in [Int64.max, Int64.max / 3, Int64.min, -Int64.max / 3] {
      let finer = Timestamp(clamping: ticks, AVRational(num: Int32.max, den: 1)).rescaled(
        to: AVRational(num: 1, den: Int32.max))
      #expect(finer.ticks == (ticks < 0 ? Int64.min + 1 : Int64.max))
      let back = time(ticks).rescaled(to: AVRational(num: 1, den: 1))
      #expect(abs(back.ticks) <= Int64.max / 1000 + 1)
    }
    #expect(time(40).ticks(in: broadcast) == 3600)
    #expect(Timestamp(clamping: 3645, broadcast).ticks(in: millisecond) == 41)
    #expect(Timestamp(seconds: 1e300).ticks == Int64.max && Timestamp(seconds: -1e300).ticks == Int64.min + 1)
    #expect(Timestamp(seconds: 1.5).ticks == 1_500_000)
  }

  @Test func orderIsExact() {
    #expect(time(1000) == Timestamp(clamping: 90000, broadcast))
    // One tick apart, where floating point sees none.
    let large = Timestamp(clamping: Int64.max, broadcast)
    #expect(Timestamp(clamping: Int64.max - 1, broadcast) < large)
    #expect(time(Int64.max) > large && time(Int64.min) < -large)
  }

  // MARK: Clips

  /// A Matroska file of JPEG pictures with the times that it is told.
  private struct Matroska {
    var nanosecondsPerTick: UInt64 = 1_000_000
    /// Cluster times and, for each, the block's time in it and its length.
    var pictures: [(cluster: UInt64, block: Int16, length: UInt64)]
    /// Nanoseconds.
    var chapters: [(start: UInt64, end: UInt64)] = []

    private func element(_ id: UInt32, _ content: [UInt8]) -> [UInt8] {
      let bytes = (0..<4).map { UInt8(truncatingIfNeeded: id >> (24 - 8 * $0)) }.drop { $0 == 0 }
      let size = (0..<8).map { UInt8(truncatingIfNeeded: UInt64(content.count) >> (56 - 8 * $0)) }
      return Array(bytes) + [1] + size.dropFirst() + content
    }

    private func number(_ id: UInt32, _ value: UInt64) -> [UInt8] {
      element(id, (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) })
    }

    func bytes(picture: [UInt8]) -> [UInt8] {
      let header = element(0x1A45_DFA3, element(0x4282, Array("matroska".utf8)))
      let video = element(0xE0, number(0xB0, 64) + number(0xBA, 64))
      let track = number(0xD7, 1) + number(0x73C5, 1) + number(0x83, 1) + element(0x86, Array("V_MJPEG".utf8)) + video
      let atoms = chapters.enumerated().flatMap { index, chapter in
        element(0xB6, number(0x73C4, UInt64(index + 1)) + number(0x91, chapter.start) + number(0x92, chapter.end))
      }
      var body = element(0x1549_A966, number(0x2AD7B1, nanosecondsPerTick)) + element(0x1654_AE6B, element(0xAE, track))
      if !chapters.isEmpty { body += element(0x1043_A770, element(0x45B9, atoms)) }
      for one in pictures {
        let time = UInt16(bitPattern: one.block)
        let block = element(0xA1, [0x81, UInt8(time >> 8), UInt8(time & 255), 0] + picture)
        let group = element(0xA0, block + (one.length > 0 ? number(0x9B, one.length) : []))
        body += element(0x1F43_B675, number(0xE7, one.cluster) + group)
      }
      return header + element(0x1853_8067, body)
    }
  }

  private static let times: [UInt64] = [
    0, 1, 40, 1 << 31, 1 << 40, 1 << 52, 1 << 62, (1 << 63) - 1, 1 << 63, UInt64.max - 40, UInt64.max,
  ]

  @Test func anyTimeIsReadOrRefused() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=64x64", "-frames:v", "1", "-c:v", "mjpeg", workspace.path("picture.jpg"))
    let picture = try workspace.bytes("picture.jpg")
    var read = 0
    var refused: [String] = []
    for (index, time) in Self.times.enumerated() {
      let other = Self.times[(index * 7 + 3) % Self.times.count]
      let file = Matroska(
        nanosecondsPerTick: [1_000_000, 1, 1 << 40][index % 3],
        pictures: [(time, 0, other), (other, 40, time), (80, -40, 0), (120, 0, 40)],
        chapters: [(time, other), (other, time), (0, 1 << 62)])
      try workspace.write(file.bytes(picture: picture), to: "in.mkv")
      for options in [InputOptions(), InputOptions(frames: 2), InputOptions(start: 3, duration: 1e8)] {
        for output in ["out.mkv", "out.mp4", "out.y4m", "out.ts"] {
          do {
            let passed = try workspace.pass(
              "in.mkv", to: output, options,
              OutputOptions(encoderOptions: output == "out.y4m" ? [] : [("preset", "ultrafast")]))
            #expect(passed.frameCount == passed.frames.count)
            read += 1
          } catch let error as MediaError {
            refused.append("\(index) \(output): \(error)")
          }
          try Workspace.run("rm", ["-f", workspace.path(output)])
          #expect(try workspace.names() == ["ffmpeg.log", "in.mkv", "picture.jpg"])
        }
      }
    }
    print("clips with impossible times: \(read) were read, \(refused.count) refused:", refused.joined(separator: "\n"))
    #expect(read > 30)
  }

  @Test func aClockThatBeganLongAgoBeginsAtZero() throws {
    let workspace = try Workspace()
    try workspace.ffmpeg(
      "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=0.4", "-c:v", "mjpeg", "-output_ts_offset", "1700000000",
      workspace.path("in.mkv"))
    let passed = try workspace.pass("in.mkv", to: "out.mp4")
    #expect(passed.warnings == [] && passed.frames.count == 10)
    #expect(try workspace.times("out.mp4").first == 0)
  }
}
