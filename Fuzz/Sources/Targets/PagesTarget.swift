import FateZero
import FoundationEssentials

@testable import FateZeroCommand

/// A prompt and further texts of a stranger's that a report shows, with zero bytes between. As a browser reads it, byte by
/// byte, the page is made of the program's own tags.
struct PagesTarget: FuzzTarget {
  static let name = "pages"
  static let maximumLength = 1024
  private let world: ToyWorld

  init(scratch: ScratchFolder) throws { world = try ToyWorld() }

  func run(_ input: [UInt8]) throws {
    try PageBytes(escaped(input.text)).promiseText()
    try promise(
      !PageBytes.holdsMarks(escaped(input.text)), "\(escaped(input.text).debugDescription) leaves an attribute")
    let texts = input.parts(atMost: 3).map(\.text)
    guard let prompt = texts.first, let plan = try? world.plan([("edit", prompt), ("source", texts.last ?? "")]) else {
      return
    }
    let other = texts.count > 1 ? texts[1] : prompt
    let numbers = EditReport.Numbers(
      version: "1", model: other, frames: 1, windows: 1, size: "64x64", workingSize: "64x64", steps: 3,
      precision: "f32",
      edits: [
        EditReport.Numbers.Edit(
          source: other, edit: other, words: other, settings: ["blend-words": other],
          maskCoverage: [EditReport.Numbers.Coverage(window: 0, step: 0, share: 0.5)])
      ], economies: other, predictedPeakBytes: 1)
    let page = ReportPage(
      numbers: numbers, plan: plan, strips: ["source": ["source-0.png"], "result-1": ["result-1-0.png"]],
      words: [(title: other, words: [(word: other, peak: 0.5, pictures: ["words-0.png"])])], shown: [0],
      image: { "data:image/png;base64,\($0.utf8.count)" })
    try PageBytes(page.html).promiseOwnTags()
  }
}
