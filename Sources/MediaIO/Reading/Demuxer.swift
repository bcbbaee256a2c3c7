import CLibAV
import Glibc
import Text

/// An opened container: streams and packets.
final class Demuxer {
  let name: String
  let context: UnsafeMutablePointer<AVFormatContext>
  /// nil where libav opens the address itself.
  let io: DescriptorIO?
  /// What the input's first bytes are known for; nil for a clip.
  private let signature: FileSignature?
  /// Told of what is wrong with the times of packets, once for each kind.
  var warn: (String) -> Void = { _ in }
  /// Of a picture; nil: any number.
  let maximumPixels: Int?
  private let interrupt: Interrupt
  private let confinement: InputConfinement
  private var clock = ClipClock(mayRestart: false, origin: nil)

  /// - Parameters:
  ///   - path: `-` for standard input, a path, or an address with a scheme libav knows.
  ///   - maximumPixels: Of a picture; nil: any number.
  init(
    path: String, format: String?, options: [(String, String)], maximumPixels: Int? = nil,
    isCancelled: @escaping @Sendable () -> Bool
  ) throws {
    LibAVLog.start()
    name = path == "-" ? "standard input" : path
    self.maximumPixels = maximumPixels
    interrupt = Interrupt(isCancelled)
    var inputFormat: UnsafePointer<AVInputFormat>?
    if let format {
      inputFormat = av_find_input_format(format)
      guard inputFormat != nil else { throw MediaError(.usage, "--input-format \(format): libav has no such format") }
    }
    // libav's own way to write a path as an address.
    let local = path.begins(with: "file:") && access(path, F_OK) != 0 ? String(path.dropFirst("file:".count)) : path
    if path == "-" {
      io = try .standardInput(isCancelled: isCancelled)
    } else if local.contains("://"), access(local, F_OK) != 0 {
      io = nil
    } else {
      io = try .reading(local, isCancelled: isCancelled)
    }
    confinement = InputConfinement(path: local, isAddress: io == nil, format: format, isCancelled: isCancelled)
    var options = confinement.options + options
    if let io, inputFormat == nil {
      inputFormat = try Demuxer.recognise(io, path: local, name: name)
      // A name with a `%` in it is no pattern here: the file is there.
      if inputFormat.map({ String(cString: $0.pointee.name) }) == "image2" { options.append(("pattern_type", "none")) }
    }
    signature = io.flatMap { FileSignature(head: $0.head) }

    guard let allocated = avformat_alloc_context() else { throw MediaError(.io, "\(name): out of memory") }
    allocated.pointee.pb = io?.context
    allocated.pointee.interrupt_callback = interrupt.callback
    confinement.attach(to: allocated)
    let dictionary = OptionDictionary(options)
    var opened: UnsafeMutablePointer<AVFormatContext>? = allocated
    let code = avformat_open_input(&opened, local, inputFormat, &dictionary.pointer)
    guard code >= 0, let opened else {
      if let io, io.byteCount == 0, code == FATEZERO_AVERROR_EOF || code == FATEZERO_AVERROR_INVALIDDATA {
        throw MediaError(.badData, "\(name) is empty")
      }
      let error = MediaError(code: code, name, as: io == nil ? .noInput : .badData)
      throw error.kind == .badData ? signature?.error(name) ?? error : error
    }
    context = opened
    if let unknown = dictionary.names.first {
      throw MediaError(.usage, "\(name): an input of format \(formatName) has no option \(unknown)")
    }
    try findStreams()
    clock = ClipClock(mayRestart: beginsAnywhere, origin: Timestamp(opened.pointee.start_time, microsecondTimeBase))
  }

  /// Reads what the container does not say of its streams from their first packets. Pictures are not decoded where they are too
  /// large.
  private func findStreams() throws {
    let limits = (0..<context.pointee.nb_streams).map { _ in
      OptionDictionary(maximumPixels.map { [("max_pixels", "\($0)")] } ?? [])
    }
    var options = limits.map(\.pointer)
    defer { for (limit, option) in zip(limits, options) { limit.pointer = option } }
    try check(avformat_find_stream_info(context, &options), name, as: .badData)
    guard let maximumPixels else { return }
    // "Picture size 30000x30000 exceeds specified max pixel count 67108864, ..."
    var size = LibAVLog.errors.first { $0.holds(text: "max pixel count") }?.words.dropFirst(2).first.map(String.init)
    for stream in streams where stream.pointee.codecpar.pointee.codec_type == AVMEDIA_TYPE_VIDEO {
      let (width, height) = (stream.pointee.codecpar.pointee.width, stream.pointee.codecpar.pointee.height)
      if Int(max(width, 0)) * Int(max(height, 0)) > maximumPixels { size = "\(width)x\(height)" }
    }
    guard let size else { return }
    _ = LibAVLog.takeErrors()
    throw MediaError(
      .memory,
      "\(name): a picture of \(size) pixels does not fit the memory that may be used, which holds \(maximumPixels) pixels; "
        + "raise memory-limit or make the picture smaller")
  }

