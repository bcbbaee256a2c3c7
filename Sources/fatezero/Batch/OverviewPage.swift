import FateZero
import Files
import FoundationEssentials
import Glibc
import MediaIO
import Text

/// The page of a batch: every clip with all that was made of it. Its pictures lie beside it.
final class OverviewPage {
  /// Frames of a clip that are shown: at least half as many and at most so many, evenly spread.
  private static let shownFrames = 16
  private static let longestSide = 256

  enum State {
    case toDo, done
    case failed(String)

    var isDone: Bool { if case .done = self { true } else { false } }
    var isFailed: Bool { if case .failed = self { true } else { false } }
  }

  private let folder: JobFolder
  private let jobs: [EditJobDescription]
  /// Clips that could not be read, which is not tried again.
  private var unreadable: Set<String> = []
  /// Of the clips, which do not change while jobs run: by the first job of each.
  private var sources: [Int: String] = [:]

  init(folder: JobFolder) throws {
    guard case .edits(let jobs) = folder.plan.work else {
      throw CommandFailure(.usage, "\(folder.path) holds the windows of one clip, which has no page")
    }
    (self.folder, self.jobs) = (folder, jobs)
  }

  /// Writes the page as things stand.
  /// - Parameter states: Of each job.
  func write(_ states: [State]) throws {
    let page = try html(states)
    do throws(FileError) { try folder.files().write(Array(page.utf8), to: JobFolder.pageName) } catch {
      // The work is what counts.
      guard error.isFullDisk else { throw CommandFailure(.cannotCreate, "\(error)") }
      StandardError.line("fatezero: warning: the page is not up to date: \(error)")
    }
  }

  // MARK: - Pictures

  /// Paths of a clip's pictures from the page, made where they are not there yet.
  ///
  /// - Parameters:
  ///   - place: Folder of the pictures, from the page.
  ///   - key: Names the clip as it is now; pictures of another are made anew.
  private func pictures(
    of path: String, _ options: InputOptions = InputOptions(), in place: String, key: String
  ) -> [String] {
    let place = "\(place)/frames"
    let absolute = "\(folder.path)/\(place)"
    func names(_ files: ClaimedFolder) -> [String] {
      files.claims.filter { $0.ends(with: ".png") && files.folder.isFile($0) }.sorted().map { "\(place)/\($0)" }
    }
    let mark = Array(key.utf8)
    if let known = ClaimedFolder(at: absolute), known.bytes(of: "of", limit: 1 << 16) == mark { return names(known) }
    guard !unreadable.contains(place) else { return [] }
    do {
      try OpenFolder.make(absolute)
      let files = try ClaimedFolder(taking: absolute)
      files.removeFiles()
      for (index, picture) in try Self.frames(of: path, options).enumerated() {
        let png = try PNGEncoder(width: picture.width, height: picture.height).encode(picture.pixels)
        try files.write(png, to: "\(index < 10 ? "0" : "")\(index).png")
      }
      try files.write(mark, to: "of")
      return names(files)
    } catch {
      unreadable.insert(place)
      StandardError.line("fatezero: warning: \(path) is not shown: \(error)")
      return []
    }
  }

  /// Frames evenly spread over a clip of any length, in one pass: whenever there are too many, every other one goes.
  private static func frames(of path: String, _ options: InputOptions) throws -> [Picture] {
    let reader = try MediaReader(
      path: path, options: options, warn: { _ in }, isCancelled: { Interruption.isRequested })
    var kept: [Picture] = []
    var spacing = 1
    var index = 0
    while let frame = try reader.nextFrame() {
      if index % spacing == 0 {
        kept.append(
          Picture(
            reducing: try Frame(width: frame.width, height: frame.height, pixels: frame.pixels), to: longestSide))
      }
      if kept.count > shownFrames {
        kept = stride(from: 0, to: kept.count, by: 2).map { kept[$0] }
        spacing *= 2
      }
      index += 1
    }
    return kept
  }

  // MARK: - Page

