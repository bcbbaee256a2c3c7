import StableDiffusion
import Tensors

/// A clip window, inverted: its latents at every noise level, and what the source's attention saw on the way. A value: all
/// edits of the window read the same one.
struct Inversion: Sendable {
  /// z_0 ... z_N, each (frames, rows, columns, channels) with the carried frames first.
  let latents: [Tensor]
  let window: ClipWindow
  /// The source prompt, as the attention that the edits read saw it.
  let text: TextConditioning
  /// The latents that each recorded step of the source ran on: z_k of the inversion, or those of the reconstruction.
  let sourceLatents: [Tensor]
  /// The reconstruction pass's latents x_0 ... x_N, where attention comes from one.
  let reconstruction: [Tensor]?
  let record: AttentionRecord
}

/// A frame of an earlier window that later ones read: its latents at every level, of the inversion and of each edit.
struct CarriedFrame: Sendable {
  let inversion: [Tensor]
  let reconstruction: [Tensor]?
  /// For each edit x_0 ... x_N.
  let edits: [[Tensor]]
}
