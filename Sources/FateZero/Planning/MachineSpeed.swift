import Tensors

/// How fast this machine computes, for a first guess at the time.
public enum MachineSpeed {
  /// Of the operations that a matrix product does in a time, an edit's network does about this share.
  private static let share = 0.75

  /// How often it is measured. The fastest counts: other programs take their share now and then.
  private static let repeats = 20

  /// Operations per second of an edit's network: a matrix product of (1024, 1024) by (1024, 1024) is timed, for some
  /// tenths of a second.
  public static func operationsPerSecond(_ device: Device, cancellation: Cancellation) throws -> Double {
    let side = 1024
    return try device.perform(cancellation: cancellation) {
      let layer = try device.makeLinear(weight: try Tensor(zeros: [side, side]), bias: nil)
      let rows = try Tensor(zeros: [1, side, side])
      // The first time pays for the library's preparations.
      _ = try device.linear(rows, layer)
      let clock = ContinuousClock()
      let seconds = try (0..<repeats).map { _ in
        try clock.measure { _ = try device.linear(rows, layer) }.inSeconds
      }
      return share * 2 * Double(side * side * side) / max(seconds.min() ?? 0, 1e-6)
    }
  }
}

extension Duration {
  public var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
