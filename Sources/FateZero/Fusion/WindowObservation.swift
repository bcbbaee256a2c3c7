import StableDiffusion
import Tensors

/// What a window's run showed, for a report: looking changes no number of the edit.
public struct WindowObservation: Sendable {
  /// Where a prompt's words were seen in each frame: the mean over steps, heads and the layers that blending masks are
  /// taken from.
  public struct WordMaps: Sendable {
    public let rows: Int, columns: Int
    /// For each word of the prompt and each frame (rows * columns) shares of the attention, summed over the word's tokens.
    public let words: [(word: String, frames: [[Float]])]
  }

  /// What was seen of one edit.
  public struct Edit: Sendable {
    /// nil where the model has no layer to take masks from.
    public let maps: WordMaps?
    /// Mean of the blending mask over frames and cells, at each step that has one; the step counts from 0.
    public let maskShares: [(step: Int, share: Float)]
  }

  /// Of the source, denoised again with the source prompt.
  public let source: WordMaps?
  /// The source's frames after inversion and denoising with the source prompt, without guidance or fusion.
  public let reconstruction: [EditedFrame]
  public let edits: [Edit]
  /// Seconds that each phase took, in their order.
  public let seconds: [(phase: String, seconds: Double)]
}

/// Adds up what some cross-attention layers see and lets another processor attend.
final class ObservingAttention: AttentionProcessor {
  /// The sum over calls of the head means, (frames, rows * columns, tokens).
  final class Sum {
    let rows: Int, columns: Int
    private(set) var values: [Float] = []
    private(set) var calls = 0

    init(rows: Int, columns: Int) { (self.rows, self.columns) = (rows, columns) }

    /// - Parameter map: (frames, heads, rows * columns, tokens)
    func add(_ map: Tensor) {
      let (frames, heads, row) = (map.shape[0], map.shape[1], map.shape[2] * map.shape[3])
      let numbers = map.floats
      if values.isEmpty { values = [Float](repeating: 0, count: frames * row) }
      for frame in 0..<frames {
        for head in 0..<heads {
          let start = (frame * heads + head) * row
          for index in 0..<row { values[frame * row + index] += numbers[start + index] / Float(heads) }
        }
      }
      calls += 1
    }

    /// The mean for each word, without the carried frames.
    func maps(_ words: PromptWords, window: ClipWindow) -> WindowObservation.WordMaps? {
      guard calls > 0 else { return nil }
      let (cells, tokens) = (rows * columns, PromptWords.contextLength)
      let frames = zip(words.words, words.positions).map { word, positions in
        let visible = positions.filter { $0 < tokens }
        return (
          word: word,
          frames: (window.carried..<window.total).map { frame in
            (0..<cells).map { cell in
              visible.reduce(0) { $0 + values[(frame * cells + cell) * tokens + $1] } / Float(calls)
            }
          }
        )
      }
      return WindowObservation.WordMaps(rows: rows, columns: columns, words: frames)
    }
  }

  private let inner: any AttentionProcessor
  private let sites: Set<AttentionSite>
  private let sum: Sum

  init(_ inner: any AttentionProcessor, sites: [AttentionSite], sum: Sum) {
    (self.inner, self.sites, self.sum) = (inner, Set(sites), sum)
  }

  func attend(_ call: AttentionCall, device: Device) throws -> Tensor {
    if sites.contains(call.site) {
      // With guidance the conditional run is the one that reads the prompt.
      let seen = call.batch(call.batches - 1)
      sum.add(try device.float32(try device.attentionMaps(seen.operands, heads: call.site.heads, scale: call.scale)))
    }
    return try inner.attend(call, device: device)
  }
}
