// The names are those of the C header.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CFateZero
import FateZero

// The functions of fatezero.h, which says what they do. The compiler compares their types with it.

/// Runs `body` as one call with the context.
private func call(_ context: OpaquePointer?, _ body: (Session) throws -> Void) -> fatezero_status {
  status(context) { session in
    try body(session)
    return FATEZERO_OK
  }
}

private func status(_ context: OpaquePointer?, _ body: (Session) throws -> fatezero_status) -> fatezero_status {
  Handle.object(context, as: Context.self)?.call(body) ?? FATEZERO_INVALID_ARGUMENT
}

@_cdecl("fatezero_version") @implementation
public func fatezero_version() -> UnsafePointer<CChar>? { CText.constant(Version.text) }

// MARK: - Context

@_cdecl("fatezero_create") @implementation
public func fatezero_create() -> OpaquePointer? { Handle.make(Context()) }

@_cdecl("fatezero_destroy") @implementation
public func fatezero_destroy(_ context: OpaquePointer?) { Handle.release(context, as: Context.self) }

@_cdecl("fatezero_error") @implementation
public func fatezero_error(_ context: OpaquePointer?) -> UnsafePointer<CChar>? {
  Handle.object(context, as: Context.self)?.errorText ?? CText.constant("the context is null")
}

@_cdecl("fatezero_cancel") @implementation
public func fatezero_cancel(_ context: OpaquePointer?) {
  Handle.object(context, as: Context.self)?.cancellation.request()
}

@_cdecl("fatezero_reset") @implementation
public func fatezero_reset(_ context: OpaquePointer?) -> fatezero_status { call(context) { $0.reset() } }

// MARK: - Settings

@_cdecl("fatezero_configure") @implementation
public func fatezero_configure(
  _ context: OpaquePointer?, _ options: UnsafePointer<fatezero_options>?
) -> fatezero_status {
  call(context) {
    let options = try StructSize.read(
      options, over: Options.unset, named: "options", atLeast: MemoryLayout<Int>.size)
    try $0.configure(try Options.layer(options))
  }
}

@_cdecl("fatezero_set") @implementation
public func fatezero_set(
  _ context: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ text: UnsafePointer<CChar>?
) -> fatezero_status {
  call(context) {
    guard let name else { throw Failure.argument("name is null") }
    try $0.set(String(cString: name), to: text.map { String(cString: $0) })
  }
}

@_cdecl("fatezero_get") @implementation
public func fatezero_get(_ context: OpaquePointer?, _ name: UnsafePointer<CChar>?) -> UnsafePointer<CChar>? {
  guard let name else { return nil }
  return Handle.object(context, as: Context.self)?.get(String(cString: name))
}

@_cdecl("fatezero_check") @implementation
public func fatezero_check(_ context: OpaquePointer?) -> fatezero_status { call(context) { try $0.check() } }

@_cdecl("fatezero_set_callbacks") @implementation
public func fatezero_set_callbacks(
  _ context: OpaquePointer?, _ callbacks: UnsafePointer<fatezero_callbacks>?
) -> fatezero_status {
  call(context) {
    $0.callbacks = Callbacks(
      callbacks == nil
        ? fatezero_callbacks()
        : try StructSize.read(
          callbacks, over: fatezero_callbacks(), named: "callbacks", atLeast: MemoryLayout<Int>.size))
  }
}

// MARK: - Frames

@_cdecl("fatezero_push") @implementation
public func fatezero_push(_ context: OpaquePointer?, _ frame: UnsafePointer<fatezero_frame>?) -> fatezero_status {
  call(context) { try $0.push(try Picture(frame)) }
}

@_cdecl("fatezero_receive") @implementation
public func fatezero_receive(
  _ context: OpaquePointer?, _ frame: UnsafeMutablePointer<fatezero_frame>?
) -> fatezero_status {
  status(context) {
    try $0.receive(into: try Picture(frame.map { UnsafePointer($0) })) { frame?.pointee.pts = $0 }
      ? FATEZERO_OK : FATEZERO_AGAIN
  }
}

@_cdecl("fatezero_drain") @implementation
public func fatezero_drain(_ context: OpaquePointer?) -> fatezero_status { call(context) { try $0.drain() } }

