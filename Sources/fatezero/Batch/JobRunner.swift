import ArgumentParser
import FateZero
import Glibc
import MediaIO
import StableDiffusion
import Text

/// Runs the jobs of a folder, each of them once: what is done is not done again, and what another process does is left to it.
final class JobRunner {
  enum Outcome { case finished, skipped, failed(CommandFailure) }

  let folder: JobFolder
  let events: JobEvents
  private let checkpoints = CheckpointStore()
  private let engines = EngineStore()
  /// For jobs that name none: the next job's limit is not to shrink by the model that the one before has loaded.
  private let memoryLimit = Settings().usableMemory

  init(folder: JobFolder, events: JobEvents) throws {
    (self.folder, self.events) = (folder, events)
    // What the environment names begins where the command runs.
    if let variable = getenv(ModelLocation.variable) {
      let path = String(cString: variable)
      if !path.isEmpty, !path.begins(with: "/"), access(path, F_OK) == 0 {
        setenv(ModelLocation.variable, JobFolder.absolute(path), 1)
      }
    }
    guard chdir(folder.directory) == 0 else {
      throw CommandFailure(.noInput, "\(folder.directory): \(String(cString: strerror(errno)))")
    }
  }

  /// The options of a job's edit.
  /// - Throws: `CommandFailure` where they are not what `fatezero edit` takes.
  func options(of number: Int) throws -> EditOptions {
    do { return try EditOptions.parse(folder.arguments(of: number)) } catch {
      throw CommandFailure(.usage, EditOptions.message(for: error))
    }
  }

  /// Finds out what would fail, before any work.
  /// - Throws: `CommandFailure` that names the job, `CancellationRequested`.
  func check() throws {
    for number in 1...folder.plan.count {
      try Interruption.cancellation.check()
      do {
        try EditRun(try options(of: number), checkpoints: checkpoints, engines: engines).check()
      } catch {
        guard let failure = CommandFailure(error), !failure.isInterruption else { throw error }
        throw CommandFailure(
          failure.status, "job \(number), \(folder.plan.name(of: number)): \(failure.message)")
      }
    }
  }

  /// - Throws: `CommandFailure` where the job's options or its model cannot be used.
  func isDone(_ number: Int) throws -> Bool {
    guard let done = folder.done(number), done.results.count >= folder.plan.resultCount(of: number),
      done.results.allSatisfy({ access("\(folder.path)/\($0)", R_OK) == 0 })
    else { return false }
    let options = try options(of: number)
    return done.key
      == folder.key(of: number, options: options, job: try EditJob(options, checkpoints: checkpoints))
  }

  /// How far all jobs are.
  func states() throws -> [OverviewPage.State] {
    try (1...folder.plan.count).map { number in
      try Interruption.cancellation.check()
      if let failed = folder.failed(number) { return .failed(failed.message) }
      return try isDone(number) ? .done : .toDo
    }
  }

  /// - Parameters:
  ///   - number: From 1.
  ///   - waits: Where another process runs the job, whether to wait for it; it is skipped otherwise.
  /// - Throws: What ends everything: an interruption, or a folder that cannot be used.
  func run(_ number: Int, waits: Bool) throws -> Outcome {
    try Interruption.cancellation.check()
    let name = folder.plan.name(of: number)
    func skipped(_ reason: String) -> Outcome {
      events.send(.init(event: .skipped, job: number, name: name, reason: reason))
      StandardError.line("fatezero: job \(number), \(name), is \(reason)")
      return .skipped
    }
    let lock = try folder.lock(number)
    defer { withExtendedLifetime(lock) {} }
    if !lock.take() {
      guard waits else { return skipped("running elsewhere") }
      StandardError.line("fatezero: job \(number), \(name), runs elsewhere; waiting for it")
      try lock.wait(Interruption.cancellation)
    }
    let clock = ContinuousClock()
    let begin = clock.now
    do {
      if try isDone(number) { return skipped("done already") }
      folder.begin(number)
      events.send(.init(event: .started, job: number, jobs: folder.plan.count, name: name))
      StandardError.line("fatezero: job \(number) of \(folder.plan.count), \(name)")
      var options = try options(of: number)
      let key = folder.key(of: number, options: options, job: try EditJob(options, checkpoints: checkpoints))
      if options.settings.memoryLimit == nil { options.settings.memoryLimit = memoryLimit.map { "\($0)" } }
      let note = { [events] (text: String) in events.send(.init(event: .note, job: number, message: text)) }
      let (work, results) = try work(of: number)
      try EditRun(
        options, work: work, checkpoints: checkpoints, engines: engines, note: note,
        onProgress: { [events] in events.send($0, share: $1, secondsLeft: $2, job: number) }
      ).run()
      let seconds = (clock.now - begin).inSeconds
      let peak = MachineMemory.peakResident
      try folder.end(
        number,
        JobFolder.Done(key: key, seconds: seconds, peakBytes: peak, finished: JobEvents.now, results: results()))
      events.send(
        .init(
          event: .finished, job: number, name: name, output: results().first.map { "\(folder.path)/\($0)" },
          seconds: seconds, peakBytes: peak))
      return .finished
    } catch {
      guard let failure = CommandFailure(error) else { throw error }
      if failure.isInterruption {
        events.send(.init(event: .interrupted, job: number, name: name))
        throw failure
      }
      StandardError.line("fatezero: job \(number), \(name): \(failure.message)")
      folder.end(number, JobFolder.Failed(status: failure.status.rawValue, message: failure.message))
      events.send(
        .init(
          event: .failed, job: number, name: name, message: failure.message, status: failure.status.rawValue,
          seconds: (clock.now - begin).inSeconds))
      return .failed(failure)
    }
  }

  /// What the job does, and what it has made afterwards, as paths from the folder.
  private func work(of number: Int) throws -> (EditRun.Work, results: () -> [String]) {
    switch folder.plan.work {
    case .edits(let jobs):
      let job = jobs[number - 1]
      // A full disk costs the report and not the edit.
      let reports = [job.hasReport ? "jobs/\(job.name)/report/index.html" : nil].compactMap { $0 }
      return (.everything, { [folder] in job.files + reports.filter { access("\(folder.path)/\($0)", R_OK) == 0 } })
    case .windows(_, let ranges):
      let range = ranges[number - 1]
      let windows = try WindowResults(folder: folder.windows, reuses: true) { StandardError.line("fatezero: \($0)") }
      // Before its own it may have had the one that they carry a frame of.
      return (.windows(range, windows), { windows.names.suffix(range.count).map { "windows/\($0)" } })
    }
  }
}
