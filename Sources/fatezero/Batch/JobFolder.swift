import FateZero
import FoundationEssentials
import Glibc
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
    /// Where the jobs' relative paths begin.
    var directory: String
    var work: Work

    var count: Int {
      switch work {
      case .edits(let jobs): jobs.count
      case .windows(_, let ranges): ranges.count
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
    /// Paths of the results.
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
  let plan: Plan

  var windows: String { "\(path)/windows" }
  var cache: String { "\(path)/cache" }
  func folder(of number: Int) -> String { "\(path)/jobs/\(plan.name(of: number))" }

  /// Opens a folder that was planned.
  /// - Throws: `CommandFailure` where there is none, or one of another version.
  init(path: String) throws {
    self.path = Self.absolute(path)
    let file = "\(path)/plan.json"
    guard let data = FileManager.default.contents(atPath: file) else {
      throw CommandFailure(.noInput, "\(path) holds no jobs; fatezero plan-jobs or fatezero batch makes them")
    }
    guard let plan = try? JSONDecoder().decode(Plan.self, from: data), plan.count > 0 else {
      throw CommandFailure(.data, "\(file) is damaged; plan the jobs anew")
    }
    guard plan.version == "\(Version.text)" else {
      throw CommandFailure(
        .data, "\(path) was planned by fatezero \(plan.version) and this is \(Version.text); plan the jobs anew")
    }
    self.plan = plan
  }

  /// Nothing is written before `save`.
  init(path: String, plan: Plan) { (self.path, self.plan) = (Self.absolute(path), plan) }

  /// Makes the folder, or changes what is to be done in it. What is done already and is to be done still stays done.
  func save() throws {
    for number in 1...plan.count {
      do {
        try FileManager.default.createDirectory(atPath: folder(of: number), withIntermediateDirectories: true)
      } catch { throw CommandFailure(.cannotCreate, "\(folder(of: number)): \(String(cString: strerror(errno)))") }
    }
    try write(plan, to: "\(path)/plan.json")
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

  /// Names what the job's result depends on: its options, its clip, the model and this program.
  func key(of number: Int, options: EditOptions) throws -> String {
    let job = try EditJob(options)
    let digest = ContentDigest()
    for text in [plan.version, plan.name(of: number), job.directory.identity] + arguments(of: number) {
      digest.add(text)
    }
    for file in [job.input, options.mask, options.config].compactMap({ $0 }) {
      var status = stat()
      if stat(file, &status) == 0 {
        digest.add("\(status.st_size) \(status.st_mtim.tv_sec) \(status.st_mtim.tv_nsec)")
      }
    }
    return digest.text
  }

  func done(_ number: Int) -> Done? { read("\(folder(of: number))/done.json") }

  func failed(_ number: Int) -> Failed? { read("\(folder(of: number))/failed.json") }

  func begin(_ number: Int) {
    unlink("\(folder(of: number))/done.json")
    unlink("\(folder(of: number))/failed.json")
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
      throw CommandFailure(.cannotCreate, "\(path) cannot be written: \(String(cString: strerror(errno)))")
    }
  }

  static var currentDirectory: String { FileManager.default.currentDirectoryPath }

  /// Relative paths begin where the command runs.
  static func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "\(currentDirectory)/\(path)" }
}
