import Glibc

/// What tells an input from what it was before, without reading it: sizes and times of its files.
public enum InputStamp {
  /// - Parameter path: A file, a folder of pictures or a pattern, as a `MediaReader` takes it. What is not there has a stamp
  ///   as well.
  public static func stamp(of path: String) -> String {
    let files = (try? ImageSequence.files(at: path)) ?? [path]
    return files.map { file in
      var status = stat()
      guard stat(file, &status) == 0 else { return "\(file) is not there" }
      return "\(file) \(status.st_size) \(status.st_mtim.tv_sec) \(status.st_mtim.tv_nsec)"
    }.joined(separator: "\n")
  }
}
