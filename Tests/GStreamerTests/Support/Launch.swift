import FoundationEssentials
import Glibc
import TestSupport

/// Scripts with the plug-in that was built beside the tests, under Debian's own tools.
struct Launch {
  let bench: Workbench

  init() throws {
    bench = try Workbench()
  }

  /// A folder with nothing but the plug-in: GStreamer opens every library below a plug-in path.
  private static let plugins: Result<String, any Error> = Result {
    let folder = try Workbench.command().split(separator: "/").dropLast().map { "/\($0)" }.joined()
    let own = folder + "/gstreamer-1.0"
    mkdir(own, 0o755)
    let link = own + "/libgstfatezero.so"
    unlink(link)
    guard symlink("../libgstfatezero.so", link) == 0 else { throw WorkbenchError.system("symlink", errno) }
    return own
  }

  /// `gst LINE...` is gst-launch-1.0 with a bound, `$ELEMENT` the element with a tiny model and little work.
  private static func prelude() throws -> String {
    """
    export GST_PLUGIN_PATH='\(try plugins.get())' GST_REGISTRY='\(try plugins.get())/registry.bin'
    export GST_PRESET_PATH='\(GStreamer.presets)'
    MODEL='\(Element.model)'
    gst() { timeout --kill-after=5 "${SECONDS_ALLOWED:-240}" gst-launch-1.0 "$@"; }
    ELEMENT="fatezero model=$MODEL size=64x64 steps=2 clip-length=4"
    EDIT='edit=a [cat -> tiger] on the grass'
    CAPS=video/x-raw,width=64,height=64,framerate=25/1
    WINDOW="queue max-size-time=0 max-size-bytes=0 max-size-buffers=0"

    """
  }

  func start(_ script: String) throws -> Job { try bench.start(try Self.prelude() + script) }

  @discardableResult
  func run(_ script: String) throws -> Outcome { try start(script).wait(seconds: 600) }

  @discardableResult
  func succeed(_ script: String) throws -> Outcome { try bench.succeed(try Self.prelude() + script, seconds: 600) }
}

extension Outcome {
  var text: String { String(decoding: output, as: UTF8.self) }
}
