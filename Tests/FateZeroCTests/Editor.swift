import CFateZero
import Foundation
import TestSupport
import Testing

/// A context with small settings, and what it told its callbacks.
final class Editor {
  let context: OpaquePointer
  private(set) var progress: [fatezero_progress] = []
  private(set) var windows: [Window] = []
  private(set) var messages: [(level: fatezero_log_level, text: String)] = []
  /// Called on each progress.
  var onProgress: (fatezero_progress) -> Void = { _ in }
  /// What the cancel callback answers.
  var wantsCancellation: () -> Bool = { false }
  /// Threads that callbacks came on.
  private(set) var threads: Set<UInt> = []

  struct Window: Equatable {
    let window: Int64, frames: Int64, firstPTS: Int64, lastPTS: Int64
    let seconds: Double, peakMemory: Int64
    let words: String
    let maskShare: Double
  }

  static let model = Fixtures.oracle.appendingPathComponent("models/tinyA").path

  /// - Parameter settings: In the notation of `fatezero_set()`.
  init(_ settings: [(String, String)] = []) throws {
    context = try #require(fatezero_create())
    let small = [
      ("model", Editor.model), ("edit", "a [cat -> tiger] on the grass"), ("size", "64x64"), ("steps", "2"),
      ("clip-length", "3"), ("threads", "1"),
    ]
    for (name, text) in small + settings { try set(name, text) }
    var callbacks = fatezero_callbacks()
    callbacks.struct_size = MemoryLayout<fatezero_callbacks>.size
    callbacks.user_data = Unmanaged.passUnretained(self).toOpaque()
    callbacks.progress = { user, progress in
      guard let user, let progress else { return }
      let editor = Unmanaged<Editor>.fromOpaque(user).takeUnretainedValue()
      editor.threads.insert(UInt(pthread_self()))
      editor.progress.append(progress.pointee)
      editor.onProgress(progress.pointee)
    }
    callbacks.cancel = { user in
      guard let user else { return 0 }
      let editor = Unmanaged<Editor>.fromOpaque(user).takeUnretainedValue()
      editor.threads.insert(UInt(pthread_self()))
      return editor.wantsCancellation() ? 1 : 0
    }
    callbacks.log = { user, level, message in
      guard let user, let message else { return }
      let editor = Unmanaged<Editor>.fromOpaque(user).takeUnretainedValue()
      editor.threads.insert(UInt(pthread_self()))
      editor.messages.append((level, String(cString: message)))
    }
    callbacks.window = { user, window in
      guard let user, let window = window?.pointee else { return }
      let editor = Unmanaged<Editor>.fromOpaque(user).takeUnretainedValue()
      editor.threads.insert(UInt(pthread_self()))
      editor.windows.append(
        Window(
          window: window.window, frames: window.frames, firstPTS: window.first_pts, lastPTS: window.last_pts,
          seconds: window.seconds, peakMemory: window.peak_memory, words: String(cString: window.words),
          maskShare: window.mask_share))
    }
    try succeed(fatezero_set_callbacks(context, &callbacks))
  }

  deinit { fatezero_destroy(context) }

  var error: String { String(cString: fatezero_error(context)) }

  func get(_ name: String) -> String? { fatezero_get(context, name).map { String(cString: $0) } }

  func set(_ name: String, _ text: String?) throws { try succeed(fatezero_set(context, name, text)) }

  /// A status that must be OK.
  func succeed(_ status: fatezero_status, sourceLocation: SourceLocation = #_sourceLocation) throws {
    try #require(status == FATEZERO_OK, "\(status.rawValue): \(error)", sourceLocation: sourceLocation)
  }

  // MARK: Clips

  func push(_ picture: PixelBuffer) throws { try succeed(fatezero_push(context, &picture.frame)) }

  /// The frames that are ready.
  func received(like picture: PixelBuffer) throws -> [PixelBuffer] {
    var frames: [PixelBuffer] = []
    while true {
      let frame = PixelBuffer(picture.width, picture.height, picture.frame.format)
      let status = fatezero_receive(context, &frame.frame)
      if status == FATEZERO_AGAIN { return frames }
      try succeed(status)
      frames.append(frame)
    }
  }

  /// Push, receive, drain.
  func stream(_ clip: [PixelBuffer]) throws -> [PixelBuffer] {
    var frames: [PixelBuffer] = []
    for picture in clip {
      try push(picture)
      frames += try received(like: picture)
    }
    try succeed(fatezero_drain(context))
    return frames + (try received(like: clip[0]))
  }

  func editClip(_ clip: [PixelBuffer]) throws -> [PixelBuffer] {
    let result = clip.map { PixelBuffer($0.width, $0.height, $0.frame.format) }
    var frames = result.map(\.frame)
    try succeed(fatezero_edit_clip(context, clip.map(\.frame), &frames, clip.count))
    for (picture, frame) in zip(result, frames) { picture.frame = frame }
    return result
  }

