/// The version of all that is built here. `fatezero.h` and the changelog name it too; a test compares them.
public enum Version {
  public static let text: StaticString = "0.1.0"
}
