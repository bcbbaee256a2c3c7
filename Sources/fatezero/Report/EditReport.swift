import FateZero
import Files
import FoundationEssentials
import Glibc
import MediaIO
import Metrics

/// `--report`: what the edit did, as a page that opens from disk, and as pictures and numbers beside it.
final class EditReport {
  /// Frames that are shown, at most; numbers are of all frames.
  private static let shownFrames = 16
  /// Differences are shown so many times as large.
  static let gain = 3

  private let files: ClaimedFolder
  private let job: EditJob
  private let plan: EditPlan
  private let shown: Set<Int>
  private var count = 0
  private var numbers: Numbers
  /// `source` and for each edit `result-1` ...: the file names of its pictures.
  private var strips: [String: [String]] = [:]
  private var wordStrips: [(title: String, words: [(word: String, peak: Float, pictures: [String])])] = []
  private var sources: [Picture] = []

  /// What `report.json` holds.
  struct Numbers: Codable {
    struct Similarity: Codable {
      var frame: Int
      /// dB; absent where nothing differs, or nothing can be compared.
      var psnr: Double?
      /// Absent where the clip is smaller than one of its windows.
      var ssim: Double?
    }
    struct Coverage: Codable {
      var window: Int
      var step: Int
      /// Mean of the blending mask, 0...1.
      var share: Float
    }
    struct Edit: Codable {
      var source: String?
      var edit: String
      var words: String?
      var settings: [String: String]
      var maskCoverage: [Coverage] = []
    }
    struct Phase: Codable {
      var phase: String
      var seconds: Double
    }
    var version: String
    var model: String
    var frames = 0
    var windows = 0
    var size: String
    var workingSize: String
    var steps: Int
    var precision: String
    var edits: [Edit]
    /// Of the clip after inversion and denoising with its own prompt, against the clip.
    var reconstruction: [Similarity] = []
    var phases: [Phase] = []
    /// What was done without to fit the memory, in words.
    var economies: String?
    var predictedPeakBytes: Int
    var peakBytes = 0
  }

  private static let pageName = "index.html", numbersName = "report.json"

  /// - Throws: `CommandFailure` where the folder holds a report already, or cannot be used; `FileError` where the disk is full.
  init(folder: String, job: EditJob, plan: EditPlan, frames: Int?, overwrite: Bool) throws {
    if access("\(folder)/\(Self.pageName)", F_OK) == 0, !overwrite {
      throw CommandFailure(.cannotCreate, "--report \(folder): there is a report already; add -y to replace it")
    }
    do throws(FileError) {
      files = try ClaimedFolder(taking: folder)
      // An old page would belong to pictures of another edit, and old pictures to no page.
      files.removeFiles()
      try files.claim([Self.pageName, Self.numbersName])
    } catch {
      if error.isFullDisk { throw error }
      throw CommandFailure(.cannotCreate, "--report \(folder): \(error)")
    }
    (self.job, self.plan) = (job, plan)
    let total = frames ?? Self.shownFrames
    shown = Set((0..<min(total, Self.shownFrames)).map { $0 * total / min(total, Self.shownFrames) })
    let plain = Settings()
    numbers = Numbers(
      version: toolVersion, model: "\(job.directory.path) (\(job.directory.identity))", size: "\(plan.frameSize)",
      workingSize: "\(plan.workingSize)", steps: plan.scheduler.steps, precision: plan.precision.rawValue,
      edits: zip(plan.edits, job.edits).map { planned, settings in
        Numbers.Edit(
          source: plan.source?.prompt, edit: planned.target.prompt,
          words: planned.fate(source: plan.source).map { "\($0)" },
          settings: Dictionary(
            uniqueKeysWithValues: Knobs.all.compactMap { knob in
              settings.text(of: knob.name).flatMap { $0 == plain.text(of: knob.name) ? nil : (knob.name, $0) }
            }))
      }, economies: plan.economiesText, predictedPeakBytes: plan.peakBytes(frames: frames))
  }

  /// Removes what there is of it: it will not be completed.
  func abandon() { files.removeFiles() }

