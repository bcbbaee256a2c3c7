import FateZero
import MediaIO
import Tensors
import Text

/// What `fatezero batch` reads (docs/batch.md): clips, edits, and settings of which some are grids. Each clip is edited by
/// each edit with each combination of the grids' values.
struct JobsFile {
  /// Folder of the results, as written.
  let output: String?
  let jobs: [EditJobDescription]

  private static let maximumJobs = 100_000
  /// Options that belong to the batch and not to one of its edits.
  private static let reserved: Set = [
    "help", "version",
    "cache", "cache-size", "resume", "progress", "trace", "edit", "path", "name", "edits",
  ]
  /// Options that take no value.
  private static let flags: Set = ["preview", "blend-latents"]
  /// Options that name a file of each result; in a jobs file they are true or false.
  private static let files: Set = ["report", "mask-output"]

  /// An option of `fatezero edit` with its value.
  private struct Option {
    let name: String
    let value: ConfigurationValue
  }

  /// - Parameter name: How messages call the file.
  /// - Throws: `CommandFailure`.
  init(yaml: String, name: String) throws {
    let root = try ConfigurationValue(yaml: yaml, name: name)
    for (key, value) in try root.entries ?? []
    where !["output", "extension", "clips", "edits", "settings"].contains(key) {
      throw value.unfit("one of output, extension, clips, edits, settings")
    }
    output = try root["output"]?.text()
    let ending = try root["extension"]?.text() ?? "mp4"
    guard !ending.isEmpty, ending.unicodeScalars.allSatisfy({ $0.isLetter || $0.isNumber }) else {
      throw try root.required("extension").unfit("the ending of a file's name, like mp4")
    }
    var fixed: [Option] = []
    var grids: [(name: String, values: [ConfigurationValue])] = []
    for option in try Self.options(try root["settings"], except: []) {
      guard option.value.isList else {
        fixed.append(option)
        continue
      }
      let values = try option.value.list()
      if values.isEmpty { throw option.value.unfit("a value, or a list of at least one") }
      grids.append((option.name, values))
    }
    let commonEdits = try root["edits"]?.list()

    var jobs: [EditJobDescription] = []
    var names = JobNames()
    var known: Set<EditJobDescription.Work> = []
    let clips = try root.required("clips")
    for clip in try clips.list() {
      let clipMapping = try clip.entries == nil ? nil : clip
      let written = try clipMapping?.required("path").text() ?? clip.text()
      if written.isEmpty { throw clip.unfit("the path of a clip") }
      // A name is no option.
      let path = written.begins(with: "-") ? "./\(written)" : written
      let clipName = try clipMapping?["name"]?.text() ?? Self.stem(path)
      guard let edits = try clipMapping?["edits"]?.list() ?? commonEdits, !edits.isEmpty else {
        throw clip.unfit("a clip with edits, or stand beside edits for all clips")
      }
      let clipOptions = try Self.options(clipMapping, except: ["path", "name", "edits"])
      for edit in edits {
        let editMapping = try edit.entries == nil ? nil : edit
        let prompt = try editMapping?.required("edit").text() ?? edit.text()
        if prompt.isEmpty { throw edit.unfit("a prompt") }
        let editName = try editMapping?["name"]?.text() ?? prompt
        let editOptions = try Self.options(editMapping, except: ["edit", "name"])
        for grid in grids {
          if let twice = (clipOptions + editOptions).first(where: { $0.name == grid.name }) {
            throw twice.value.unfit("left out: settings has a grid of \(grid.name)")
          }
        }
        // The nearest to the edit wins.
        var options: [Option] = []
        for option in fixed + clipOptions + editOptions {
          options.removeAll { $0.name == option.name }
          options.append(option)
        }
        for choice in try Self.combinations(grids, atMost: Self.maximumJobs - jobs.count) {
          let parts =
            [clipName, editName] + (try choice.map { "\($0.name)-\(try $0.value.text())" })
          let name = names.unique(parts.map(Self.namePart).joined(separator: "_"))
          let job = EditJobDescription(
            name: name, clip: path, clipName: clipName, edit: prompt, file: "\(name).\(ending)",
            grid: try choice.map { EditJobDescription.Setting(name: $0.name, value: try $0.value.text()) },
            options: try (options + choice).map(Self.argument))
          guard known.insert(job.work).inserted else {
            throw edit.unfit("there once: the same clip is edited in the same way already, \(prompt.prefix(200))")
          }
          jobs.append(job)
        }
      }
    }
    guard !jobs.isEmpty else { throw clips.unfit("a list of at least one clip") }
    self.jobs = jobs
  }

