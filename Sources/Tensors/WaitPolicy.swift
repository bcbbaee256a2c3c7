import Glibc

/// How threads that share an operation wait for each other.
public enum WaitPolicy {
  /// Lets them sleep instead of spin, by starting the program once more: the library of OpenMP reads `OMP_WAIT_POLICY` when
  /// it is loaded, before any line of ours. Spinning wins a fifth at most, on models as small as Toy World; two programs that
  /// spin on the same cores lose a factor of thirty.
  ///
  /// To be called first. Returns where the user has chosen, or where the program cannot be started anew.
  public static func sleepUnlessChosen() {
    guard getenv("OMP_WAIT_POLICY") == nil, getenv("GOMP_SPINCOUNT") == nil else { return }
    // Some start programs through the loader by hand, which would take the program's arguments for its own.
    var name = [CChar](repeating: 0, count: Int(PATH_MAX))
    let length = readlink("/proc/self/exe", &name, name.count - 1)
    let file = String(decoding: name.prefix(max(length, 0)).map(UInt8.init(bitPattern:)), as: UTF8.self)
    guard length > 0, file.utf8.split(separator: UInt8(ascii: "/")).last?.starts(with: "ld".utf8) == false,
      setenv("OMP_WAIT_POLICY", "passive", 1) == 0
    else { return }
    execv("/proc/self/exe", CommandLine.unsafeArgv)
  }
}
