import CLibAV
import Glibc

/// The files that a demuxer or muxer opens itself, beside the one that it was handed.
final class NestedFiles {
  private let open: (_ path: String, _ isForWriting: Bool) throws -> DescriptorIO?
  private var files: [UnsafeMutablePointer<AVIOContext>: DescriptorIO] = [:]
  /// The first error of any of them, as libav codes it, or 0; muxers do not look.
  private(set) var error: Int32 = 0

  /// - Parameter open: Opens a file under the name that libav gives it; nil: it is not permitted.
  init(opening open: @escaping (_ path: String, _ isForWriting: Bool) throws -> DescriptorIO?) { self.open = open }

  /// Everything that `context` opens goes through here as long as this object lives.
  func attach(to context: UnsafeMutablePointer<AVFormatContext>) {
    context.pointee.opaque = Unmanaged.passUnretained(self).toOpaque()
    context.pointee.io_open = { context, result, url, flags, _ in
      guard let context, let result, let url else { return -EINVAL }
      return NestedFiles.of(context).open(String(cString: url), flags, result)
    }
    context.pointee.io_close2 = { context, pb in
      guard let context, let pb else { return 0 }
      return NestedFiles.of(context).close(pb)
    }
  }

  func closeAll() { files = [:] }

  private static func of(_ context: UnsafeMutablePointer<AVFormatContext>) -> NestedFiles {
    Unmanaged<NestedFiles>.fromOpaque(context.pointee.opaque).takeUnretainedValue()
  }

  private func open(
    _ path: String, _ flags: Int32, _ result: UnsafeMutablePointer<UnsafeMutablePointer<AVIOContext>?>
  ) -> Int32 {
    do {
      guard let file = try open(path, flags & AVIO_FLAG_WRITE != 0) else { return -EACCES }
      guard let context = file.context else { return -ENOMEM }
      files[context] = file
      result.pointee = context
      return 0
    } catch {
      if self.error == 0 { self.error = -EIO }
      return -EIO
    }
  }

  private func close(_ context: UnsafeMutablePointer<AVIOContext>) -> Int32 {
    guard let file = files.removeValue(forKey: context) else { return 0 }
    if context.pointee.write_flag != 0 { avio_flush(context) }
    if file.writeError != 0 && error == 0 { error = file.writeError }
    return file.writeError
  }
}
