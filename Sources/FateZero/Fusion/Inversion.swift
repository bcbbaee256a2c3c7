import StableDiffusion
import Tensors

/// A clip window, inverted: its latents at every noise level, and what the source's attention saw on the way. A value: all
/// edits of the window read the same one, and it outlives the editor that made it.
public struct Inversion: Sendable {
  /// What it was made from; an edit must agree.
  let basis: Basis
  /// z_0 ... z_N, or z_0 alone of a method without inversion; each (frames, rows, columns, channels) with the carried frames
  /// first.
  public let latents: [Tensor]
  let window: ClipWindow
  /// The source prompt, as the attention that the edits read saw it.
  let text: TextConditioning
  /// The latents that each recorded step of the source ran on: z_k of the inversion, or those of the reconstruction.
  let sourceLatents: [Tensor]
  /// The reconstruction pass's latents x_0 ... x_N, where attention comes from one.
  let reconstruction: [Tensor]?
  var record: AttentionRecord

  /// Frames of the clip.
  public var frameCount: Int { window.count }
  /// Size of the clip's frames.
  public var frameSize: FrameSize { basis.frameSize }

  /// Whether the source's attention was kept.
  public var keepsAttention: Bool { sourceLatents.indices.contains { record.holds(step: $0) } }

  /// Bytes that it holds.
  public var byteCount: Int {
    // The source's latents are one of the two.
    (latents + (reconstruction ?? [])).reduce(0) { $0 + $1.byteCount } + record.byteCount
  }

  /// The settings that an inversion depends on, as they turned out.
  struct Basis: Sendable, Equatable {
    let model: String
    /// The method's name for what it keeps of the source.
    let method: String
    let sourceTokens: [Int]
    let reconstructionTokens: [Int]?
    let frameSize: FrameSize, workingSize: FrameSize
    let timesteps: [Int]
    let coupling: [FrameReference]
    let couplingMinWidth: Int
    let precision: Device.Precision

    /// All of it, to make a name of.
    var texts: [String] {
      [
        model, method, "\(sourceTokens)", "\(reconstructionTokens ?? [])", "\(workingSize)", "\(timesteps)",
        FrameReference.text(of: coupling), "\(couplingMinWidth)", precision.rawValue,
      ]
    }
  }

  /// - Throws: `InversionMismatch` where `plan` is not for this inversion.
  public func check(_ plan: EditPlan) throws {
    let (own, other) = (basis, plan.inversionBasis)
    let differences: [(Bool, String)] = [
      (own.model != other.model, "model"), (own.sourceTokens != other.sourceTokens, "source"),
      (own.workingSize != other.workingSize || own.frameSize != other.frameSize, "size"),
      (own.timesteps != other.timesteps, "steps"), (own.coupling != other.coupling, "frame-coupling"),
      (own.couplingMinWidth != other.couplingMinWidth, "coupling-min-width"),
      (own.precision != other.precision, "precision"),
      (own.method != other.method || own.reconstructionTokens != other.reconstructionTokens, "attention-source"),
    ]
    let names = differences.filter(\.0).map(\.1)
    guard names.isEmpty else { throw InversionMismatch(settings: names) }
  }
}

/// An edit of an inversion that was made under other settings.
public struct InversionMismatch: Error, CustomStringConvertible, Sendable {
  /// Names of the settings that differ.
  public let settings: [String]

  public var description: String {
    "the clip was inverted with another \(settings.joined(separator: ", ")); set what it was then, or invert again"
  }
}

/// A frame of an earlier window that later ones read: its latents at every level, of the inversion and of each edit.
struct CarriedFrame: Sendable {
  let inversion: [Tensor]
  let reconstruction: [Tensor]?
  /// For each edit x_0 ... x_N.
  let edits: [[Tensor]]
  /// What the user's mask says of the frame.
  let mask: SoftMask?
}