  private func html(_ states: [State]) throws -> String {
    struct Clip: Hashable {
      let name: String, path: String
    }
    var order: [Clip] = []
    var jobsOfClip: [Clip: [Int]] = [:]
    for (index, job) in jobs.enumerated() {
      let clip = Clip(name: job.clipName, path: job.clip)
      if jobsOfClip[clip] == nil { order.append(clip) }
      jobsOfClip[clip, default: []].append(index)
    }
    let clips = order.map { (name: $0.name, jobs: jobsOfClip[$0] ?? []) }
    let done = states.filter(\.isDone).count
    let failed = states.filter(\.isFailed).count
    let sections = try clips.map { clip in
      "<section><h2>\(escaped(clip.name))</h2><div class=\"cards\">\(try source(clip.jobs[0]))"
        + clip.jobs.map { card($0, states[$0]) }.joined() + "</div></section>"
    }.joined()
    let policy = PagePolicy()
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8">\(policy.tag(pictures: "'self' file:"))<meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(jobs.count == 1 ? "1 edit" : "\(jobs.count) edits") - fatezero</title><style>\(PageLooks.style)\(Self.style)</style></head><body>
      <header><p class="brand">fatezero \(toolVersion)</p><h1>\(Numerals.count(clips.count, "clip")), \
      \(Numerals.count(jobs.count, "edit"))</h1><p>\(done) done\(failed > 0 ? ", \(failed) failed" : "")\
      \(done + failed < jobs.count ? ", \(jobs.count - done - failed) to do" : "")</p>\(filters)</header>
      <main>\(sections)</main>\(policy.script(Self.script))</body></html>

      """
  }

  private func source(_ index: Int) throws -> String {
    if let known = sources[index] { return known }
    // Of the same clip other parts may be edited; the first job's is shown.
    let options = try EditOptions.parse(folder.arguments(of: index + 1))
    guard let job = try? EditJob(options), let input = job.input else { return "" }
    let names = pictures(
      of: input, job.inputOptions, in: "jobs/\(jobs[index].name)/clip",
      key: "\(InputStamp.stamp(of: input)) \(job.inputOptions)")
    let source = figure(names, caption: "<b>The clip</b>", alt: "The clip")
    sources[index] = source
    return source
  }

  private func card(_ index: Int, _ state: State) -> String {
    let job = jobs[index]
    let text: String
    var names: [String] = []
    let result = "\(folder.path)/\(job.file)"
    let file = escaped(job.file)
    switch state {
    case .done:
      names = pictures(of: result, in: "jobs/\(job.name)", key: InputStamp.stamp(of: result))
      text =
        "<a href=\"\(file)\">clip</a>"
        + job.files.dropFirst().map { " · <a href=\"\(escaped($0))\">mask</a>" }.joined()
        + (job.hasReport ? " · <a href=\"\(escaped("jobs/\(job.name)/report/index.html"))\">report</a>" : "")
        + (folder.done(index + 1).map { " · \(Numerals.duration($0.seconds))" } ?? "")
    case .failed(let message): text = "<span class=\"failed\">failed: \(escaped(message))</span>"
    case .toDo: text = "to do"
    }
    let settings = job.grid.map { "<span class=\"chip\">\(escaped($0.name)) \(escaped($0.value))</span>" }.joined(
      separator: " ")
    let data = job.grid.enumerated().map { " data-g\($0)=\"\(escaped($1.value))\"" }.joined()
    return figure(
      names, caption: "<b>\(escaped(job.edit))</b><br>\(settings)<br><small>\(index + 1): \(text)</small>",
      alt: job.edit, data: data)
  }

  private func figure(_ names: [String], caption: String, alt: String, data: String = "") -> String {
    let pictures = names.enumerated().map { index, name in
      "<img\(index == 0 ? " class=\"on\"" : "") loading=\"lazy\" src=\"\(escaped(name))\" alt=\"\(escaped(alt)), picture \(index + 1)\">"
    }.joined()
    return
      "<figure class=\"card\"\(data)><div class=\"screen\(names.isEmpty ? " none" : "")\">\(pictures)</div><figcaption>\(caption)</figcaption></figure>"
  }

  /// One choice for each grid.
  private var filters: String {
    guard let first = jobs.first, !first.grid.isEmpty else { return "" }
    return "<p class=\"filters\">"
      + first.grid.enumerated().map { position, setting in
        var known: Set<String> = []
        let values = jobs.map { $0.grid[position].value }.filter { known.insert($0).inserted }
        return "<label>\(escaped(setting.name)) <select data-g=\"\(position)\"><option value=\"\">all</option>"
          + values.map { "<option>\(escaped($0))</option>" }.joined() + "</select></label> "
      }.joined() + "</p>"
  }

  private static let style = """
    header,main{max-width:1400px}.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(200px,45%),1fr));gap:14px;margin-top:10px}
    .card figcaption{text-align:left;overflow-wrap:anywhere;margin-top:4px}.card b{color:var(--ink)}
    .screen.none{aspect-ratio:1;border:1px dashed var(--line);border-radius:8px}
    .chip{display:inline-block;border:1px solid var(--line);border-radius:8px;padding:0 6px;font-size:.8rem}
    .failed{color:var(--b)}.filters{display:flex;flex-wrap:wrap;gap:14px}select{font:inherit}a{color:var(--a)}
    """

  private static let script = """
    let at=0;setInterval(()=>{at++;for(const s of document.querySelectorAll('.screen')){const n=s.children.length;
    if(n>1)[...s.children].forEach((p,k)=>p.classList.toggle('on',k===at%n))}},140);
    const choices=[...document.querySelectorAll('select')];for(const c of choices)c.onchange=()=>{
    for(const f of document.querySelectorAll('.card'))f.hidden=choices.some(c=>c.value&&f.hasAttribute('data-g'+c.dataset.g)&&f.getAttribute('data-g'+c.dataset.g)!==c.value)}
    """
}
