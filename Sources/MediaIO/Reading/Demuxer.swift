import CLibAV
import Glibc
import Text

/// An opened container: streams and packets.
final class Demuxer {
  let name: String
  let context: UnsafeMutablePointer<AVFormatContext>
  /// nil where libav opens the address itself.
  let io: DescriptorIO?
  let maximumPixels: Int?
  private let interrupt: Interrupt

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
    if path == "-" {
      io = try .standardInput(isCancelled: isCancelled)
    } else if path.holds(text: "://"), access(path, F_OK) != 0 {
      io = nil
    } else {
      io = try .reading(path, isCancelled: isCancelled)
    }

    guard let allocated = avformat_alloc_context() else { throw MediaError(.io, "\(name): out of memory") }
    allocated.pointee.pb = io?.context
    allocated.pointee.interrupt_callback = interrupt.callback
    let dictionary = OptionDictionary(options)
    var opened: UnsafeMutablePointer<AVFormatContext>? = allocated
    let code = avformat_open_input(&opened, path, inputFormat, &dictionary.pointer)
    guard code >= 0, let opened else {
      if let io, io.byteCount == 0, code == FATEZERO_AVERROR_EOF || code == FATEZERO_AVERROR_INVALIDDATA {
        throw MediaError(.badData, "\(name) is empty")
      }
      throw MediaError(code: code, name, as: io == nil ? .noInput : .badData)
    }
    context = opened
    if let unknown = dictionary.names.first {
      throw MediaError(.usage, "\(name): an input of format \(formatName) has no option \(unknown)")
    }
    try findStreams()
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
    else { throw MediaError(.badData, "\(name): there is no video stream in it (\(formatName))") }
    return stream
  }

  /// Reads the next packet: 0, or an error code of libav (the end is one).
  func read(into packet: Packet) -> Int32 {
    av_packet_unref(packet.pointer)
    return av_read_frame(context, packet.pointer)
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
