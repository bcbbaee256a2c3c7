import ArgumentParser
import FateZero
import Glibc
import Text

/// `fatezero plan-jobs`: work as numbered jobs that any machine can run.
struct PlanJobsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan-jobs",
    abstract: "Share out an edit of a long clip by its windows, or the edits of a jobs file, as numbered jobs.",
    discussion: """
      n=$(fatezero plan-jobs long.mp4 out.mp4 --edit "a [cat -> tiger] on the grass")
      seq $n | parallel fatezero run-job        # or: sbatch --array=1-$n --wrap 'fatezero run-job $SLURM_ARRAY_TASK_ID'
      fatezero join

      Takes what fatezero edit takes, or a jobs file alone. Prints the number of jobs. They are kept in a folder that all \
      machines must share; they may run in any order, at the same time, and twice. See docs/batch.md.
      """)

  @Option(
    help: ArgumentHelp(
      "Folder of the jobs, which all machines share; run-job and join take it too (default: \(JobFolder.defaultPath); of a jobs "
        + "file, the folder of its results).",
      valueName: "folder"), completion: .directory)
  var folder: String?

  @Option(
    help: ArgumentHelp("Windows of one job; each job loads the model once (default: 1).", valueName: "n"))
  var windowsPerJob: Int = 1

  @OptionGroup var options: EditOptions

  func validate() throws {
    guard windowsPerJob > 0 else { throw ValidationError("--windows-per-job is 1 or more") }
  }

  func run() throws {
    try Interruption.watch()
    let made: JobFolder
    let arguments = Self.editArguments(CommandLine.arguments)
    if let jobs = options.input, options.output == nil, options.settings.edit.isEmpty,
      jobs.ends(with: ".yaml") || jobs.ends(with: ".yml")
    {
      guard arguments.filter({ $0 != "--" }).count == 1, windowsPerJob == 1 else {
        throw CommandFailure(.usage, "beside a jobs file only --folder can be given: it says itself how to edit")
      }
      var place = BatchPlace()
      place.output = folder
      made = try place.plan(jobs)
      try JobRunner(folder: made, events: JobEvents()).check()
    } else {
      made = try shareOutWindows(arguments)
    }
    try Interruption.cancellation.check()
    try made.save()
    StandardError.line(
      "fatezero: \(Numerals.count(made.plan.count, "job")) in \(made.path); run each with: fatezero run-job N"
        + (folder == nil && made.path == JobFolder.absolute(JobFolder.defaultPath) ? "" : " --folder '\(made.path)'"))
    try StandardOutput.line("\(made.plan.count)")
  }

  private func shareOutWindows(_ arguments: [String]) throws -> JobFolder {
    for (name, value) in [("trace", options.trace), ("report", options.report), ("progress", options.progress)]
    where value != nil {
      throw CommandFailure(.usage, "--\(name) is of an edit in one piece; leave it out")
    }
    if options.caching.cache != nil || options.caching.resume {
      throw CommandFailure(.usage, "jobs keep what they finish in their own folder; leave --cache and --resume out")
    }
    let checkpoints = CheckpointStore()
    let job = try EditJob(options, checkpoints: checkpoints)
    guard let input = job.input, let output = job.output, input != "-", output != "-" else {
      throw CommandFailure(.usage, "INPUT and OUTPUT must be files: the jobs read the one and join writes the other")
    }
    let (plan, frames) = try EditRun(options, checkpoints: checkpoints, engines: EngineStore()).countFrames()
    guard plan.clipLength != nil else {
      throw CommandFailure(
        .usage, "clip-length 0 makes the clip one window, which cannot be shared out; set clip-length")
    }
    let limit = job.memoryLimit
    try plan.fitted(frames: frames, limit: limit).checkMemory(frames: frames, limit: limit)

    let count = plan.windows(frames: frames).count
    var each = windowsPerJob
    if plan.windowsFollowEachOther, count > each {
      StandardError.line(
        "fatezero: warning: frame-coupling \(job.edits[0].text(of: "frame-coupling") ?? "") links every window to the one "
          + "before, so that they cannot run side by side: this is one job; middle, first or self can be shared out")
      each = count
    }
    let ranges = stride(from: 0, to: count, by: each).map { $0..<min($0 + each, count) }
    // Machines that differ are to compute alike.
    var pinned: [String] = []
    if options.settings.precision == nil { pinned.append("--precision=\(plan.precision.rawValue)") }
    if options.settings.memoryLimit == nil, let limit { pinned.append("--memory-limit=\(limit)") }
    if options.model == nil, options.config == nil { pinned.append("--model=\(job.directory.path)") }
    return JobFolder(
      path: folder ?? JobFolder.defaultPath,
      plan: JobFolder.Plan(
        version: "\(Version.text)", directory: JobFolder.currentDirectory,
        work: .windows(arguments: pinned + arguments, ranges: ranges)))
  }

  /// What `edit` is told: the command line without the command and its own options.
  private static func editArguments(_ arguments: [String]) -> [String] {
    var result: [String] = []
    var isValue = false
    for argument in arguments.dropFirst(2) {
      if isValue {
        isValue = false
      } else if ["--folder", "--windows-per-job"].contains(argument) {
        isValue = true
      } else if !argument.begins(with: "--folder="), !argument.begins(with: "--windows-per-job=") {
        result.append(argument)
      }
    }
    return result
  }
}

