/// Zeros around an image, in pixels.
public struct Padding: Sendable, Hashable {
  public var top, left, bottom, right: Int

  public init(top: Int, left: Int, bottom: Int, right: Int) {
    (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right)
  }

  public init(_ all: Int) { self.init(top: all, left: all, bottom: all, right: all) }
}