// MARK: - Whole clips

/// An array of the caller's frames, whose size may be that of a later version.
private struct FrameArray {
  let base: UnsafeMutableRawPointer
  let stride: Int
  let pictures: [Picture]

  init(_ frames: UnsafePointer<fatezero_frame>?, count: Int, named name: String) throws {
    // The first one says how far apart they lie.
    let first = try StructSize.read(
      frames, over: fatezero_frame(), named: name, atLeast: MemoryLayout<fatezero_frame>.size)
    guard let frames, count > 0, count <= 1 << 32 else {
      throw Failure.argument("count is \(UInt(bitPattern: count)); give the number of frames, at least 1")
    }
    base = UnsafeMutableRawPointer(mutating: UnsafeRawPointer(frames))
    stride = first.struct_size
    let (start, step) = (base, stride)
    pictures = try (0..<count).map { index in
      let pointer = start + index * step
      guard pointer.load(as: Int.self) == step else {
        throw Failure.argument("\(name)[\(index)].struct_size is not that of \(name)[0]")
      }
      return try Picture(
        UnsafePointer(pointer.assumingMemoryBound(to: fatezero_frame.self)), named: "\(name)[\(index)]")
    }
  }

  /// - Throws: `Failure` unless all frames have this size.
  func check(_ size: FrameSize, named name: String) throws {
    for (index, picture) in pictures.enumerated() where picture.size != size {
      throw Failure(FATEZERO_FRAMES, "\(name)[\(index)] has \(picture.size) pixels where the clip has \(size)")
    }
  }

  func setPTS(_ index: Int, _ pts: Int64) {
    (base + index * stride).assumingMemoryBound(to: fatezero_frame.self).pointee.pts = pts
  }
}

@_cdecl("fatezero_edit_clip") @implementation
public func fatezero_edit_clip(
  _ context: OpaquePointer?, _ source: UnsafePointer<fatezero_frame>?, _ result: UnsafeMutablePointer<fatezero_frame>?,
  _ count: Int
) -> fatezero_status {
  call(context) {
    let source = try FrameArray(source, count: count, named: "source")
    let result = try FrameArray(result.map { UnsafePointer($0) }, count: count, named: "result")
    let size = source.pictures[0].size
    try source.check(size, named: "source")
    try result.check(size, named: "result")
    try $0.edit(source.pictures, into: result.pictures, setPTS: result.setPTS)
  }
}

@_cdecl("fatezero_invert") @implementation
public func fatezero_invert(
  _ context: OpaquePointer?, _ source: UnsafePointer<fatezero_frame>?, _ count: Int,
  _ inversion: UnsafeMutablePointer<OpaquePointer?>?
) -> fatezero_status {
  inversion?.pointee = nil
  return call(context) {
    guard let inversion else { throw Failure.argument("inversion is null") }
    let source = try FrameArray(source, count: count, named: "source")
    try source.check(source.pictures[0].size, named: "source")
    inversion.pointee = Handle.make(try $0.invert(source.pictures))
  }
}

@_cdecl("fatezero_edit_inversion") @implementation
public func fatezero_edit_inversion(
  _ context: OpaquePointer?, _ inversion: OpaquePointer?, _ result: UnsafeMutablePointer<fatezero_frame>?, _ count: Int
) -> fatezero_status {
  call(context) {
    guard let inverted = Handle.object(inversion, as: InvertedClip.self) else {
      throw Failure.argument("inversion is null")
    }
    let frames = inverted.inversion.frameCount
    guard count == frames else {
      throw Failure.argument("count is \(UInt(bitPattern: count)) where \(frames) frames were inverted")
    }
    let result = try FrameArray(result.map { UnsafePointer($0) }, count: count, named: "result")
    try result.check(inverted.inversion.frameSize, named: "result")
    try $0.edit(inverted, into: result.pictures, setPTS: result.setPTS)
  }
}

@_cdecl("fatezero_inversion_destroy") @implementation
public func fatezero_inversion_destroy(_ inversion: OpaquePointer?) {
  Handle.release(inversion, as: InvertedClip.self)
}