  func invert(_ clip: [PixelBuffer]) throws -> OpaquePointer {
    var inversion: OpaquePointer?
    try succeed(fatezero_invert(context, clip.map(\.frame), clip.count, &inversion))
    return try #require(inversion)
  }

  func edit(_ inversion: OpaquePointer, like clip: [PixelBuffer]) throws -> [PixelBuffer] {
    let result = clip.map { PixelBuffer($0.width, $0.height, $0.frame.format) }
    var frames = result.map(\.frame)
    try succeed(fatezero_edit_inversion(context, inversion, &frames, clip.count))
    for (picture, frame) in zip(result, frames) { picture.frame = frame }
    return result
  }
}

/// A picture with memory of its own around it, to see what is written where.
final class PixelBuffer {
  let width: Int, height: Int
  var frame: fatezero_frame
  /// Never freed: `frame` holds a bare pointer into it, and a buffer may be let go of before the call that is handed its
  /// frame.
  private let memory: UnsafeMutableRawBufferPointer

  /// - Parameters:
  ///   - padding: Bytes between the rows.
  ///   - bottomUp: Whether the top row lies last.
  init(
    _ width: Int, _ height: Int, _ format: fatezero_pixel_format = FATEZERO_RGB24, padding: Int = 0,
    bottomUp: Bool = false
  ) {
    (self.width, self.height) = (width, height)
    let stride = width * PixelBuffer.bytes(format) + padding
    memory = .allocate(byteCount: stride * height, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0xAA)
    frame = fatezero_frame()
    frame.struct_size = MemoryLayout<fatezero_frame>.size
    (frame.width, frame.height) = (Int32(width), Int32(height))
    frame.format = format
    frame.stride = bottomUp ? -stride : stride
    let first = memory.baseAddress?.assumingMemoryBound(to: UInt8.self)
    frame.data = bottomUp ? first.map { $0 + (height - 1) * stride } : first
    frame.pts = .min  // FATEZERO_NO_PTS
  }

  static func bytes(_ format: fatezero_pixel_format) -> Int {
    format == FATEZERO_RGB24 || format == FATEZERO_BGR24 ? 3 : 4
  }

  /// Red, green, blue and alpha (255 where there is none).
  subscript(column: Int, row: Int) -> [UInt8] {
    get {
      let pixel = frame.data + row * frame.stride + column * PixelBuffer.bytes(frame.format)
      let isReversed = frame.format == FATEZERO_BGR24 || frame.format == FATEZERO_BGRA32
      return [
        pixel[isReversed ? 2 : 0], pixel[1], pixel[isReversed ? 0 : 2],
        PixelBuffer.bytes(frame.format) == 4 ? pixel[3] : 255,
      ]
    }
    set {
      let pixel = frame.data + row * frame.stride + column * PixelBuffer.bytes(frame.format)
      let isReversed = frame.format == FATEZERO_BGR24 || frame.format == FATEZERO_BGRA32
      pixel[isReversed ? 2 : 0] = newValue[0]
      pixel[1] = newValue[1]
      pixel[isReversed ? 0 : 2] = newValue[2]
      if PixelBuffer.bytes(frame.format) == 4 { pixel[3] = newValue[3] }
    }
  }

  /// All pixels, red, green and blue.
  var colours: [UInt8] { (0..<height).flatMap { row in (0..<width).flatMap { self[$0, row].prefix(3) } } }
  var alpha: [UInt8] { (0..<height).flatMap { row in (0..<width).map { self[$0, row][3] } } }
  /// Bytes between the rows.
  var padding: [UInt8] {
    let row = width * PixelBuffer.bytes(frame.format)
    let stride = Int(frame.stride.magnitude)
    return (0..<height).flatMap { memory[$0 * stride + row..<($0 + 1) * stride] }
  }

  /// A clip that moves: number `index` of its pictures.
  static func moving(
    _ index: Int, width: Int = 64, height: Int = 48, _ format: fatezero_pixel_format = FATEZERO_RGB24,
    padding: Int = 0, bottomUp: Bool = false, alpha: (Int, Int) -> UInt8 = { _, _ in 255 }
  ) -> PixelBuffer {
    let picture = PixelBuffer(width, height, format, padding: padding, bottomUp: bottomUp)
    for row in 0..<height {
      for column in 0..<width {
        let inside = abs(column - 10 - 4 * index) < 9 && abs(row - height / 2) < 12
        picture[column, row] =
          (inside ? [200, 120, 40] : [UInt8(truncatingIfNeeded: 2 * column), UInt8(truncatingIfNeeded: 3 * row), 90])
          + [alpha(column, row)]
      }
    }
    picture.frame.pts = Int64(index) * 40
    return picture
  }

  static func clip(_ count: Int) -> [PixelBuffer] { (0..<count).map { moving($0) } }
}
