import FateZero
import Files
import FoundationEssentials
import Glibc
import MediaIO
import StableDiffusion
import Tensors
import Text

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
      // No other folder's file, and no option.
      let isPart = { (name: String) in OpenFolder.isName(name) && !name.begins(with: "-") }
      return switch work {
      case .edits(let jobs):
        !jobs.isEmpty
          && jobs.allSatisfy {
            $0.grid.map(\.name) == jobs[0].grid.map(\.name) && $0.files.allSatisfy(isPart) && isPart($0.name)
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
    guard !plan.directory.begins(with: "/") else { return plan.directory }
    return "/" + path.pieces(at: "/").dropLast(plan.directory.pieces(at: "/").count).joined(separator: "/")
  }

  var windows: String { "\(path)/windows" }
  var cache: String { "\(path)/cache" }
  func folder(of number: Int) -> String { "\(path)/jobs/\(plan.name(of: number))" }

  /// Opens a folder that was planned.
  /// - Throws: `CommandFailure` where there is none, or one of another version.
  init(path: String) throws {
    self.path = Self.absolute(path)
    let file = "\(self.path)/plan.json"
    guard let data = RegularFile.bytes(at: file, limit: Self.largestPlan).map({ Data($0) }) else {
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
    if let below = self.path.dropping(prefix: "\(plan.directory)/") {
      let depth = below.pieces(at: "/").count
      self.plan.directory = [String](repeating: "..", count: depth).joined(separator: "/")
    }
  }

  /// Makes the folder, or changes what is to be done in it. What is done already and is to be done still stays done.
  func save() throws {
    try make("\(path)/jobs")
    do throws(FileError) {
      let files = try files()
      var names = [Self.planName]
      if case .edits(let jobs) = plan.work { names += [Self.pageName] + jobs.flatMap(\.files) }
      try files.claim(names)
    } catch {
      throw CommandFailure(
        .cannotCreate, error.code == EEXIST ? "\(error), or take another folder with --output" : "\(error)")
    }
    try write(plan, to: Self.planName, in: path)
  }

  static let pageName = "index.html"
  private static let planName = "plan.json", doneName = "done.json", failedName = "failed.json"
  private static let largestPlan = 1 << 28

  /// What lies in the folder itself.
  func files() throws(FileError) -> ClaimedFolder { try ClaimedFolder(taking: path) }

  private func make(_ folder: String) throws {
    do throws(FileError) { try OpenFolder.make(folder) } catch { throw CommandFailure(.cannotCreate, "\(error)") }
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

  func done(_ number: Int) -> Done? { read("\(folder(of: number))/\(Self.doneName)") }

  func failed(_ number: Int) -> Failed? { read("\(folder(of: number))/\(Self.failedName)") }

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

  /// Removes what an earlier run of the job said, under the job's lock.
  func begin(_ number: Int) {
    ClaimedFolder(at: folder(of: number))?.removeFiles([Self.doneName, Self.failedName])
  }

  func end(_ number: Int, _ done: Done) throws { try write(done, to: Self.doneName, in: folder(of: number)) }

  /// Nobody is to be told that this could not be written: what is to be told is the failure.
  func end(_ number: Int, _ failed: Failed) { try? write(failed, to: Self.failedName, in: folder(of: number)) }

  // MARK: - Files

  private func read<Value: Decodable>(_ path: String) -> Value? {
    RegularFile.bytes(at: path, limit: Self.largestPlan).flatMap {
      try? JSONDecoder().decode(Value.self, from: Data($0))
    }
  }

  private func write(_ value: some Encodable, to name: String, in folder: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    let bytes = [UInt8](try encoder.encode(value))
    do throws(FileError) { try ClaimedFolder(taking: folder).write(bytes, to: name) } catch {
      throw CommandFailure(.cannotCreate, "\(folder)/\(name) cannot be written: \(error)")
    }
  }

  static var currentDirectory: String { FileManager.default.currentDirectoryPath }

  /// Relative paths begin where the command runs. Each path has one spelling, but for links and `..`.
  static func absolute(_ path: String) -> String {
    let parts = (path.begins(with: "/") ? path : "\(currentDirectory)/\(path)").pieces(at: "/")
    return "/" + parts.filter { $0 != "." }.joined(separator: "/")
  }
}
