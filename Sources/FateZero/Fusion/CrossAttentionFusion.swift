import Tensors

/// Cross-attention fusion (FateZero section 3.2; prompt-to-prompt's replace, refine and reweight in one formula).
///
/// With A the edit's own map, S the source's and V the edit's values, every mode has the form
///
///     A' V = (A diag(own) + S M) V
///
/// where `own` [77] keeps a token's own attention and `M` [77, 77] carries source tokens (rows) to target tokens
/// (columns). For the share a of a token's schedule, its weight e, and
/// - refine (mapper, m): own = a e (1 - m) + (1 - a),  M[mapper[j], j] = a e m,
/// - replace (R):        own = 1 - a,                  M = R diag(a e).
struct CrossAttentionFusion: Sendable {
  struct Step: Sendable, Equatable {
    let own: [Float]
    let source: [Float]

    /// Whether anything of the source is read; otherwise `own` is 1 everywhere.
    var readsSource: Bool { source.contains { $0 != 0 } || own.contains { $0 != 1 } }
    var keepsOwn: Bool { own.contains { $0 != 0 } }
  }

  let alignment: WordAlignment
  let schedule: CrossReplaceSchedule
  /// A factor for the attention of each target token.
  let weights: [Float]

  func at(step: Int) -> Step {
    let active = schedule.active(step: step)
    let length = active.count
    var own = active.map { 1 - $0 }
    var source = [Float](repeating: 0, count: length * length)
    switch alignment {
    case .refine(let mapper, let alphas):
      for j in 0..<length {
        let share = active[j] * weights[j]
        own[j] += share * (1 - alphas[j])
        if mapper[j] >= 0 { source[mapper[j] * length + j] = share * alphas[j] }
      }
    case .replace(let matrix):
      for i in 0..<length {
        for j in 0..<length { source[i * length + j] = matrix[i * length + j] * active[j] * weights[j] }
      }
    }
    return Step(own: own, source: source)
  }
}
