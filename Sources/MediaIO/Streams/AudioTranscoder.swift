import CLibAV
import Glibc

/// Sound in a codec the output container cannot hold, on its way into the container's default one.
final class AudioTranscoder: PacketRoute {
  let output: UnsafeMutablePointer<AVStream>
  let codecName: String
  private let decoder: Decoder
  private let graph: FilterGraph
  private let encoder: UnsafeMutablePointer<AVCodecContext>
  private let name: String
  private let warn: (String) -> Void
  private var hasWarned = false
  /// When the next sample is due, in samples: what `av_rescale_delta` keeps between frames.
  private var lastSample = FATEZERO_AV_NOPTS_VALUE

  /// - Parameter makeOutput: adds the stream to the output, once all else is known to work. Where it throws, another sample
  ///   rate or other channels are tried.
  init(
    _ source: UnsafeMutablePointer<AVStream>, in name: String, to codec: UnsafePointer<AVCodec>, globalHeader: Bool,
    makeOutput: (UnsafeMutablePointer<AVCodecParameters>, AVRational) throws -> UnsafeMutablePointer<AVStream>,
    warn: @escaping (String) -> Void
  ) throws {
    self.name = name
    self.warn = warn
    codecName = String(cString: codec.pointee.name)
    decoder = try Decoder(stream: source, in: name)
    let input = decoder.context
    if input.pointee.ch_layout.order == AV_CHANNEL_ORDER_UNSPEC {
      let channels = input.pointee.ch_layout.nb_channels
      av_channel_layout_default(&input.pointee.ch_layout, channels)
    }
    let audio = FilterGraph.Audio(
      sampleRate: input.pointee.sample_rate, sampleFormat: input.pointee.sample_fmt,
      channelLayout: AudioTranscoder.name(of: input.pointee.ch_layout))
    var firstError: (any Error)?
    for conversion in AudioTranscoder.conversions(to: codec, from: input) {
      do {
        let graph = try FilterGraph(audio: audio, description: conversion)
        let encoder = try AudioTranscoder.encoder(codec, of: graph, globalHeader: globalHeader)
        do {
          output = try AudioTranscoder.output(of: encoder, named: codecName, makeOutput)
        } catch {
          var context: UnsafeMutablePointer<AVCodecContext>? = encoder
          avcodec_free_context(&context)
          throw error
        }
        (self.graph, self.encoder) = (graph, encoder)
        if codec.pointee.capabilities & AV_CODEC_CAP_VARIABLE_FRAME_SIZE == 0 {
          graph.setFrameSize(encoder.pointee.frame_size)
        }
        return
      } catch {
        if firstError == nil { firstError = error }
      }
    }
    throw firstError ?? MediaError(.usage, "\(codecName) takes no sound of \(audio.sampleRate) Hz")
  }

  deinit {
    var context: UnsafeMutablePointer<AVCodecContext>? = encoder
    avcodec_free_context(&context)
  }

  private static func encoder(
    _ codec: UnsafePointer<AVCodec>, of graph: FilterGraph, globalHeader: Bool
  ) throws -> UnsafeMutablePointer<AVCodecContext> {
    guard let encoder = avcodec_alloc_context3(codec) else { throw MediaError(.io, "out of memory for an encoder") }
    do {
      try graph.describeAudio(to: encoder)
      encoder.pointee.time_base = AVRational(num: 1, den: encoder.pointee.sample_rate)
      if globalHeader { encoder.pointee.flags |= AV_CODEC_FLAG_GLOBAL_HEADER }
      encoder.pointee.strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL
      try check(avcodec_open2(encoder, codec, nil), "encoder \(String(cString: codec.pointee.name))", as: .usage)
      return encoder
    } catch {
      var context: UnsafeMutablePointer<AVCodecContext>? = encoder
      avcodec_free_context(&context)
      throw error
    }
  }

  private static func output(
    of encoder: UnsafeMutablePointer<AVCodecContext>, named name: String,
    _ make: (UnsafeMutablePointer<AVCodecParameters>, AVRational) throws -> UnsafeMutablePointer<AVStream>
  ) throws -> UnsafeMutablePointer<AVStream> {
    var parameters = avcodec_parameters_alloc()
    defer { avcodec_parameters_free(&parameters) }
    guard let parameters else { throw MediaError(.io, "out of memory for a stream") }
    try check(avcodec_parameters_from_context(parameters, encoder), "encoder \(name)", as: .io)
    return try make(parameters, encoder.pointee.time_base)
  }

  // MARK: What the encoder takes