  /// Finds out what an input is before a demuxer reads it.
  /// - Throws: For what is no clip, and for lists of other files, which are opened only where the user names the format.
  private static func recognise(_ io: DescriptorIO, path: String, name: String) throws -> UnsafePointer<AVInputFormat> {
    var format: UnsafePointer<AVInputFormat>?
    let code = av_probe_input_buffer2(io.context, &format, path, nil, 0, 0)
    let signature = FileSignature(head: io.head)
    if let signature, signature.kind == .other || signature.kind == .playlist { throw signature.error(name) }
    guard code >= 0, let format else {
      if io.byteCount == 0, code == FATEZERO_AVERROR_EOF || code == FATEZERO_AVERROR_INVALIDDATA {
        throw MediaError(.badData, "\(name) is empty")
      }
      let error = MediaError(code: code, name, as: .badData)
      throw error.kind == .badData ? signature?.error(name) ?? error : error
    }
    let formatName = String(cString: format.pointee.name)
    if let playlist = InputConfinement.playlist(formatName) { throw playlist.error(name) }
    // Any text is a picture of its letters to libav.
    if formatName == "tty", let signature { throw signature.error(name) }
    return format
  }

  deinit {
    var context: UnsafeMutablePointer<AVFormatContext>? = context
    avformat_close_input(&context)
  }

  var formatName: String { String(cString: context.pointee.iformat.pointee.name) }
  var isSeekable: Bool { io.map(\.isRegularFile) ?? (context.pointee.pb?.pointee.seekable ?? 0 != 0) }

  var streams: [UnsafeMutablePointer<AVStream>] {
    (0..<Int(context.pointee.nb_streams)).compactMap { context.pointee.streams[$0] }
  }

  /// The stream to edit; cover pictures do not count.
  func videoStream() throws -> UnsafeMutablePointer<AVStream> {
    let index = av_find_best_stream(context, AVMEDIA_TYPE_VIDEO, -1, -1, nil, 0)
    guard index >= 0, let stream = context.pointee.streams[Int(index)],
      stream.pointee.disposition & AV_DISPOSITION_ATTACHED_PIC == 0
    else {
      let kinds = Set(streams.map { $0.pointee.codecpar.pointee.codec_type })
      let rest = kinds == [AVMEDIA_TYPE_AUDIO] ? ", only sound" : ""
      throw unreadable(MediaError(.badData, "\(name): there is no video stream in it (\(formatName))\(rest)"))
    }
    return stream
  }

  /// An error that calls the input by its name, where it is known to be something that libav reads no frames of.
  func unreadable(_ error: MediaError) -> MediaError {
    error.kind == .badData ? signature?.error(name) ?? error : error
  }

  /// The container's clock may begin at any time, and anew on the way: that of a broadcast, or of a disc.
  var beginsAnywhere: Bool { context.pointee.iformat.pointee.flags & AVFMT_TS_DISCONT != 0 }

  /// The first moment of the container's clock.
  var origin: Timestamp { Timestamp(context.pointee.start_time, microsecondTimeBase) ?? .zero }

  /// Reads the next packet, its times on one clock: 0, or an error code of libav (the end is one).
  func read(into packet: Packet) -> Int32 {
    av_packet_unref(packet.pointer)
    let code = av_read_frame(context, packet.pointer)
    guard code >= 0, let stream = context.pointee.streams[Int(packet.pointer.pointee.stream_index)] else { return code }
    packet.timeBase = stream.pointee.time_base
    let known = clock.faults
    clock.correct(packet, of: stream)
    for fault in clock.faults where !known.contains(fault) { warn("\(name): \(fault)") }
    return code
  }

  /// Moves to the last key frame of a stream before `time`, where the container can.
  func seek(_ stream: UnsafeMutablePointer<AVStream>, before time: Timestamp) {
    let target = time.ticks(in: stream.pointee.time_base)
    avformat_seek_file(context, stream.pointee.index, Int64.min, target, target, AVSEEK_FLAG_BACKWARD)
    _ = LibAVLog.takeErrors()
    clock.seeked()
  }
}

/// Asked by libav while it waits for something of its own, like a network.
final class Interrupt {
  private let isCancelled: @Sendable () -> Bool

  init(_ isCancelled: @escaping @Sendable () -> Bool) { self.isCancelled = isCancelled }

  /// Valid as long as this object lives.
  var callback: AVIOInterruptCB {
    AVIOInterruptCB(
      callback: { Unmanaged<Interrupt>.fromOpaque($0!).takeUnretainedValue().isCancelled() ? 1 : 0 },
      opaque: Unmanaged.passUnretained(self).toOpaque())
  }
}
