import Testing

/// The built command with real files, pipes and ffmpeg. One test at a time: each uses all the cores.
@Suite(.serialized)
struct EndToEndTests {}
