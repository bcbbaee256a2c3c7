import Glibc
import Text

/// The memory that this process may use.
public enum MachineMemory {
  /// 90 % of the smallest of the system's available memory, what the process's control group still allows, and what
  /// `ulimit -v` and `-d` do; nil where none can be read.
  public static var available: Int? {
    let values = [
      systemAvailable, groupAvailable, rest(of: RLIMIT_AS, used: "VmSize"), rest(of: RLIMIT_DATA, used: "VmData"),
    ].compactMap { $0 }
    return values.min().map { $0 / 10 * 9 }
  }

  /// Most memory that the process has held so far, in bytes.
  public static var peakResident: Int { (field("VmHWM", of: "/proc/self/status") ?? 0) << 10 }

  private static var systemAvailable: Int? { field("MemAvailable", of: "/proc/meminfo").map { $0 << 10 } }

  private static var groupAvailable: Int? {
    // Version 2 has one hierarchy ("0::/path"), version 1 one per controller ("N:memory:/path").
    for line in lines(of: "/proc/self/cgroup") {
      let parts = line.pieces(at: ":", maxSplits: 2, keepingEmpty: true)
      guard parts.count == 3 else { continue }
      let (folder, limit, usage): (String, String, String)
      if parts[1].isEmpty {
        (folder, limit, usage) = ("/sys/fs/cgroup\(parts[2])", "memory.max", "memory.current")
      } else if parts[1].pieces(at: ",").contains("memory") {
        (folder, limit, usage) = (
          "/sys/fs/cgroup/memory\(parts[2])", "memory.limit_in_bytes", "memory.usage_in_bytes"
        )
      } else {
        continue
      }
      if let limit = lines(of: "\(folder)/\(limit)").first.flatMap({ Int($0) }), limit < 1 << 60,
        let usage = lines(of: "\(folder)/\(usage)").first.flatMap({ Int($0) })
      {
        return max(0, limit - usage)
      }
    }
    return nil
  }

  /// What a limit of the process leaves; nil where there is none.
  private static func rest(of resource: __rlimit_resource, used name: String) -> Int? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0, limit.rlim_cur < UInt(1) << 60,
      let used = field(name, of: "/proc/self/status")
    else { return nil }
    return max(0, Int(limit.rlim_cur) - used << 10)
  }

  private static func field(_ name: String, of path: String) -> Int? {
    lines(of: path).first { $0.begins(with: name + ":") }?.pieces(at: " ").dropFirst().first.flatMap { Int($0) }
  }

  private static func lines(of path: String) -> [Substring] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while text.count < 1 << 20 {
      let count = fread(&buffer, 1, buffer.count, file)
      if count == 0 { break }
      text += buffer[..<count]
    }
    return String(decoding: text, as: UTF8.self).pieces(at: "\n")
  }
}

extension Settings {
  /// Bytes that an edit may plan to use; nil where nobody knows.
  public var usableMemory: Int? { memoryLimit > 0 ? memoryLimit : MachineMemory.available }
}