  /// Filters that bring samples into forms the encoder takes, those that change least first.
  private static func conversions(
    to codec: UnsafePointer<AVCodec>, from input: UnsafeMutablePointer<AVCodecContext>
  ) -> [String] {
    var formats: [String] = []
    if var next = fatezero_sample_formats(codec) {
      while next.pointee != AV_SAMPLE_FMT_NONE {
        if let name = av_get_sample_fmt_name(next.pointee) { formats.append(String(cString: name)) }
        next += 1
      }
    }
    let format = formats.isEmpty ? "" : "sample_fmts=" + formats.joined(separator: "|") + ":"
    let rates = sampleRates(of: codec, from: input.pointee.sample_rate)
    return channelLayouts(of: codec, from: input.pointee.ch_layout).flatMap { layout in
      rates.map { "aformat=\(format)sample_rates=\($0):channel_layouts=\(layout)" }
    }
  }

  private static func sampleRates(of codec: UnsafePointer<AVCodec>, from rate: Int32) -> [Int32] {
    var supported: [Int32] = []
    if var next = fatezero_sample_rates(codec) {
      while next.pointee != 0 {
        supported.append(next.pointee)
        next += 1
      }
    }
    // What containers and encoders ask for where they do not take every rate.
    let usual: [Int32] = [48000, 44100, 32000, 22050, 16000, 8000]
    return ([rate] + usual.filter { $0 != rate }).filter { supported.isEmpty || supported.contains($0) }
  }

  private static func channelLayouts(of codec: UnsafePointer<AVCodec>, from layout: AVChannelLayout) -> [String] {
    var names = [name(of: layout)]
    for count in [layout.nb_channels, 2, 1] {
      var usual = AVChannelLayout()
      av_channel_layout_default(&usual, count)
      let usualName = name(of: usual)
      if !names.contains(usualName) { names.append(usualName) }
    }
    guard var next = fatezero_channel_layouts(codec) else { return names }
    var supported: Set<String> = []
    while next.pointee.nb_channels != 0 {
      supported.insert(name(of: next.pointee))
      next += 1
    }
    return names.filter(supported.contains)
  }

  private static func name(of layout: AVChannelLayout) -> String {
    var layout = layout
    var text = [CChar](repeating: 0, count: 256)
    av_channel_layout_describe(&layout, &text, text.count)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  func process(_ packet: Packet?, write: (Packet) throws -> Void) throws {
    let code = decoder.send(packet)
    if code < 0 && code != -EAGAIN && code != FATEZERO_AVERROR_EOF { noteError(code) }
    while true {
      let frame = try Frame()
      let code = decoder.receive(into: frame)
      if code == -EAGAIN || code == FATEZERO_AVERROR_EOF { break }
      if code < 0 {
        noteError(code)
        break
      }
      stamp(frame)
      if frame.pointer.pointee.ch_layout.order == AV_CHANNEL_ORDER_UNSPEC {
        av_channel_layout_copy(&frame.pointer.pointee.ch_layout, &decoder.context.pointee.ch_layout)
      }
      try graph.push(frame)
      try drain(write)
    }
    if packet == nil {
      try graph.push(nil)
      try drain(write)
      try encode(nil, write)
    }
  }

  /// Frames without a time follow the one before. Sound lasts whole samples: what rounding to a coarse clock did to its
  /// times is undone, as the ffmpeg command does.
  private func stamp(_ frame: Frame) {
    let base = AVRational(num: 1, den: decoder.context.pointee.sample_rate)
    let samples = frame.pointer.pointee.nb_samples
    frame.timeBase = base
    guard
      let time = Timestamp(frame.pointer.pointee.best_effort_timestamp, decoder.context.pointee.pkt_timebase)
    else {
      let next = Timestamp(lastSample, base) ?? Timestamp(clamping: 0, base)
      frame.time = next
      lastSample = (next + Timestamp(clamping: Int64(samples), base)).ticks
      return
    }
    frame.time = Timestamp(
      clamping: av_rescale_delta(time.timeBase, time.ticks, base, max(0, samples), &lastSample, base), base)
  }

  private func drain(_ write: (Packet) throws -> Void) throws {
    while true {
      let frame = try Frame()
      guard try graph.pull(into: frame) == .frame else { return }
      frame.rescale(to: encoder.pointee.time_base)
      try encode(frame, write)
    }
  }

  private func encode(_ frame: Frame?, _ write: (Packet) throws -> Void) throws {
    try check(avcodec_send_frame(encoder, frame?.pointer), "encoder \(codecName)", as: .io)
    while true {
      let packet = try Packet()
      let code = avcodec_receive_packet(encoder, packet.pointer)
      if code == -EAGAIN || code == FATEZERO_AVERROR_EOF { return }
      try check(code, "encoder \(codecName)", as: .io)
      packet.timeBase = encoder.pointee.time_base
      try write(packet)
    }
  }

  private func noteError(_ code: Int32) {
    if hasWarned { return }
    hasWarned = true
    warn(MediaError(code: code, "\(name): decoding sound", as: .badData).description)
  }
}
