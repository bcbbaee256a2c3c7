import CLibAV

/// Which streams beside the video a container holds, so that players find them again.
///
/// Most muxers answer for themselves. Some have no answer, and take what they cannot name as private data or refuse it only
/// when they begin to write; some promise too much. What is said here is tested for each pair.
struct ContainerCodecs {
  private let format: UnsafePointer<AVOutputFormat>
  private let name: String

  init(_ format: UnsafePointer<AVOutputFormat>) {
    self.format = format
    name = String(cString: format.pointee.name)
  }

  /// What the muxers that have no answer hold; what is not listed they hold only as their default.
  private static let held: [String: Set<String>] = {
    let transport: Set<String> = [
      "mp1", "mp2", "mp3", "aac", "aac_latm", "ac3", "eac3", "dts", "opus", "s302m", "dvb_subtitle", "dvb_teletext",
    ]
    let program: Set<String> = ["mp1", "mp2", "mp3", "ac3", "dts", "pcm_s16be", "pcm_dvd", "dvd_subtitle"]
    let ogg: Set<String> = ["vorbis", "opus", "flac", "speex"]
    let pcm: Set<String> = ["pcm_s16le", "pcm_s24le"]
    return [
      "mpegts": transport, "rtp_mpegts": transport, "hls": ["aac", "mp3", "ac3", "eac3"],
      "mpeg": program, "vob": program, "dvd": program, "svcd": program, "vcd": ["mp1", "mp2"],
      "ogg": ogg, "ogv": ogg, "mxf": pcm, "mxf_d10": pcm, "gxf": ["pcm_s16le"], "dv": ["pcm_s16le"], "swf": ["mp3"],
      "dash": ["aac", "ac3", "eac3", "opus", "vorbis", "flac"], "smoothstreaming": ["aac"],
    ]
  }()

  /// What muxers say that they hold, and what cannot be read again.
  private static let notHeld: [String: Set<String>] = [
    "avi": ["flac", "vorbis"], "mov": ["wmav1", "wmav2"], "nut": ["wmav1", "wmav2"], "asf": ["flac"],
  ]

  func canHold(_ parameters: AVCodecParameters) -> Bool {
    if parameters.codec_type == AVMEDIA_TYPE_ATTACHMENT { return name == "matroska" && parameters.extradata_size > 0 }
    return parameters.codec_id != AV_CODEC_ID_NONE && canHold(parameters.codec_id)
  }

  func canHold(_ codec: AVCodecID) -> Bool {
    let codecName = String(cString: avcodec_get_name(codec))
    if ContainerCodecs.notHeld[name]?.contains(codecName) == true { return false }
    if let held = ContainerCodecs.held[name] { return held.contains(codecName) }
    return avformat_query_codec(format, codec, FF_COMPLIANCE_EXPERIMENTAL) == 1
  }

  /// Encoders for sound that the container cannot hold as it is, the container's own default first.
  var soundEncoders: [UnsafePointer<AVCodec>] {
    let usual = [
      AV_CODEC_ID_AAC, AV_CODEC_ID_OPUS, AV_CODEC_ID_VORBIS, AV_CODEC_ID_MP3, AV_CODEC_ID_MP2, AV_CODEC_ID_AC3,
      AV_CODEC_ID_PCM_S16LE,
    ]
    let wanted = [format.pointee.audio_codec] + usual.filter { $0 != format.pointee.audio_codec && canHold($0) }
    return wanted.compactMap { avcodec_find_encoder($0) }
  }
}
