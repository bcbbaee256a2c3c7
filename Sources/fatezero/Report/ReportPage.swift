import FateZero

/// The page of a report: one HTML file with everything in it, for screens of any width.
struct ReportPage {
  let numbers: EditReport.Numbers
  let plan: EditPlan
  let strips: [String: [String]]
  let words: [(title: String, words: [(word: String, peak: Float, pictures: [String])])]
  /// The frames that are shown, counted from 0.
  let shown: [Int]
  /// A picture of the folder as a `data:` address.
  let image: (String) -> String

  var html: String {
    let title = plan.edits.map(\.target.prompt).joined(separator: " / ")
    let policy = PagePolicy()
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8">\(policy.tag(pictures: "data:"))<meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(escaped(title)) - fatezero</title><style>\(PageLooks.style)</style></head><body>
      <header><p class="brand">fatezero \(numbers.version)</p><h1>\(escaped(title))</h1>
      <p>\(plan.source.map { "from a clip of <q>\(escaped($0.prompt))</q>, " } ?? "")\(Numerals.count(numbers.frames, "frame")) \
      of \(numbers.size), edited at \(numbers.workingSize) in \(Numerals.count(numbers.steps, "step"))</p></header>
      <main>
      \(clips)
      \(frameStrips)
      \(alignment)
      \(wordMaps)
      \(coverage)
      \(reconstruction)
      \(run)
      </main>\(policy.script(Self.script))</body></html>

      """
  }

  // MARK: - Sections

  private func section(_ title: String, _ explanation: String, _ body: String) -> String {
    "<section><h2>\(title)</h2><p>\(explanation)</p>\(body)</section>"
  }

  private var clips: String {
    let names = ["source"] + plan.edits.indices.map { "result-\($0 + 1)" }
    let captions = ["The clip"] + plan.edits.map { escaped($0.target.prompt) }
    let figures = zip(names, captions).map { name, caption in
      let pictures = (strips[name] ?? []).enumerated().map { index, file in
        "<img\(index == 0 ? " class=\"on\"" : "") src=\"\(image(file))\" alt=\"\(caption), frame \(shown[index] + 1)\">"
      }.joined()
      return
        "<figure class=\"clip\"><div class=\"screen\">\(pictures)</div><figcaption>\(caption)</figcaption></figure>"
    }.joined()
    return section(
      "Before and after",
      "The same moments side by side\(shown.count < numbers.frames ? "; \(shown.count) of the \(numbers.frames) frames are shown here" : ""). "
        + "What the words did not change should hold its place.",
      "<div class=\"clips\">\(figures)</div><div class=\"controls\"><button id=\"play\">Pause</button>"
        + "<input id=\"seek\" type=\"range\" min=\"0\" max=\"\(max(shown.count - 1, 0))\" value=\"0\" aria-label=\"Frame\">"
        + "<output id=\"frame\"></output></div>")
  }

  private func strip(_ name: String, _ caption: String) -> String {
    guard let files = strips[name] else { return "" }
    let pictures = files.enumerated().map { index, file in
      "<figure><img src=\"\(image(file))\" alt=\"\(caption), frame \(shown[index] + 1)\"><figcaption>\(shown[index] + 1)</figcaption></figure>"
    }.joined()
    return "<h3>\(caption)</h3><div class=\"strip\">\(pictures)</div>"
  }

  private var frameStrips: String {
    let edits = plan.edits.enumerated().map { index, edit in
      let name = escaped(edit.target.prompt)
      return strip("result-\(index + 1)", name)
        + strip(
          "difference-\(index + 1)", "Difference from the clip, \(EditReport.gain) times as bright: black is unchanged")
        + strip(
          "mask-\(index + 1)", "Blending mask: the bright part was edited freely, the dark part was held to the clip")
    }.joined()
    return section(
      "Frame by frame", "The number below a picture is its frame.", strip("source", "The clip") + edits)
  }

  private var alignment: String {
    guard let source = plan.source else { return "" }
    let diagrams = plan.edits.compactMap { edit -> String? in
      guard let alignment = edit.alignment else { return nil }
      return Self.diagram(source: source, target: edit.target, links: Self.links(alignment, source, edit.target))
    }.joined()
    return section(
      "Which word takes whose place",
      "Above, what the clip shows; below, what was asked for. A line says that the lower word looks where the upper one "
        + "looked in the clip: <b class=\"kept\">kept</b> words, and words that <b class=\"swap\">take another's place</b>. "
        + "<b class=\"new\">New</b> words look for themselves; <b class=\"gone\">dropped</b> ones are not read.",
      diagrams)
  }

  private var wordMaps: String {
    guard !words.isEmpty else { return "" }
    let blocks = words.map { block in
      let rows = block.words.map { word in
        let pictures = word.pictures.map {
          "<figure><img src=\"\(image($0))\" alt=\"Where &quot;\(escaped(word.word))&quot; was seen\"></figure>"
        }.joined()
        return "<h4>\(escaped(word.word)) <small>largest share of a cell's attention: "
          + "\(Numerals.fixed(Double(word.peak), digits: 3))</small></h4><div class=\"strip small\">\(pictures)</div>"
      }.joined()
      return "<h3>\(escaped(block.title))</h3>\(rows)"
    }.joined()
    return section(
      "Where each word looked",
      "For every word, frame by frame, which parts of the picture its attention fell on: dark is least, "
        + "<span class=\"scale\"></span> yellow is most of that word in that frame. The mean over all steps. If the word that you "
        + "want to edit does not light up its object, another word or a higher resolution will do better.", blocks)
  }

  private var coverage: String {
    let series = numbers.edits.enumerated().compactMap { index, edit -> Plot.Series? in
      guard !edit.maskCoverage.isEmpty else { return nil }
      var byStep: [Int: [Double]] = [:]
      for point in edit.maskCoverage { byStep[point.step, default: []].append(Double(point.share) * 100) }
      return Plot.Series(
        name: escaped(edit.edit),
        points: byStep.sorted { $0.key < $1.key }.map {
          (Double($0.key), $0.value.reduce(0, +) / Double($0.value.count))
        })
    }
    guard !series.isEmpty else {
      return section("How much the mask lets through", "No blending mask was used: the whole picture could change.", "")
    }
    return section(
      "How much the mask lets through",
      "The part of the picture that was free to change, step by step (the first step is the noisiest). Near 100 % the mask "
        + "protects nothing, near 0 % the edit cannot show: then turn <code>--blend-threshold</code>.",
      Plot(x: "step", y: "edited part (%)", series: series, from: 0, to: 100).svg)
  }

  private var reconstruction: String {
    let psnr = numbers.reconstruction.compactMap { point in point.psnr.map { (Double(point.frame), $0) } }
    let ssim = numbers.reconstruction.compactMap { point in point.ssim.map { (Double(point.frame), $0) } }
    func mean(_ points: [(Double, Double)]) -> Double { points.reduce(0) { $0 + $1.1 } / Double(max(points.count, 1)) }
    let top = ((psnr.map(\.1).max() ?? 0) / 10).rounded(.up) * 10
    return section(
      "Does the inversion hold the clip?",
      "The clip was turned into noise and back with its own prompt, without an edit. The closer it comes, the more an edit has "
        + "to hold on to. Mean PSNR \(Numerals.fixed(mean(psnr), digits: 1)) dB, mean SSIM \(Numerals.fixed(mean(ssim), digits: 3)).",
      strip("source", "The clip") + strip("reconstruction", "There and back")
        + "<div class=\"plots\">"
        + Plot(
          x: "frame", y: "PSNR (dB)", series: [Plot.Series(name: "reconstruction", points: psnr)], from: 0,
          to: max(top, 10)
        ).svg
        + Plot(x: "frame", y: "SSIM", series: [Plot.Series(name: "reconstruction", points: ssim)], from: 0, to: 1).svg
        + "</div>")
  }

  private var run: String {
    let total = max(numbers.phases.reduce(0) { $0 + $1.seconds }, 1e-9)
    let bars = numbers.phases.map { phase in
      "<tr><th>\(Self.phaseNames[phase.phase] ?? phase.phase)</th><td>\(Numerals.fixed(phase.seconds, digits: 1)) s</td>"
        + "<td class=\"bar\"><i style=\"width:\(Numerals.fixed(phase.seconds / total * 100, digits: 1))%\"></i></td></tr>"
    }.joined()
    let facts: [(String, String)] = [
      ("model", numbers.model), ("arithmetic", numbers.precision),
      (
        "memory",
        "\(Numerals.bytes(numbers.peakBytes)) at most, \(Numerals.bytes(numbers.predictedPeakBytes)) predicted"
          + (numbers.economies.map { "; \($0)" } ?? "")
      ),
      ("windows", "\(numbers.windows)"), ("version", numbers.version),
    ]
    func table(_ rows: [(String, String)]) -> String {
      "<table>" + rows.map { "<tr><th>\(escaped($0.0))</th><td>\(escaped($0.1))</td></tr>" }.joined() + "</table>"
    }
    let settings = numbers.edits.map { edit in
      "<h3>\(escaped(edit.edit))</h3>"
        + table(
          (edit.words.map { [("words", $0)] } ?? [])
            + edit.settings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    }.joined()
    return section("The run", "Settings that differ from the defaults, and what it took.", settings)
      + "<section><h3>Time</h3><table>\(bars)</table><h3>Machine</h3>\(table(facts))</section>"
  }

  private static let phaseNames = [
    "encode": "encode the frames", "invert": "invert: clip to noise",
    "reconstruct": "back without an edit (this report only)",
    "edit": "edit: noise to clip", "decode": "decode the frames",
  ]

  // MARK: - The alignment

  /// Pairs of a source word and a target word, and whether they are the same.
  private static func links(_ alignment: WordAlignment, _ source: PromptWords, _ target: PromptWords) -> [(
    Int, Int, Bool
  )] {
    switch alignment {
    case .replace:
      return (0..<min(source.words.count, target.words.count)).map { ($0, $0, source.words[$0] == target.words[$0]) }
    case .refine(let mapper, let alphas):
      return target.positions.enumerated().compactMap { word, positions in
        guard let read = positions.first(where: { $0 < alphas.count && alphas[$0] != 0 }),
          let from = source.positions.firstIndex(where: { $0.contains(mapper[read]) })
        else { return nil }
        return (from, word, source.words[from] == target.words[word])
      }
    }
  }

  private static func diagram(source: PromptWords, target: PromptWords, links: [(Int, Int, Bool)]) -> String {
    func centres(_ words: [String]) -> (middles: [Double], width: Double) {
      var left = 10.0
      var middles: [Double] = []
      for word in words {
        let width = Double(max(word.count, 2)) * 10 + 16
        middles.append(left + width / 2)
        left += width + 8
      }
      return (middles, left + 2)
    }
    let (above, below) = (centres(source.words), centres(target.words))
    let width = Int(max(above.width, below.width))
    func text(_ word: String, _ x: Double, _ y: Int, _ kind: String) -> String {
      "<text class=\"\(kind)\" x=\"\(Int(x))\" y=\"\(y)\" text-anchor=\"middle\">\(escaped(word))</text>"
    }
    var svg = ""
    for (from, to, isSame) in links {
      let (x1, x2) = (Int(above.middles[from]), Int(below.middles[to]))
      svg += "<path class=\"\(isSame ? "kept" : "swap")\" d=\"M\(x1) 36C\(x1) 66 \(x2) 66 \(x2) 96\"/>"
    }
    for (index, word) in source.words.enumerated() {
      let link = links.first { $0.0 == index }
      svg += text(word, above.middles[index], 28, link == nil ? "gone" : link?.2 == true ? "kept" : "swap")
    }
    for (index, word) in target.words.enumerated() {
      let link = links.first { $0.1 == index }
      svg += text(word, below.middles[index], 114, link == nil ? "new" : link?.2 == true ? "kept" : "swap")
    }
    return
      "<div class=\"wide\"><svg class=\"words\" width=\"\(width)\" height=\"126\" viewBox=\"0 0 \(width) 126\" role=\"img\" "
      + "aria-label=\"Word alignment\">\(svg)</svg></div>"
  }

  private static let script = """
    const screens=[...document.querySelectorAll('.screen')],seek=document.getElementById('seek'),play=document.getElementById('play'),
    label=document.getElementById('frame');let at=0,on=true;
    function show(i){at=i;for(const s of screens)[...s.children].forEach((p,k)=>p.classList.toggle('on',k===i));seek.value=i;
    const p=screens[0]&&screens[0].children[i];label.textContent=p?p.alt.split(', ').pop():''}
    function set(v){on=v;play.textContent=on?'Pause':'Play'}
    seek.oninput=()=>{set(false);show(+seek.value)};play.onclick=()=>set(!on);
    setInterval(()=>{if(on&&screens[0]&&screens[0].children.length)show((at+1)%screens[0].children.length)},140);show(0);
    """
}

/// How pages look, in light and dark.
enum PageLooks {
  static let style = """
    :root{color-scheme:light dark;--ink:#1c2230;--soft:#5b6577;--line:#d5dae3;--back:#f6f7f9;--card:#fff;--a:#2f6fde;--b:#d9691c;--c:#1f9254}
    @media(prefers-color-scheme:dark){:root{--ink:#e6e9f0;--soft:#9aa4b6;--line:#343b48;--back:#14171d;--card:#1c2028;--a:#7aa7ff;--b:#ff9d57;--c:#5bd08f}}
    *{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
    header,main{max-width:1080px;margin:0 auto;padding:0 16px}header{padding-top:24px}.brand{color:var(--soft);margin:0}
    h1{margin:.1em 0;font-size:clamp(1.4rem,5vw,2.2rem)}h2{margin:0;font-size:1.3rem}h3{margin:1.2em 0 .3em;font-size:1rem}h4{margin:.8em 0 .2em;font-size:.95rem}
    small,p{color:var(--soft)}section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px;margin:16px 0;overflow:hidden}
    .clips{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(260px,100%),1fr));gap:16px}figure{margin:0}figcaption{color:var(--soft);font-size:.85rem;text-align:center}
    .screen img{display:none;width:100%;border-radius:8px;image-rendering:auto}.screen img.on{display:block}
    .controls{display:flex;gap:12px;align-items:center;margin-top:12px}.controls input{flex:1;min-width:0}button{font:inherit;padding:4px 14px;border-radius:8px;border:1px solid var(--line);background:var(--back);color:inherit}
    .strip,.wide{display:flex;gap:6px;overflow-x:auto;padding-bottom:6px}.strip figure{flex:0 0 auto}.strip img{height:128px;border-radius:6px;display:block}.strip.small img{height:88px}
    table{border-collapse:collapse;width:100%;font-size:.9rem}th{text-align:left;font-weight:500;color:var(--soft);padding:4px 12px 4px 0;vertical-align:top}td{padding:4px 0;overflow-wrap:anywhere}
    .bar{width:45%}.bar i{display:block;height:12px;border-radius:6px;background:var(--a);min-width:2px}
    svg{max-width:100%;height:auto}svg.words{max-width:none;font-size:16px}svg text{fill:var(--ink)}svg path{fill:none;stroke-width:2}
    svg.plot{font-size:12px;width:100%;max-width:640px}svg.plot text{fill:var(--soft)}svg.plot .grid{stroke:var(--line);stroke-width:1}
    b.kept,text.kept{color:var(--a);fill:var(--a)}path.kept{stroke:var(--a)}b.swap,text.swap{color:var(--b);fill:var(--b)}path.swap{stroke:var(--b)}
    b.new,text.new{color:var(--c);fill:var(--c)}b.gone,text.gone{color:var(--soft);fill:var(--soft);text-decoration:line-through}
    .plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr));gap:8px}
    .scale{display:inline-block;width:64px;height:.8em;border-radius:3px;background:linear-gradient(90deg,#000005,#570f6e,#bd3654,#fa8f0a,#fcffa3)}
    """
}

/// A line plot as SVG, with axes, units and a legend.
struct Plot {
  struct Series {
    let name: String
    let points: [(Double, Double)]
  }
  let x: String, y: String
  let series: [Series]
  let from: Double, to: Double

  private static let colours = ["var(--a)", "var(--b)", "var(--c)", "#a05bd6", "#c04070"]

  var svg: String {
    let (width, height, left, top, right, bottom) = (520.0, 240.0, 56.0, 12.0, 12.0, 44.0)
    let xs = series.flatMap { $0.points.map(\.0) }
    let (first, last) = (xs.min() ?? 0, max(xs.max() ?? 1, (xs.min() ?? 0) + 1))
    func place(_ point: (Double, Double)) -> (String, String) {
      let across = left + (point.0 - first) / (last - first) * (width - left - right)
      let down = top + (1 - (min(max(point.1, from), to) - from) / (to - from)) * (height - top - bottom)
      return (Numerals.fixed(across, digits: 1), Numerals.fixed(down, digits: 1))
    }
    var body = ""
    for tick in 0...4 {
      let value = from + (to - from) * Double(tick) / 4
      let (_, down) = place((first, value))
      body +=
        "<path class=\"grid\" d=\"M\(left) \(down)H\(width - right)\"/><text x=\"\(left - 6)\" y=\"\(down)\" dy=\"4\" "
        + "text-anchor=\"end\">\(Numerals.fixed(value, digits: to - from <= 2 ? 2 : 0))</text>"
    }
    for tick in Set((0...4).map { (first + (last - first) * Double($0) / 4).rounded() }).sorted() {
      let (across, _) = place((tick, from))
      body += "<text x=\"\(across)\" y=\"\(height - bottom + 16)\" text-anchor=\"middle\">\(Int(tick))</text>"
    }
    body += "<text x=\"\((left + width - right) / 2)\" y=\"\(height - 8)\" text-anchor=\"middle\">\(x)</text>"
    body +=
      "<text transform=\"translate(14 \((top + height - bottom) / 2)) rotate(-90)\" text-anchor=\"middle\">\(y)</text>"
    for (index, line) in series.enumerated() {
      let colour = Self.colours[index % Self.colours.count]
      let places = line.points.map(place)
      body += "<path style=\"stroke:\(colour)\" d=\"M\(places.map { "\($0.0) \($0.1)" }.joined(separator: "L"))\"/>"
      body += places.map { "<circle cx=\"\($0.0)\" cy=\"\($0.1)\" r=\"2.5\" style=\"fill:\(colour)\"/>" }.joined()
    }
    let legend =
      series.count < 2
      ? ""
      : "<p>"
        + series.enumerated().map { index, line in
          "<span style=\"color:\(Self.colours[index % Self.colours.count])\">&#9679;</span> \(line.name) "
        }.joined() + "</p>"
    return
      "<figure><svg class=\"plot\" viewBox=\"0 0 \(Int(width)) \(Int(height))\" role=\"img\" aria-label=\"\(y) by \(x)\">\(body)</svg>\(legend)</figure>"
  }
}
