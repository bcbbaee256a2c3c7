import StableDiffusion
import Tensors

/// What the network is asked at a step: one or more runs of the same frames side by side, each with a prompt of its own.
public struct NetworkPass {
  /// For each run, in the order of `text`, (frames, rows, columns, channels).
  public var latents: [Tensor]
  public var timestep: Int
  public var text: TextConditioning
  /// Sees all runs at once, but for the first `apart` ones where memory is short.
  public var processor: any AttentionProcessor
  /// Leading runs that may be computed alone, with plain attention: with guidance the unconditional one.
  public var apart: Int

  /// - Parameter latents: As many as `text` has runs.
  public init(
    _ latents: [Tensor], timestep: Int, text: TextConditioning, processor: any AttentionProcessor = PlainAttention(),
    apart: Int = 0
  ) {
    (self.latents, self.timestep, self.text) = (latents, timestep, text)
    (self.processor, self.apart) = (processor, apart)
  }

  /// A pass with classifier-free guidance where the text has an unconditional run, and of one run otherwise.
  public init(
    guiding latents: Tensor, timestep: Int, text: TextConditioning, processor: any AttentionProcessor = PlainAttention()
  ) {
    self.init(
      [Tensor](repeating: latents, count: text.batches), timestep: timestep, text: text, processor: processor,
      apart: text.batches - 1)
  }
}

extension Device {
  /// Classifier-free guidance (Ho and Salimans, equation 6): u + g (c - u).
  /// - Parameter predictions: The unconditional one and the conditional one, or that alone.
  public func guided(_ predictions: [Tensor], scale: Float) throws -> Tensor {
    guard predictions.count == 2 else { return predictions[0] }
    let direction = try combine(1, predictions[1], -1, predictions[0])
    return try combine(1, predictions[0], scale, direction)
  }
}