  /// - Parameter frames: The window's, as they were read.
  /// - Throws: `FileError` where its pictures cannot be written.
  func add(_ window: ClipEditor.Window, frames: [FateZero.Frame]) throws {
    guard let observation = window.observation else { return }
    numbers.windows += 1
    for phase in observation.seconds {
      if let index = numbers.phases.firstIndex(where: { $0.phase == phase.phase }) {
        numbers.phases[index].seconds += phase.seconds
      } else {
        numbers.phases.append(Numbers.Phase(phase: phase.phase, seconds: phase.seconds))
      }
    }
    for (index, edit) in observation.edits.enumerated() {
      numbers.edits[index].maskCoverage += edit.maskShares.map {
        Numbers.Coverage(window: numbers.windows, step: $0.step + 1, share: $0.share)
      }
    }
    let masks = try window.masks.map { try $0?.frames() }
    for (position, frame) in frames.enumerated() {
      let number = count + position
      let rebuilt = try observation.reconstruction[position].frame()
      // A configuration's crop makes results smaller than the clip.
      let original = rebuilt.size == frame.size ? frame : rebuilt
      numbers.reconstruction.append(try similarity(of: rebuilt, to: original, frame: number + 1))
      guard shown.contains(number) else { continue }
      let source = Picture(reducing: original)
      sources.append(source)
      try show(source, in: "source", number)
      try show(Picture(reducing: rebuilt), in: "reconstruction", number)
      for (index, edited) in window.edits.enumerated() {
        let result = Picture(reducing: try edited[position].frame())
        try show(result, in: "result-\(index + 1)", number)
        try show(result.difference(source, gain: Self.gain), in: "difference-\(index + 1)", number)
        if let mask = masks[index]?[position] {
          let mask = Picture(reducing: try mask.frame())
          try show(
            source.lit { Float(mask.pixels[($0 * mask.width + $1) * 3]) / 255 }, in: "mask-\(index + 1)", number)
        }
      }
      if let maps = observation.source {
        try heat(
          maps, position, number, over: source, title: "Source prompt, seen by the model in the clip", name: "source")
      }
      for (index, edit) in observation.edits.enumerated() {
        guard let maps = edit.maps else { continue }
        try heat(
          maps, position, number, over: Picture(reducing: try window.edits[index][position].frame()),
          title: "Edit \(index + 1): \(plan.edits[index].target.prompt)", name: "edit-\(index + 1)")
      }
    }
    count += frames.count
  }

  /// Writes the page; the folder is complete then.
  /// - Throws: `FileError` where it cannot be written.
  func finish() throws {
    numbers.frames = count
    numbers.peakBytes = MachineMemory.peakResident
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    try files.write([UInt8](try encoder.encode(numbers)), to: Self.numbersName)
    let page = ReportPage(
      numbers: numbers, plan: plan, strips: strips, words: wordStrips, shown: shown.filter { $0 < count }.sorted(),
      image: { [files] name in
        let data = Data(files.bytes(of: name, limit: 1 << 26) ?? [])
        return "data:image/png;base64,\(data.base64EncodedString())"
      })
    try files.write(Array(page.html.utf8), to: Self.pageName)
  }

  private func similarity(of frame: FateZero.Frame, to source: FateZero.Frame, frame number: Int) throws
    -> Numbers.Similarity
  {
    guard min(source.width, source.height) >= FramePair.smallestSide else { return Numbers.Similarity(frame: number) }
    func picture(_ frame: FateZero.Frame) -> VideoFrame {
      VideoFrame(width: frame.width, height: frame.height, pixels: frame.pixels, timestamp: 0, duration: 0)
    }
    var metrics = PictureMetrics()
    metrics.add(try FramePair(source: picture(source), result: picture(frame)))
    let psnr = metrics.peakSignalToNoise.mean
    return Numbers.Similarity(
      frame: number, psnr: psnr.flatMap { $0.isFinite ? $0 : nil }, ssim: metrics.structuralSimilarity.mean)
  }

  // MARK: - Pictures

  private func show(_ picture: Picture, in strip: String, _ number: Int) throws {
    let digits = "\(number + 1)"
    let name = "\(strip)-\(String(repeating: "0", count: max(4 - digits.count, 0)))\(digits).png"
    try files.write(try PNGEncoder(width: picture.width, height: picture.height).encode(picture.pixels), to: name)
    strips[strip, default: []].append(name)
  }

  /// A frame under the maps of all words; each word's colours go up to its largest value in that frame.
  private func heat(
    _ maps: WindowObservation.WordMaps, _ position: Int, _ number: Int, over picture: Picture, title: String,
    name: String
  ) throws {
    let entry = wordStrips.firstIndex { $0.title == title }
    var words = entry.map { wordStrips[$0].words } ?? maps.words.map { ($0.word, 0, []) }
    for (index, word) in maps.words.enumerated() {
      let values = word.frames[position]
      let peak = values.max() ?? 0
      let heated = picture.heated { row, column in
        let cell = row * maps.rows / picture.height * maps.columns + column * maps.columns / picture.width
        return peak > 0 ? values[cell] / peak : 0
      }
      let strip = "words-\(name)-\(index + 1)"
      try show(heated, in: strip, number)
      words[index].peak = max(words[index].peak, peak)
      words[index].pictures = strips[strip] ?? []
    }
    if let entry { wordStrips[entry].words = words } else { wordStrips.append((title, words)) }
  }
}
