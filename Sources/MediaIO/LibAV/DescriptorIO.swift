import CLibAV
import Glibc

/// libav's input and output over a file descriptor: files, pipes, FIFOs, devices, standard input and output.
/// Unlike libav's own protocols it never blocks past a cancellation and can seek where a redirected file can.
final class DescriptorIO {
  let descriptor: Int32
  let isRegularFile: Bool
  /// Bytes moved so far.
  private(set) var byteCount = 0
  /// The first bytes that were read, for telling what they are.
  private(set) var head: [UInt8] = []
  /// The error number of the first write that failed: libav forgets it when it flushes.
  private(set) var writeError: Int32 = 0
  private(set) var context: UnsafeMutablePointer<AVIOContext>?
  private let ownsDescriptor: Bool
  private let isCancelled: @Sendable () -> Bool

  /// How long one wait lasts before `isCancelled` is asked again, in milliseconds.
  private static let pollInterval: Int32 = 100
  private static let bufferSize: Int32 = 1 << 16

  private init(
    name: String, descriptor: Int32, ownsDescriptor: Bool, forWriting: Bool, isCancelled: @escaping @Sendable () -> Bool
  ) throws {
    self.descriptor = descriptor
    self.ownsDescriptor = ownsDescriptor
    self.isCancelled = isCancelled
    var status = stat()
    fstat(descriptor, &status)
    let appends = forWriting && fcntl(descriptor, F_GETFL) & O_APPEND != 0
    isRegularFile = status.st_mode & S_IFMT == S_IFREG && !appends
    let buffer = av_malloc(Int(DescriptorIO.bufferSize))?.assumingMemoryBound(to: UInt8.self)
    context = fatezero_allocate_io(
      buffer, DescriptorIO.bufferSize, forWriting ? 1 : 0, Unmanaged.passUnretained(self).toOpaque(),
      { DescriptorIO.of($0).read($1, $2) }, { DescriptorIO.of($0).write($1, $2) }, { DescriptorIO.of($0).seek($1, $2) })
    guard let context else { throw MediaError(.io, "\(name): out of memory") }
    context.pointee.seekable = isRegularFile ? AVIO_SEEKABLE_NORMAL : 0
  }

  deinit {
    if let context { av_freep(&context.pointee.buffer) }
    avio_context_free(&context)
    if ownsDescriptor { close(descriptor) }
  }

  private static func of(_ opaque: UnsafeMutableRawPointer?) -> DescriptorIO {
    Unmanaged<DescriptorIO>.fromOpaque(opaque!).takeUnretainedValue()
  }

  // MARK: Opening

  static func standardInput(isCancelled: @escaping @Sendable () -> Bool) throws -> DescriptorIO {
    try DescriptorIO(
      name: "standard input", descriptor: STDIN_FILENO, ownsDescriptor: false, forWriting: false,
      isCancelled: isCancelled)
  }

  static func standardOutput(isCancelled: @escaping @Sendable () -> Bool) throws -> DescriptorIO {
    try DescriptorIO(
      name: "standard output", descriptor: STDOUT_FILENO, ownsDescriptor: false, forWriting: true,
      isCancelled: isCancelled)
  }

  static func reading(_ path: String, isCancelled: @escaping @Sendable () -> Bool) throws -> DescriptorIO {
    // Without O_NONBLOCK a FIFO that nobody writes to yet would block here, deaf to a cancellation.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw MediaError(code: -errno, path, as: .noInput) }
    return try DescriptorIO(
      name: path, descriptor: descriptor, ownsDescriptor: true, forWriting: false, isCancelled: isCancelled)
  }

  enum Creation {
    /// A FIFO or device that is there already.
    case existing
    /// A file that must not exist.
    case new
    /// A file that is emptied if it exists.
    case emptied

    fileprivate var flags: Int32 {
      switch self {
      case .existing: O_WRONLY
      case .new: O_RDWR | O_CREAT | O_EXCL
      case .emptied: O_RDWR | O_CREAT | O_TRUNC
      }
    }
  }

  /// - Parameter name: what an error calls it, where that is not the path.
  static func writing(
    _ path: String, _ creation: Creation, named name: String? = nil, isCancelled: @escaping @Sendable () -> Bool
  ) throws -> DescriptorIO {
    let name = name ?? path
    let flags = O_CLOEXEC | O_NONBLOCK | creation.flags
    var descriptor = open(path, flags, 0o666)
    // ENXIO: a FIFO without a reader yet; or a device or a socket, which nobody will come to read.
    while descriptor < 0, errno == EINTR || errno == ENXIO && isFIFO(path) {
      if isCancelled() { throw MediaError(.cancelled, "\(name): cancelled") }
      poll(nil, 0, pollInterval)
      descriptor = open(path, flags, 0o666)
    }
    guard descriptor >= 0 else { throw MediaError(code: -errno, name, as: .cannotCreate) }
    return try DescriptorIO(
      name: path, descriptor: descriptor, ownsDescriptor: true, forWriting: true, isCancelled: isCancelled)
  }

  /// Leaves `errno` alone but for a path that is gone.
  private static func isFIFO(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
  }

  // MARK: libav's callbacks

  /// Waits until the descriptor is ready: 0, or an error code of libav.
  private func wait(for events: Int32) -> Int32 {
    while true {
      if isCancelled() { return FATEZERO_AVERROR_EXIT }
      if isRegularFile { return 0 }
      var request = pollfd(fd: descriptor, events: Int16(events), revents: 0)
      if poll(&request, 1, DescriptorIO.pollInterval) > 0 { return 0 }
    }
  }

  private func read(_ buffer: UnsafeMutablePointer<UInt8>?, _ size: Int32) -> Int32 {
    while true {
      let ready = wait(for: POLLIN)
      if ready < 0 { return ready }
      let count = Glibc.read(descriptor, buffer, Int(size))
      if count > 0 {
        if head.count == byteCount, head.count < FileSignature.length, let buffer {
          head += UnsafeBufferPointer(start: buffer, count: min(count, FileSignature.length - head.count))
        }
        byteCount += count
        return Int32(count)
      }
      if count == 0 { return FATEZERO_AVERROR_EOF }
      if errno != EINTR && errno != EAGAIN { return -errno }
    }
  }

  private func write(_ buffer: UnsafePointer<UInt8>?, _ size: Int32) -> Int32 {
    var done = 0
    while done < Int(size), let buffer {
      let ready = wait(for: POLLOUT)
      if ready < 0 { return ready }
      // A pipe that is ready takes at least PIPE_BUF bytes without blocking.
      let length = isRegularFile ? Int(size) - done : min(Int(size) - done, Int(PIPE_BUF))
      let count = Glibc.write(descriptor, buffer + done, length)
      if count >= 0 {
        done += count
        byteCount += count
      } else if errno != EINTR && errno != EAGAIN {
        if writeError == 0 { writeError = -errno }
        return -errno
      }
    }
    return size
  }

  private func seek(_ offset: Int64, _ whence: Int32) -> Int64 {
    guard isRegularFile else { return Int64(-ESPIPE) }
    if whence & AVSEEK_SIZE != 0 {
      var status = stat()
      return fstat(descriptor, &status) == 0 ? Int64(status.st_size) : Int64(-errno)
    }
    let position = lseek(descriptor, Int(offset), whence & ~AVSEEK_FORCE)
    return position < 0 ? Int64(-errno) : Int64(position)
  }
}
