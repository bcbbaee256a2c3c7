import Testing

@testable import FateZero

@Suite struct ClipWindowTests {
  @Test func theFirstWindowFollowsTheReference() {
    let window = ClipWindow(index: 0, count: 4, coupling: [.relative(-1), .first])
    #expect(window.carried == 0)
    #expect(window.coupledFrames([.relative(-1), .first]) == [[0, 0], [0, 0], [1, 0], [2, 0]])
    #expect(window.coupledFrames([.relative(0), .middle]) == [[0, 1], [1, 1], [2, 1], [3, 1]])
    #expect(window.coupledFrames([]) == [[0], [1], [2], [3]])
  }

  @Test func laterWindowsReadTheAnchor() {
    let coupling: [FrameReference] = [.relative(0), .middle]
    let window = ClipWindow(index: 1, count: 3, coupling: coupling)
    #expect(window.total == 4)
    #expect(window.coupledFrames(coupling) == [[0, 0], [1, 0], [2, 0], [3, 0]])
  }

  @Test func laterWindowsReadThePreviousFrame() {
    let coupling: [FrameReference] = [.relative(-1), .first]
    let window = ClipWindow(index: 2, count: 2, coupling: coupling)
    #expect(window.total == 4)
    // Anchor, previous, then the window's own two.
    #expect(window.coupledFrames(coupling) == [[0, 0], [1, 0], [1, 0], [2, 0]])
    let far: [FrameReference] = [.relative(-2)]
    #expect(ClipWindow(index: 1, count: 3, coupling: far).coupledFrames(far) == [[0], [0], [0], [1]])
  }

  @Test func uncoupledWindowsCarryNothing() {
    #expect(ClipWindow(index: 3, count: 5, coupling: [.relative(0)]).carried == 0)
    #expect(ClipWindow(index: 3, count: 5, coupling: []).carried == 0)
    #expect(
      ClipWindow(index: 3, count: 5, coupling: [.last, .relative(2)]).coupledFrames([.last])
        == Array(repeating: [4], count: 5))
  }
}