/// The folder of the jobs.
struct JobPlace: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Folder of the jobs, which plan-jobs made (default: \(JobFolder.defaultPath)).", valueName: "folder"),
    completion: .directory)
  var folder: String?

  func open() throws -> JobFolder { try JobFolder(path: folder ?? JobFolder.defaultPath) }
}

/// `fatezero run-job`: one of them.
struct RunJobCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run-job",
    abstract: "Run one of the jobs that plan-jobs made. A job that is done already is left alone.")

  @Argument(help: ArgumentHelp("Number of the job, from 1.", valueName: "n")) var number: Int
  @OptionGroup var place: JobPlace

  func run() throws {
    try Interruption.watch()
    let folder = try place.open()
    guard 1...folder.plan.count ~= number else {
      throw CommandFailure(
        .usage, "there is no job \(number); \(folder.path) has \(Numerals.count(folder.plan.count, "job"))")
    }
    let events = JobEvents()
    if case .failed(let failure) = try JobRunner(folder: folder, events: events).run(number, waits: true) {
      throw CommandFailure(failure.status, "")
    }
    try events.checkWritten()
  }
}

/// `fatezero join`: the results of all of them.
struct JoinCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "join",
    abstract: "Write the clip whose windows the jobs of plan-jobs have finished, or the page of a batch's results.",
    discussion: "Names the jobs that have not finished, if there are any, and ends with status 65 then.")

  @OptionGroup var place: JobPlace
  @Flag(name: .customShort("y"), help: "Overwrite an existing clip.") var overwrite = false

  func run() throws {
    try Interruption.watch()
    let folder = try place.open()
    let runner = try JobRunner(folder: folder, events: JobEvents())
    let states = try runner.states()
    let missing = (1...folder.plan.count).filter { !states[$0 - 1].isDone }
    if case .edits = folder.plan.work {
      try OverviewPage(folder: folder).write(states)
      StandardError.line("fatezero: \(folder.path)/index.html shows the results")
    }
    guard missing.isEmpty else {
      let numbers = missing.prefix(20).map { "\($0)" }.joined(separator: ", ") + (missing.count > 20 ? ", ..." : "")
      throw CommandFailure(
        .data,
        "\(missing.count) of \(Numerals.count(folder.plan.count, "job")) not finished: \(numbers); run each with fatezero run-job"
      )
    }
    guard case .windows = folder.plan.work else { return }
    var options = try runner.options(of: 1)
    if overwrite { options.writing.overwrite = true }
    let windows = try WindowResults(folder: folder.windows, reuses: true) { StandardError.line("fatezero: \($0)") }
    try EditRun(options, work: .joining(windows), engines: EngineStore()).run()
    StandardError.line("fatezero: \(folder.path) is not needed any more")
  }
}