  private static func options(_ mapping: ConfigurationValue?, except: Set<String>) throws -> [Option] {
    guard let mapping else { return [] }
    guard let entries = try mapping.entries else { throw mapping.unfit("options of fatezero edit with their values") }
    return try entries.filter { !except.contains($0.0) }.map { name, value in
      guard !reserved.contains(name), !name.isEmpty,
        name.unicodeScalars.allSatisfy({ $0.isASCII && ($0.isLetter || $0 == "-") })
      else {
        throw value.unfit("left out: \(name) is no option of a single edit here")
      }
      return Option(name: name, value: value)
    }
  }

  /// The option as `edit` takes it; one that names a file of the result gets that name later.
  private static func argument(_ option: Option) throws -> EditJobDescription.Option {
    if files.contains(option.name) { return .file(option.name, try option.value.flag()) }
    if flags.contains(option.name) {
      if try option.value.flag() { return .argument("--\(option.name)") }
      return .argument(option.name == "preview" ? nil : "--no-\(option.name)")
    }
    let text = try option.value.text()
    if text.isEmpty, !["negative", "source"].contains(option.name) { throw option.value.unfit("a value") }
    return .argument("--\(option.name)=\(text)")
  }

  private static func combinations(
    _ grids: [(name: String, values: [ConfigurationValue])], atMost limit: Int
  ) throws -> [[Option]] {
    var result: [[Option]] = [[]]
    for grid in grids {
      let (count, overflows) = result.count.multipliedReportingOverflow(by: grid.values.count)
      guard !overflows, count <= limit else {
        throw CommandFailure(.data, "the grids make more than \(maximumJobs) jobs; split the file")
      }
      result = result.flatMap { start in grid.values.map { start + [Option(name: grid.name, value: $0)] } }
    }
    if limit < result.count { throw CommandFailure(.data, "the file makes more than \(maximumJobs) jobs; split it") }
    return result
  }

  /// What fits the name of a file; without the `_` that stands between parts.
  private static func namePart(_ text: String) -> String {
    let name = OutputName.fileName(of: text, keeping: ".+")
    return name.begins(with: ".") ? "clip\(name)" : name
  }

  /// `a/b.mp4` -> `b`.
  static func stem(_ path: String) -> String {
    let name = path.pieces(at: "/").last.map(String.init) ?? path
    guard let dot = name.lastPlace(ofScalar: "."), dot != name.startIndex else { return name }
    return String(name[..<dot])
  }
}

/// The names of jobs and their files, each of which is there once.
struct JobNames {
  /// The longest name of a result that leaves room for endings and temporary names, in bytes.
  private static let maximumLength = 180

  private var taken: Set<String> = []
  /// The number that the next name gets which would be like one before.
  private var numbers: [String: Int] = [:]

  /// `name`, cut where it is too long, with a number behind it where another has it.
  mutating func unique(_ name: String) -> String {
    var first = name
    if first.utf8.count > Self.maximumLength {
      let digest = ContentDigest()
      digest.add(first)
      while first.utf8.count > Self.maximumLength - 9 { first.unicodeScalars.removeLast() }
      first += "_" + digest.text.prefix(8)
    }
    var unique = first
    while !taken.insert(unique).inserted {
      let number = numbers[first, default: 2]
      numbers[first] = number + 1
      unique = "\(first)_\(number)"
    }
    return unique
  }
}

/// One edit of a batch.
struct EditJobDescription: Codable, Equatable {
  enum Option: Codable, Hashable {
    /// As `fatezero edit` takes it; nil says nothing.
    case argument(String?)
    /// An option that names a file beside the result, or none.
    case file(String, Bool)
  }
  struct Setting: Codable, Equatable {
    let name: String, value: String
  }

  /// Unique in the batch, and part of file names.
  let name: String
  let clip: String
  let clipName: String
  let edit: String
  /// The result's name in the output folder.
  let file: String
  /// What the grids chose.
  let grid: [Setting]
  let options: [Option]

  /// What two jobs share that make the same.
  struct Work: Hashable {
    let clip: String, edit: String, options: [Option]
  }

  var work: Work { Work(clip: clip, edit: edit, options: options) }

  /// - Parameters:
  ///   - output: The folder of the results.
  ///   - folder: The job's own.
  func arguments(output: String, folder: String) -> [String] {
    [clip, "\(output)/\(file)", "--edit=\(edit)", "-y"]
      + options.compactMap { option in
        switch option {
        case .argument(let text): text
        case .file(_, false): nil
        case .file("report", true): "--report=\(folder)/report"
        case .file(let name, true): "--\(name)=\(output)/\(maskFile)"
        }
      }
  }

  /// What the job leaves in the output folder.
  var files: [String] { [file] + (options.contains(.file("mask-output", true)) ? [maskFile] : []) }

  /// No edit's result is called so: a part of a name behind the first two has a dash.
  private var maskFile: String {
    let dot = file.lastPlace(ofScalar: ".") ?? file.endIndex
    return "\(file[..<dot])_mask\(file[dot...])"
  }

  var hasReport: Bool { options.contains(.file("report", true)) }
}
