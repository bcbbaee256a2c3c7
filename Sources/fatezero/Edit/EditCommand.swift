import ArgumentParser

/// `fatezero edit`: a clip in, an edited clip out.
struct EditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "edit",
    abstract:
      "Edit a clip: invert it with the source prompt, record its attention, denoise with the edit's prompt.",
    discussion: """
      fatezero edit in.mp4 out.mp4 --edit "a [cat -> tiger] on the grass"
      fatezero edit in.mp4 out.mp4 --preset style --source "a cat" --edit "watercolor of a cat"
      ffmpeg -i in.mp4 -f yuv4mpegpipe - | fatezero edit - - --edit "a [cat -> tiger]" | ffmpeg -i - out.mp4

      The result has the clip's own size, rate, sound and metadata. Standard output carries frames only; messages \
      and progress go to standard error. Ctrl-C stops within seconds and leaves no file behind; a second one ends at \
      once. Exit statuses: see fatezero --help.
      """)

  @OptionGroup var options: EditOptions

  func run() throws {
    try Interruption.watch()
    try EditRun(options, engines: EngineStore()).run()
  }
}
