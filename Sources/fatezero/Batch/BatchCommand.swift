import ArgumentParser
import FateZero
import Text

/// `fatezero batch`: all edits of a jobs file.
struct BatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "batch",
    abstract: "Edit clips by a file: every clip with every edit and every combination of settings; one page shows all.",
    discussion: """
      fatezero batch jobs.yaml

      with, in jobs.yaml,

        clips: [cat.mp4, {path: dog.mp4, source: a dog}]
        edits: [a tiger, watercolor of a cat]
        settings: {steps: 20, self-replace: [0.5, 0.8]}

      Everything that fatezero edit takes can stand there; a list under settings is a grid. Results, and index.html that \
      shows them, go to a folder beside the file. What is done is not done again: a batch that was killed goes on, and \
      one that got more edits makes those. Standard output gets a line of JSON for each event. See docs/batch.md.
      """)

  @Argument(
    help: ArgumentHelp("The jobs file (YAML).", valueName: "jobs"), completion: .file(extensions: ["yaml", "yml"]))
  var jobs: String

  @OptionGroup var place: BatchPlace

  func run() throws {
    try Interruption.watch()
    let folder = try place.plan(jobs)
    let events = JobEvents()
    let runner = try JobRunner(folder: folder, events: events)
    try runner.check()
    try folder.save()
    let count = folder.plan.count
    events.send(.init(event: .planned, jobs: count, output: folder.path, version: "\(Version.text)"))
    let begin = ContinuousClock.now
    var states = try runner.states()
    let page = try OverviewPage(folder: folder)
    try page.write(states)
    var (finished, skipped) = (0, 0)
    var failed: [(number: Int, failure: CommandFailure)] = []
    for number in 1...count {
      switch try runner.run(number, waits: false) {
      case .finished:
        finished += 1
        states[number - 1] = .done
      case .skipped:
        skipped += 1
        continue
      case .failed(let failure):
        failed.append((number, failure))
        states[number - 1] = .failed(failure.message)
      }
      try page.write(states)
    }
    // What ran elsewhere may have ended meanwhile.
    try page.write(try runner.states())
    events.send(
      .init(
        event: .ended, jobs: count, output: "\(folder.path)/index.html",
        seconds: (ContinuousClock.now - begin).inSeconds,
        finished: finished, skipped: skipped, failed: failed.count))
    StandardError.line("fatezero: \(folder.path)/index.html shows the results")
    try events.checkWritten()
    if let first = failed.first {
      throw CommandFailure(
        first.failure.status,
        "\(failed.count) of \(Numerals.count(count, "job")) failed: \(failed.map { "\($0.number)" }.joined(separator: ", "))"
      )
    }
  }
}

/// Where a batch's results go.
struct BatchPlace: ParsableArguments {
  @Option(
    name: [.customShort("o"), .customLong("output")],
    help: ArgumentHelp(
      "Folder of the results; by default what the jobs file says, or its name without the ending and with -results.",
      valueName: "folder"), completion: .directory)
  var output: String?

  /// Reads a jobs file.
  func plan(_ jobs: String) throws -> JobFolder {
    let file = try JobsFile(yaml: try ConfigurationValue.text(of: jobs), name: jobs)
    let path = JobFolder.absolute(jobs)
    let slash = path.lastPlace(ofScalar: "/") ?? path.startIndex
    let directory = slash == path.startIndex ? "/" : String(path[..<slash])
    let folder =
      output ?? file.output.map { $0.begins(with: "/") ? $0 : "\(directory)/\($0)" }
      ?? "\(directory)/\(JobsFile.stem(path))-results"
    // Names of outputs take them for an edit's number and prompt.
    if folder.holds(text: "{n}") || folder.holds(text: "{edit}") {
      throw CommandFailure(.usage, "\(folder): a folder of results cannot have {n} or {edit} in its name")
    }
    return JobFolder(
      path: folder, plan: JobFolder.Plan(version: "\(Version.text)", directory: directory, work: .edits(file.jobs)))
  }
}
