import FateZero
import FoundationEssentials
import Glibc
import MediaIO
import StableDiffusion
import Tensors

/// What jobs there are and which are done, in a folder that the machines which run them share.
///
///     plan.json             what there is to do
///     jobs/NAME/done.json   the job is done, and what it took
///     jobs/NAME/failed.json it failed last time, and why
///     windows/              finished windows of a clip that is shared out
///     cache/                inversions of a batch
struct JobFolder {
  /// `plan.json`.
  struct Plan: Codable, Equatable {
    enum Work: Codable, Equatable {
      /// Whole edits.
      case edits([EditJobDescription])
      /// Windows of one edit, a range for each job.
      case windows(arguments: [String], ranges: [Range<Int>])
    }
    /// The program's. Results of different versions do not go together.
    var version: String
    /// Where the jobs' relative paths begin; from the folder, where it lies below, so that both may be moved together.
    var directory: String
    var work: Work

    var count: Int {
      switch work {
      case .edits(let jobs): jobs.count
      case .windows(_, let ranges): ranges.count
      }
    }

    /// Files may say anything.
    var isSound: Bool {
      switch work {
      case .edits(let jobs):
        !jobs.isEmpty
          && jobs.allSatisfy {
            $0.grid.map(\.name) == jobs[0].grid.map(\.name) && !$0.name.isEmpty && !"\($0.name)\($0.file)".contains("/")
          }
      case .windows(_, let ranges):
        !ranges.isEmpty && ranges.allSatisfy { 0 <= $0.lowerBound && !$0.isEmpty && $0.upperBound <= 1 << 32 }
      }
    }

    /// How many results a job has at least.
    func resultCount(of number: Int) -> Int {
      switch work {
      case .edits(let jobs): jobs[number - 1].files.count
      case .windows(_, let ranges): ranges[number - 1].count
      }
    }

    /// - Parameter number: From 1.
    func name(of number: Int) -> String {
      switch work {
      case .edits(let jobs): jobs[number - 1].name
      case .windows(_, let ranges): "windows-\(ranges[number - 1].lowerBound + 1)-\(ranges[number - 1].upperBound)"
      }
    }
  }

  /// `done.json`.
  struct Done: Codable, Equatable {
    /// Digest of all that the result depends on.
    var key: String
    var seconds: Double
    var peakBytes: Int
    /// ISO 8601, UTC.
    var finished: String
    /// Paths of the results, from the folder.
    var results: [String]
  }

  /// `failed.json`.
  struct Failed: Codable, Equatable {
    var status: Int32
    var message: String
  }

  static let defaultPath = "fatezero-jobs"

  /// Absolute.
  let path: String
  private(set) var plan: Plan

  /// Where the jobs' relative paths begin, absolute. The folder itself may not be there yet.
  var directory: String {
    guard !plan.directory.hasPrefix("/") else { return plan.directory }
    return "/" + path.split(separator: "/").dropLast(plan.directory.split(separator: "/").count).joined(separator: "/")
  }

  var windows: String { "\(path)/windows" }
  var cache: String { "\(path)/cache" }
  func folder(of number: Int) -> String { "\(path)/jobs/\(plan.name(of: number))" }

  /// Opens a folder that was planned.
  /// - Throws: `CommandFailure` where there is none, or one of another version.
  init(path: String) throws {
    self.path = Self.absolute(path)
    let file = "\(self.path)/plan.json"
    guard let data = FileManager.default.contents(atPath: file) else {
      throw CommandFailure(.noInput, "\(path) holds no jobs; fatezero plan-jobs or fatezero batch makes them")
    }
    guard let plan = try? JSONDecoder().decode(Plan.self, from: data), plan.isSound else {
      throw CommandFailure(.data, "\(file) is damaged; plan the jobs anew")
    }
    guard plan.version == "\(Version.text)" else {
      throw CommandFailure(
        .data, "\(path) was planned by fatezero \(plan.version) and this is \(Version.text); plan the jobs anew")
    }
    self.plan = plan
  }

  /// Nothing is written before `save`.
  init(path: String, plan: Plan) {
    (self.path, self.plan) = (Self.absolute(path), plan)
    if self.path.hasPrefix("\(plan.directory)/") {
      let depth = self.path.dropFirst(plan.directory.count).split(separator: "/").count
      self.plan.directory = [String](repeating: "..", count: depth).joined(separator: "/")
    }
  }

