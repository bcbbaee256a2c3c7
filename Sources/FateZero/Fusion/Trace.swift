import StableDiffusion
import Tensors
import Text

/// The numbers of a run, named and shaped like the traces of the reference in Tests/Fixtures/oracle: tokens, text
/// embeddings, latents, masks, images. Of several edits the last one is kept. A trace holds one window.
public final class Trace {
  private enum Values {
    case numbers([Float])
    case identifiers([Int])
    case mask([Float])
  }

  private var entries: [String: (shape: [Int], values: Values)] = [:]
  private var states: [Tensor] = []
  private var steps = 0
  private var images: [[Float]] = []

  public init() {}

  /// Writes a safetensors file under its final name when complete.
  public func write(to path: String) throws {
    var tensors: [(name: String, shape: [Int], values: SafetensorsWriter.Values)] = []
    for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
      switch entry.values {
      case .numbers(let numbers): tensors.append((name, entry.shape, .float32(numbers)))
      case .identifiers(let identifiers): tensors.append((name, entry.shape, .int64(identifiers.map(Int64.init))))
      case .mask(let mask): tensors.append((name, entry.shape, .uint8(mask.map { $0 != 0 ? 1 : 0 })))
      }
    }
    try SafetensorsWriter.write(path, tensors: tensors)
  }

  // MARK: Collecting

  func setText(
    _ plan: EditPlan, _ edit: PlannedEdit, source: Tensor, target: Tensor, negative: Tensor, negativeTokens: [Int]
  ) {
    let texts = [
      ("source", plan.sourceTokens, source), ("target", edit.targetTokens, target),
      ("uncond", negativeTokens, negative),
    ]
    for (name, tokens, states) in texts {
      entries["tokens.\(name)"] = ([tokens.count], .identifiers(tokens))
      entries["text.\(name)"] = (Array(states.shape.dropFirst()), .numbers(states.floats))
    }
  }

  func setInversion(_ levels: [Tensor], window: ClipWindow) { set("latents.inv", levels, window) }
  func setReconstruction(_ states: [Tensor], window: ClipWindow) { set("latents.save_run", states, window) }

  /// Forgets the edit before.
  func beginEdit(steps: Int) {
    self.steps = steps
    (states, images) = ([], [])
    entries = entries.filter { !$0.key.begins(with: "mask.") }
  }

  func addEditStep(_ state: Tensor, window: ClipWindow) {
    states.append(state)
    if states.count == steps { set("latents.edit", states, window) }
  }

  /// (steps, channels, frames, rows, columns) from (frames, rows, columns, channels) of each step.
  private func set(_ name: String, _ steps: [Tensor], _ window: ClipWindow) {
    guard let first = steps.first else { return }
    let (pixels, channels) = (first.shape[1] * first.shape[2], first.shape[3])
    var numbers: [Float] = []
    numbers.reserveCapacity(steps.count * window.count * pixels * channels)
    for step in steps {
      let values = step.rows(window.carried..<window.total).floats
      for channel in 0..<channels {
        for position in 0..<window.count * pixels { numbers.append(values[position * channels + channel]) }
      }
    }
    entries[name] = ([steps.count, channels, window.count, first.shape[1], first.shape[2]], .numbers(numbers))
  }

  func setSelfMask(_ mask: [Float], step: Int, rows: Int, columns: Int, window: ClipWindow) {
    entries["mask.self.\(Trace.place(step, rows, columns))"] = ([1, window.count, rows, columns], .mask(mask))
  }

  func setLatentMask(source: [Float], union: [Float], step: Int, plan: EditPlan, window: ClipWindow) {
    let (rows, columns) = (plan.latentRows, plan.latentColumns)
    entries["mask.latent.\(Trace.place(step, rows, columns))"] = (
      [2, window.count, rows, columns], .mask(source + union)
    )
  }

  /// The decoded pictures of the edit, (1, height, width, 3) about -1...1, one after the other; noted in 0...1.
  func addImage(_ picture: Tensor, of count: Int) {
    images.append(picture.floats.map { min(max($0 / 2 + 0.5, 0), 1) })
    guard images.count == count else { return }
    entries["image"] = ([count] + picture.shape.dropFirst(), .numbers(images.flatMap { $0 }))
  }

  private static func place(_ step: Int, _ rows: Int, _ columns: Int) -> String {
    let digits = step < 10 ? "0\(step)" : "\(step)"
    return "s\(digits).r" + (rows == columns ? "\(rows)" : "\(rows)x\(columns)")
  }
}
