import ArgumentParser
import FateZero
import Glibc
import MediaIO

/// Runs the jobs of a folder, each of them once: what is done is not done again, and what another process does is left to it.
struct JobRunner {
  enum Outcome { case finished, skipped, failed(CommandFailure) }

  let folder: JobFolder
  let events: JobEvents
  private let engines = EngineStore()
  /// For jobs that name none: the next job's limit is not to shrink by the model that the one before has loaded.
  private let memoryLimit = Settings().usableMemory

  init(folder: JobFolder, events: JobEvents) throws {
    (self.folder, self.events) = (folder, events)
    guard chdir(folder.plan.directory) == 0 else {
      throw CommandFailure(.noInput, "\(folder.plan.directory): \(String(cString: strerror(errno)))")
    }
  }

  /// The options of a job's edit.
  /// - Throws: `CommandFailure` where they are not what `fatezero edit` takes.
  func options(of number: Int) throws -> EditOptions {
    let arguments = folder.arguments(of: number)
    do { return try EditOptions.parse(arguments) } catch {
      throw CommandFailure(.usage, "job \(number), \(folder.plan.name(of: number)): \(EditOptions.message(for: error))")
    }
  }

  /// Finds out what would fail before any work.
  func check() throws {
    for number in 1...folder.plan.count {
      let options = try options(of: number)
      do {
        let job = try EditJob(options)
        if let input = job.input, !input.contains("%"), access(input, R_OK) != 0 {
          throw CommandFailure(.noInput, "\(input): \(String(cString: strerror(errno)))")
        }
      } catch {
        guard let failure = CommandFailure(error) else { throw error }
        throw CommandFailure(
          failure.status, "job \(number), \(folder.plan.name(of: number)): \(failure.message)")
      }
    }
  }

  func isDone(_ number: Int) throws -> Bool {
    guard let done = folder.done(number), done.results.allSatisfy({ access($0, R_OK) == 0 }) else { return false }
    return done.key == (try folder.key(of: number, options: options(of: number)))
  }

  /// - Parameters:
  ///   - number: From 1.
  ///   - waits: Where another process runs the job, whether to wait for it; it is skipped otherwise.
  /// - Throws: What ends everything: an interruption.
  func run(_ number: Int, waits: Bool) throws -> Outcome {
    let name = folder.plan.name(of: number)
    func skipped(_ reason: String) -> Outcome {
      events.send(.init(event: .skipped, job: number, name: name, reason: reason))
      StandardError.line("fatezero: job \(number), \(name), is \(reason)")
      return .skipped
    }
    let lock = FileLock("\(folder.folder(of: number))/lock")
    defer { withExtendedLifetime(lock) {} }
    if let lock, !lock.take() {
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
      let key = try folder.key(of: number, options: options)
      if options.settings.memoryLimit == nil { options.settings.memoryLimit = memoryLimit.map { "\($0)" } }
      let note = { (text: String) in events.send(.init(event: .note, job: number, message: text)) }
      let work: EditRun.Work
      let results: () -> [String]
      switch folder.plan.work {
      case .edits(let jobs):
        work = .everything
        results = { ["\(folder.path)/\(jobs[number - 1].file)"] }
      case .windows(_, let ranges):
        let windows = try WindowResults(folder: folder.windows, reuses: true) { StandardError.line("fatezero: \($0)") }
        work = .windows(ranges[number - 1], windows)
        // Before its own it may have had the one that they carry a frame of.
        results = { windows.files.suffix(ranges[number - 1].count).map { "\(folder.windows)/\($0)" } }
      }
      try EditRun(
        options, work: work, engines: engines, note: note,
        onProgress: { events.send($0, share: $1, secondsLeft: $2, job: number) }
      ).run()
      let seconds = (clock.now - begin).inSeconds
      let peak = MachineMemory.peakResident
      try folder.end(
        number,
        JobFolder.Done(
          key: key, seconds: seconds, peakBytes: peak, finished: JobEvents.now, results: results()))
      events.send(
        .init(
          event: .finished, job: number, name: name, output: results().first, seconds: seconds, peakBytes: peak))
      return .finished
    } catch {
      guard let failure = CommandFailure(error) else { throw error }
      if failure.status == .interrupted || failure.status == .terminated {
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
}