  /// Makes the folder, or changes what is to be done in it. What is done already and is to be done still stays done.
  func save() throws {
    try make("\(path)/jobs")
    if case .edits(let jobs) = plan.work, access("\(path)/plan.json", F_OK) != 0,
      let file = (["index.html"] + jobs.flatMap(\.files)).first(where: { access("\(path)/\($0)", F_OK) == 0 })
    {
      throw CommandFailure(
        .cannotCreate, "\(path)/\(file) exists already and is of no batch; take another folder with --output")
    }
    try write(plan, to: "\(path)/plan.json")
  }

  private func make(_ folder: String) throws {
    do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
      throw CommandFailure(.cannotCreate, "the folder \(folder) cannot be made")
    }
    guard access(folder, W_OK) == 0 else {
      throw CommandFailure(.cannotCreate, "\(folder): \(String(cString: strerror(errno)))")
    }
  }

  /// The command line of the job's edit.
  func arguments(of number: Int) -> [String] {
    switch plan.work {
    case .edits(let jobs):
      jobs[number - 1].arguments(output: path, folder: folder(of: number))
        + ["--cache=\(cache)", "--resume"]
    case .windows(let arguments, _): arguments
    }
  }

  /// Names what the job's result depends on: its options, its clip, the model and this program. Not where the results lie.
  func key(of number: Int, options: EditOptions, job: EditJob) -> String {
    let digest = ContentDigest()
    for text in [plan.version, plan.name(of: number), job.directory.identity] { digest.add(text) }
    switch plan.work {
    case .edits(let jobs):
      for text in jobs[number - 1].arguments(output: "", folder: "") { digest.add(text) }
    case .windows(let arguments, _):
      for text in arguments where text != options.output && text != "-y" { digest.add(text) }
    }
    for file in [job.input, options.mask, options.config].compactMap({ $0 }) { digest.add(InputStamp.stamp(of: file)) }
    return digest.text
  }

  func done(_ number: Int) -> Done? { read("\(folder(of: number))/done.json") }

  func failed(_ number: Int) -> Failed? { read("\(folder(of: number))/failed.json") }

  /// - Returns: The job, kept from other processes.
  /// - Throws: `CommandFailure` where the folder cannot be written.
  func lock(_ number: Int) throws -> FileLock {
    let folder = folder(of: number)
    try make(folder)
    guard let lock = FileLock("\(folder)/lock") else {
      throw CommandFailure(.cannotCreate, "\(folder)/lock: \(String(cString: strerror(errno)))")
    }
    return lock
  }

  /// Removes what an earlier run of the job left, under the job's lock.
  func begin(_ number: Int) {
    unlink("\(folder(of: number))/done.json")
    unlink("\(folder(of: number))/failed.json")
    guard case .edits(let jobs) = plan.work else { return }
    let marks = jobs[number - 1].files.map { ".\($0).fatezero-" }
    for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    where marks.contains(where: name.hasPrefix) { unlink("\(path)/\(name)") }
  }

  func end(_ number: Int, _ done: Done) throws { try write(done, to: "\(folder(of: number))/done.json") }

  /// Nobody is to be told that this could not be written: what is to be told is the failure.
  func end(_ number: Int, _ failed: Failed) { try? write(failed, to: "\(folder(of: number))/failed.json") }

  // MARK: - Files

  private func read<Value: Decodable>(_ path: String) -> Value? {
    FileManager.default.contents(atPath: path).flatMap { try? JSONDecoder().decode(Value.self, from: $0) }
  }

  private func write(_ value: some Encodable, to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    do { try encoder.encode(value).write(to: URL(filePath: path), options: .atomic) } catch {
      throw CommandFailure(.cannotCreate, "\(path) cannot be written: \(error)")
    }
  }

  static var currentDirectory: String { FileManager.default.currentDirectoryPath }

  /// Relative paths begin where the command runs. Each path has one spelling, but for links and `..`.
  static func absolute(_ path: String) -> String {
    let parts = (path.hasPrefix("/") ? path : "\(currentDirectory)/\(path)").split(separator: "/")
    return "/" + parts.filter { $0 != "." }.joined(separator: "/")
  }
}
