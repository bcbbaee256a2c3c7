/// The frames that one run of the network holds: those of the window, and before them the frames outside of it that its
/// coupling names.
struct ClipWindow: Sendable, Equatable {
  /// Whether the clip's anchor (the middle frame of the first window) comes along.
  let carriesAnchor: Bool
  /// Whether the last frame of the window before comes along.
  let carriesPrevious: Bool
  /// Frames of the window itself.
  let count: Int

  init(index: Int, count: Int, coupling: [FrameReference]) {
    self.count = count
    carriesAnchor = index > 0 && coupling.contains { $0 == .middle || $0 == .first }
    carriesPrevious =
      index > 0
      && coupling.contains {
        if case .relative(let distance) = $0 { distance < 0 } else { false }
      }
  }

  /// Number of frames before the window's own.
  var carried: Int { (carriesAnchor ? 1 : 0) + (carriesPrevious ? 1 : 0) }
  var total: Int { carried + count }

  /// For each frame of the run the frames that it reads. In the first window this is the reference's rule; later `first`
  /// and `middle` mean the anchor, and earlier frames end at the one carried from the window before.
  func coupledFrames(_ coupling: [FrameReference]) -> [[Int]] {
    (0..<total).map { frame in
      guard carried > 0 else { return FrameReference.resolve(coupling, frame: frame, count: count) }
      guard !coupling.isEmpty else { return [frame] }
      let isAnchor = carriesAnchor && frame == 0
      let earliest = carriesPrevious ? carried - 1 : carried
      return coupling.map { reference in
        switch reference {
        case .first, .middle: 0
        case .last: total - 1
        case .relative(let distance):
          // The anchor has no neighbours here. Whatever carried frames read, they follow the trajectory of their own window.
          isAnchor ? frame : min(max(frame + distance, min(earliest, frame)), total - 1)
        }
      }
    }
  }
}
